"""What is in k8s/: as it stands there, and as kustomize builds it."""

import functools
import json
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
#: "plain" is every whole document of k8s/, without what overlays change: it needs no kustomize.
SETS = ["plain", *OVERLAYS]

Document = dict[str, Any]


class Pod(NamedTuple):
    """A pod that a document makes, and what it is there."""

    where: str
    role: str  # "head", "worker", "submitter" or "starter"
    labels: dict[str, str]  # those of KubeRay too
    spec: Document


@functools.cache
def _documents(name: str) -> tuple[Document, ...]:
    if name == "plain":
        texts = [
            path.read_text()
            for path in sorted(K8S.rglob("*.yaml"))
            if path.name != "kustomization.yaml" and path.name not in _patches()
        ]
    else:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            pytest.skip("kubectl is not installed: apt install kubernetes-client")
        built = subprocess.run([kubectl, "kustomize", K8S / "overlays" / name], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        texts = [built.stdout]
    return tuple(document for text in texts for document in yaml.safe_load_all(text) if document)


def documents(name: str) -> list[Document]:
    """The documents of a set of SETS. Skips where kubectl is wanted and missing."""
    return list(_documents(name))


def kustomizations() -> dict[pathlib.Path, Document]:
    """Every kustomization.yaml."""
    return {path: yaml.safe_load(path.read_text()) for path in sorted(K8S.rglob("kustomization.yaml"))}


def patch_files() -> list[pathlib.Path]:
    """What is no document, but is laid over one."""
    return [
        path.parent / name
        for path, one in kustomizations().items()
        for name in [
            *one.get("patchesStrategicMerge", []),
            *(patch["path"] for patch in one.get("patchesJson6902", [])),
        ]
    ]


@functools.cache
def _patches() -> set[str]:
    return {path.name for path in patch_files()}


def of_kind(name: str, *kinds: str) -> list[Document]:
    return [document for document in documents(name) if document["kind"] in kinds]


def titled(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def clusters(name: str) -> Iterator[tuple[str, Document]]:
    """Every Ray cluster of a set, with the document that it is of."""
    for document in of_kind(name, "RayCluster"):
        yield titled(document), document["spec"]
    for document, job in jobs(name):
        yield document, job["rayClusterSpec"]


def jobs(name: str) -> Iterator[tuple[str, Document]]:
    """The specs of the jobs."""
    for document in of_kind(name, "RayJob", "RayCronJob"):
        spec = document["spec"]
        yield titled(document), spec if document["kind"] == "RayJob" else spec["jobTemplate"]


def pods(name: str) -> Iterator[Pod]:
    """Every pod of a set, with the labels that KubeRay will add."""
    for where, cluster in clusters(name):
        head = cluster["headGroupSpec"]["template"]
        yield _pod(where, "head", head)
        for group in cluster["workerGroupSpecs"]:
            yield _pod(f"{where}, {group['groupName']}", "worker", group["template"])
    for where, job in jobs(name):
        yield _pod(where, "submitter", job["submitterPodTemplate"])
    for document in of_kind(name, "CronJob"):
        yield _pod(titled(document), "starter", document["spec"]["jobTemplate"]["spec"]["template"])


def _pod(where: str, role: str, template: Document) -> Pod:
    of_ray = {"ray.io/is-ray-node": "yes", "ray.io/node-type": role} if role in ("head", "worker") else {}
    return Pod(f"{where}, {role}", role, {**template["metadata"]["labels"], **of_ray}, template["spec"])


def containers(pod: Pod) -> list[Document]:
    return [*pod.spec["containers"], *pod.spec.get("initContainers", [])]


def environment(container: Document) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env", [])}


@functools.cache
def schemas() -> dict[str, Draft202012Validator]:
    """Kind -> what is wrong with a document of it."""
    found = {}
    for path in sorted((pathlib.Path(__file__).parent / "schemas").glob("*.json")):
        held = json.loads(path.read_text())
        for kind, schema in held["kinds"].items():
            found[kind] = Draft202012Validator({**schema, "$defs": held["$defs"]})
    return found


def pinned(package: str) -> str:
    """The version of constraints.txt."""
    found = re.search(rf"^{re.escape(package)}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found, f"constraints.txt does not pin {package}"
    return found[1]
