"""Make kuberay.json and kubernetes.json again, of other versions:

    pip install kubernetes-validate
    python tests/infra/schemas/compact.py FOLDER_OF_KUBERAYS_CRDS

Descriptions go, fields that a schema does not know become errors, and what is said twice is said once: a RayJob's
schema holds that of a pod three times.
"""

import collections
import hashlib
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).parent
KUBERAY = ("raycluster", "rayjob", "raycronjob")
KUBERNETES = {
    "Namespace": "namespace-v1",
    "ServiceAccount": "serviceaccount-v1",
    "ConfigMap": "configmap-v1",
    "CronJob": "cronjob-batch-v1",
    "NetworkPolicy": "networkpolicy-networking-v1",
    "Role": "role-rbac-v1",
    "RoleBinding": "rolebinding-rbac-v1",
}
VERSION = "v1.32.0-local-strict"
LEAST = 200  # characters that are worth a name of their own


def kuberay(folder: pathlib.Path) -> dict[str, Any]:
    """Kind -> schema of its version v1."""
    found = {}
    for name in KUBERAY:
        crd = yaml.safe_load((folder / f"ray.io_{name}s.yaml").read_text())
        (version,) = (version for version in crd["spec"]["versions"] if version["name"] == "v1")
        found[crd["spec"]["names"]["kind"]] = strict(version["schema"]["openAPIV3Schema"])
        found[crd["spec"]["names"]["kind"]]["properties"]["metadata"] = {"type": "object"}
    return found


def kubernetes() -> dict[str, Any]:
    """Kind -> schema without references."""
    folder = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / VERSION
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]

    def resolve(schema: Any) -> Any:
        if isinstance(schema, dict):
            if "$ref" in schema:
                return resolve(definitions[schema["$ref"].rpartition("/")[2]])
            return {key: resolve(value) for key, value in schema.items() if not is_text(key, value)}
        return [resolve(one) for one in schema] if isinstance(schema, list) else schema

    return {kind: resolve(json.loads((folder / f"{name}.json").read_text())) for kind, name in KUBERNETES.items()}


def is_text(key: str, value: Any) -> bool:
    return key in ("description", "$schema") and isinstance(value, str)


def strict(schema: Any) -> Any:
    if isinstance(schema, dict):
        found = {key: strict(value) for key, value in schema.items() if not is_text(key, value)}
        if "properties" in found and not found.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
        return found
    return [strict(one) for one in schema] if isinstance(schema, list) else schema


def text_of(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def inner(value: Any) -> Iterator[str]:
    """Every schema in a schema that is long enough, as text."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str | list) and len(text_of(value)) > LEAST:
            yield text_of(value)
        for one in value.values():
            yield from inner(one)
    elif isinstance(value, list):
        for one in value:
            yield from inner(one)


def shared(kinds: dict[str, Any]) -> dict[str, Any]:
    """The same schemas, where what is in them twice is a reference."""
    twice = {text for text, times in collections.Counter(inner(kinds)).items() if times > 1}
    definitions: dict[str, Any] = {}

    def refer(value: Any, top: bool = False) -> Any:
        if isinstance(value, dict):
            if not top and (text := text_of(value)) in twice:
                name = hashlib.sha256(text.encode()).hexdigest()[:8]
                if name not in definitions:
                    definitions[name] = None  # its place, while it is made
                    definitions[name] = refer(value, top=True)
                return {"$ref": f"#/$defs/{name}"}
            return {key: refer(one) for key, one in value.items()}
        return [refer(one) for one in value] if isinstance(value, list) else value

    made = {kind: refer(schema, top=True) for kind, schema in kinds.items()}
    return {"$defs": definitions, "kinds": made}


if __name__ == "__main__":
    for name, kinds in (("kuberay", kuberay(pathlib.Path(sys.argv[1]))), ("kubernetes", kubernetes())):
        lines = json.dumps(shared(kinds), indent=0, separators=(",", ":"), sort_keys=True)
        (HERE / f"{name}.json").write_text(lines.replace("\n", "") + "\n")
