"""What applying k8s/ would make: valid, closed, limited, and of commands that there are."""

import importlib.metadata
import ipaddress
import pathlib
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml

import raysee.cli
from raysee.corpora import CORPORA

from . import manifests
from .manifests import K8S, OVERLAYS, ROOT, SETS, Document, Pod

MOST_CHARACTERS = 47  # of a RayJob's name, KubeRay's rule: the names of its pods are longer
ADDED_BY_DATE = len("-2026-11-19")
LEAST_GRACE_S = 30  # beyond Ray's own, for what it does afterwards
SECRETS = {"raysee-ray-token"}  # are made by hand: k8s/README.md


@pytest.fixture(params=SETS)
def name(request: pytest.FixtureRequest) -> str:
    """A set of documents."""
    manifests.documents(request.param)  # skips
    return str(request.param)


def test_every_document_fits_its_schema(name: str) -> None:
    found = manifests.documents(name)
    assert len(found) > 10
    for document in found:
        problems = [
            f"{'/'.join(map(str, error.path))}: {error.message}"
            for error in manifests.schemas()[document["kind"]].iter_errors(document)
        ]
        assert not problems, manifests.titled(document)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("RayJob", {"shutdownAfterJobFinished": True}),
        ("RayJob", {"rayClusterSpec": {"authOptions": {"mode": "tokens"}}}),
        ("CronJob", {"concurrency": "Forbid"}),
        ("NetworkPolicy", {"podSelector": {"labels": {}}}),
    ],
)
def test_the_schemas_know_a_mistake(kind: str, wrong: Document) -> None:
    (document, *_) = manifests.of_kind("plain", kind)
    changed = {**document, "spec": {**document["spec"], **wrong}}
    assert list(manifests.schemas()[kind].iter_errors(changed))


def test_versions_agree(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ray = manifests.pinned("ray")
    assert any(re.fullmatch(rf"ray\[[^]]*\]=={re.escape(ray)}", one) for one in project["dependencies"])
    assert importlib.metadata.version("ray") == ray
    for where, cluster in manifests.clusters(name):
        assert str(cluster["rayVersion"]) == ray, where
    build = "cuda" if name == "gpu-spot" else "cpu"
    for pod in manifests.pods(name):
        for container in manifests.containers(pod):
            tag = container["image"].rpartition(":")[2]
            assert tag == f"{project['version']}-ray{ray}-{build}", pod.where


def test_nobody_runs_anything_without_the_token_and_nothing_is_public(name: str) -> None:
    assert not manifests.of_kind(name, "Service", "Ingress", "Secret")
    found = list(manifests.clusters(name))
    assert found
    for where, cluster in found:
        assert cluster["authOptions"]["mode"] == "token", where
        head = cluster["headGroupSpec"]
        assert head["serviceType"] == "ClusterIP", where
        assert not {"enableIngress", "headService", "ingressOptions"} & set(head), where
        assert head["rayStartParams"]["num-cpus"] == "0", where
        assert (cluster["enableInTreeAutoscaling"], cluster["autoscalerOptions"]["version"]) == (True, "v2"), where
        for group in cluster["workerGroupSpecs"]:
            # check_gpus and train --workers count the nodes that are there, and not what could come.
            assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"], where


def test_pods_are_restricted_and_limited(name: str) -> None:
    """The rules of the pod security standard "restricted", and those of ours."""
    for pod in manifests.pods(name):
        spec = pod.spec
        assert spec["securityContext"]["runAsNonRoot"] is True, pod.where
        assert spec["securityContext"]["runAsUser"] >= 1000, pod.where
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, pod.where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), pod.where
        assert all({"emptyDir", "configMap"} & set(volume) for volume in spec["volumes"]), pod.where
        assert spec["restartPolicy"] == "Never", pod.where
        wanted = "spot" if pod.role == "worker" else "on-demand"
        assert spec["nodeSelector"]["karpenter.sh/capacity-type"] == wanted, pod.where
        for container in manifests.containers(pod):
            _check_container(container, f"{pod.where}, {container['name']}")
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in spec["volumes"]}, pod.where
    for where, cluster in manifests.clusters(name):
        _check_container(cluster["autoscalerOptions"], f"{where}, autoscaler")


def _check_container(container: Document, where: str) -> None:
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False, where
    assert security["capabilities"] == {"drop": ["ALL"]}, where
    assert security["readOnlyRootFilesystem"] is True, where
    assert "privileged" not in security, where
    for kind in ("cpu", "memory", "ephemeral-storage"):
        requests, limits = (_amount(container["resources"][one][kind]) for one in ("requests", "limits"))
        assert 0 < requests <= limits, (where, kind)
    assert container["resources"]["requests"].get("nvidia.com/gpu") == container["resources"]["limits"].get(
        "nvidia.com/gpu"
    ), where


def _amount(text: str) -> float:
    units = {"": 1, "m": 1e-3, "Mi": 2**20, "Gi": 2**30}
    number, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()  # type: ignore[union-attr]
    return int(number) * units[unit]


def test_what_is_read_only_has_a_home_to_write_to(name: str) -> None:
    for pod in manifests.pods(name):
        if pod.role != "starter":
            for container in manifests.containers(pod):
                home = manifests.environment(container)["HOME"]
                assert home in {mount["mountPath"] for mount in container["volumeMounts"]}, pod.where


def test_a_node_is_drained_before_it_is_killed(name: str) -> None:
    for pod in manifests.pods(name):
        if pod.role in ("head", "worker"):
            drain_s = float(manifests.environment(pod.spec["containers"][0])["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
            assert drain_s > 0, pod.where
            assert pod.spec["terminationGracePeriodSeconds"] >= drain_s + LEAST_GRACE_S, pod.where


def test_a_job_waits_for_its_start_and_leaves_no_cluster(name: str) -> None:
    for document in manifests.of_kind(name, "RayJob"):
        assert document["spec"]["suspend"] is True, manifests.titled(document)
        assert len(document["metadata"]["name"]) + ADDED_BY_DATE <= MOST_CHARACTERS
    for where, job in manifests.jobs(name):
        assert job["shutdownAfterJobFinishes"] is True, where
        assert job["ttlSecondsAfterFinished"] > 0, where
        assert job["backoffLimit"] > 0, where
        assert job["submitterConfig"]["backoffLimit"] > 0, where
        assert 0 < job["preRunningDeadlineSeconds"] < job["activeDeadlineSeconds"], where
        assert job["submissionMode"] == "K8sJobMode", where
        assert "deletionStrategy" not in job, where


def test_only_who_asks_kubernetes_has_a_token_for_it(name: str) -> None:
    for account in manifests.of_kind(name, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False, manifests.titled(account)
    for pod in manifests.pods(name):
        asks = pod.role in ("head", "starter")  # the autoscaler is in the head
        assert pod.spec["automountServiceAccountToken"] is asks, pod.where
        assert (pod.labels.get("raysee.dev/api-server") == "yes") is asks, pod.where
    for role in manifests.of_kind(name, "Role"):
        assert role["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["get", "create"]}]
    assert not manifests.of_kind(name, "ClusterRole", "ClusterRoleBinding")


def test_every_name_is_of_something(name: str) -> None:
    named: dict[str, set[str]] = {}
    for document in manifests.documents(name):
        named.setdefault(document["kind"], set()).add(document["metadata"]["name"])
        namespace = document["metadata"].get("namespace", "raysee" if name == "plain" else None)
        assert document["kind"] == "Namespace" or namespace == "raysee", manifests.titled(document)
    # A kustomization makes it of a file, and what is plain has none.
    config_maps = named.get("ConfigMap", set()) or {"raysee-start-night"}
    for pod in manifests.pods(name):
        assert pod.spec["serviceAccountName"] in named["ServiceAccount"], pod.where
        for volume in pod.spec["volumes"]:
            assert volume.get("configMap", {}).get("name", "raysee-start-night") in config_maps, pod.where
        for container in manifests.containers(pod):
            assert "envFrom" not in container, pod.where
    readme = (K8S / "README.md").read_text()
    for where, cluster in manifests.clusters(name):
        assert cluster["authOptions"]["secretName"] in SECRETS, where
    assert all(secret in readme for secret in SECRETS)
    for binding in manifests.of_kind(name, "RoleBinding"):
        assert binding["roleRef"]["name"] in named["Role"]
        assert {subject["name"] for subject in binding["subjects"]} <= named["ServiceAccount"]


def test_who_trains_is_not_who_scores(name: str) -> None:
    roles = {
        account["metadata"]["name"]: account["metadata"].get("annotations", {}).get("eks.amazonaws.com/role-arn", "")
        for account in manifests.of_kind(name, "ServiceAccount")
    }
    assert roles["raysee-training"].endswith(":role/raysee-training")
    assert roles["raysee-scoring"].endswith(":role/raysee-scoring")
    for pod in manifests.pods(name):
        if pod.role in ("head", "worker"):
            assert pod.spec["serviceAccountName"] == f"raysee-{pod.labels['app.kubernetes.io/component']}", pod.where
        else:
            assert not roles[pod.spec["serviceAccountName"]], f"{pod.where} has nothing to do with S3"
        for container in manifests.containers(pod):
            assert not {one for one in manifests.environment(container) if re.search("KEY|SECRET|TOKEN", one)}
    for where, job in manifests.jobs(name):
        scores = "score_calls.py" in job.get("entrypoint", "")
        account = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["serviceAccountName"]
        assert account == ("raysee-scoring" if scores else "raysee-training"), where


# Who may talk to whom.


def matches(selector: Document, labels: dict[str, str]) -> bool:
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


def lets(policies: list[Document], labels: dict[str, str], way: str, peer: dict[str, str], port: int) -> bool:
    """Whether a pod may talk ("egress") or be talked to ("ingress") on a port with a pod of the same namespace."""
    mine = [one["spec"] for one in policies if matches(one["spec"]["podSelector"], labels)]
    assert any(way.capitalize() in one["policyTypes"] for one in mine), "deny-all is of everybody"
    return any(
        any("namespaceSelector" not in end and matches(end.get("podSelector", {"matchLabels": {"no": "pod"}}), peer)
            for end in rule["to" if way == "egress" else "from"])
        and ("ports" not in rule or port in [one["port"] for one in rule["ports"]])
        for one in mine
        for rule in one.get(way, [])
    )  # fmt: skip


def test_only_these_talk_to_each_other(name: str) -> None:
    policies = manifests.of_kind(name, "NetworkPolicy")
    (deny_all,) = (one["spec"] for one in policies if one["metadata"]["name"] == "deny-all")
    assert deny_all == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    everybody = list(manifests.pods(name))
    if name == "plain":
        everybody += [
            pod._replace(labels={**pod.labels, "app.kubernetes.io/component": "scoring"})
            for pod in everybody
            if pod.role in ("head", "worker")
        ]
    for one in everybody:
        for other in everybody:
            for port in (6379, 8265, 10002, 8080):
                # Each side by itself: neither relies on the other.
                out = lets(policies, one.labels, "egress", other.labels, port)
                into = lets(policies, other.labels, "ingress", one.labels, port)
                wanted = _wanted(one, other, port)
                assert (out, into) == (wanted, wanted), (one.where, other.where, port)


def _wanted(one: Pod, other: Pod, port: int) -> bool:
    if one.role in ("head", "worker") and other.role in ("head", "worker"):
        return one.labels["app.kubernetes.io/component"] == other.labels["app.kubernetes.io/component"]
    return (one.role, other.role, port) == ("submitter", "head", 8265)


def test_outside_there_is_dns_the_object_store_and_for_some_the_api_server(name: str) -> None:
    blocks: dict[str, list[Document]] = {}
    others = set()
    for policy in manifests.of_kind(name, "NetworkPolicy"):
        for way, ends in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(way, []):
                assert rule[ends], "nobody in particular is everybody"
                for end in rule[ends]:
                    if "ipBlock" in end:
                        assert way == "egress"
                        blocks.setdefault(policy["metadata"]["name"], []).append(end["ipBlock"])
                    elif "namespaceSelector" in end:
                        assert end["podSelector"]["matchLabels"], "a whole namespace is too much"
                        others.add((way, end["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]))
    assert others == {("egress", "kube-system"), ("ingress", "kuberay-system"), ("ingress", "monitoring")}
    assert set(blocks) == {"object-store", "api-server"}
    (block,) = blocks["object-store"]
    closed = [ipaddress.ip_network(one) for one in block["except"]]
    for address in ("169.254.169.254", "10.1.2.3", "172.20.0.1", "192.168.0.1", "100.64.0.1"):
        assert any(ipaddress.ip_address(address) in one for one in closed), address


# Commands.


def parsed(entrypoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The options of a command as the script that it starts would take them. Nothing is run."""
    plain = re.sub(r"\$\([^)]*\)|\bNIGHT\b", "2026-11-19", entrypoint)
    python, script, *words = shlex.split(plain)
    assert python == "python"
    path = ROOT / pathlib.PurePosixPath(script).relative_to("/opt/raysee")
    found: dict[str, Any] = {}

    def parse() -> None:
        group: Any = typer.main.get_command(raysee.cli.app)
        context = group.make_context("raysee", sys.argv[1:])
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        found.update(command.make_context(name, rest, parent=context).params, command=name)

    monkeypatch.setattr(raysee.cli, "main", parse)
    monkeypatch.setattr(sys, "argv", [str(path), *words])
    runpy.run_path(str(path), run_name="__main__")
    return found


def entrypoints() -> list[tuple[str, str]]:
    """All of k8s/, those of patches too."""
    return [
        (path.relative_to(K8S).as_posix(), found)
        for path in sorted(K8S.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        for found in _entrypoints(document)
    ]


def _entrypoints(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "entrypoint" in value:
            yield value["entrypoint"]
        for one in value.values():
            yield from _entrypoints(one)
    elif isinstance(value, list):
        for one in value:
            yield from _entrypoints(one)


@pytest.mark.parametrize(("where", "entrypoint"), entrypoints(), ids=[where for where, _ in entrypoints()])
def test_every_command_is_one_that_there_is(where: str, entrypoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = parsed(entrypoint, monkeypatch)
    places = [value for value in options.values() if isinstance(value, str) and "example" in value]
    assert places, "it reads and writes somewhere"
    assert all(value.startswith("s3://example-raysee-") for value in places)


def test_a_command_that_there_is_not_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="No such option: --corpse"):
        parsed("python /opt/raysee/jobs/train.py --corpse emodb --to s3://example-raysee-lake", monkeypatch)


def test_every_command_of_an_overlay_is_among_these() -> None:
    held = {text for _, text in entrypoints()}
    assert len(held) == 9
    for name in OVERLAYS:
        for where, job in manifests.jobs(name):
            assert job["entrypoint"] in held, where


# One thing said in two places.


def pods_of(cluster: Document) -> list[Document]:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [{key: value for key, value in group.items() if "eplicas" not in key} for group in groups]


def test_the_research_cluster_has_the_pods_of_the_jobs() -> None:
    for name in ("plain", "gpu-spot"):
        kinds = dict(manifests.clusters(name))
        job = kinds["RayJob raysee" if name == "plain" else "RayJob raysee-train"]
        research = kinds["RayCluster research"]
        assert pods_of(research) == pods_of(job)
        assert {key: value for key, value in research.items() if "Group" not in key} == {
            key: value for key, value in job.items() if "Group" not in key
        }


def test_kuberays_nights_are_those_of_the_cronjob() -> None:
    ((_, ours),) = manifests.jobs("nightly")
    ((_, kuberays),) = manifests.jobs("nightly-raycronjob")
    assert "--night NIGHT" in ours["entrypoint"]
    assert ours["entrypoint"].split()[:3] == kuberays["entrypoint"].split()[:3]
    left = {key: value for key, value in ours.items() if key not in ("entrypoint", "suspend")}
    assert left == {key: value for key, value in kuberays.items() if key != "entrypoint"}
    (cron,), (ray_cron,) = manifests.of_kind("nightly", "CronJob"), manifests.of_kind("plain", "RayCronJob")
    for field in ("schedule", "timeZone"):
        assert cron["spec"][field] == ray_cron["spec"][field]


def test_a_night_is_over_before_the_next_one() -> None:
    (cron,) = manifests.of_kind("plain", "CronJob")
    spec, job = cron["spec"], cron["spec"]["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] < 23 * 3600, "with the hour that a day of summer time lacks"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] > 0
    assert spec["successfulJobsHistoryLimit"] > 0
    assert spec["failedJobsHistoryLimit"] > 0
    for _, night in manifests.jobs("nightly"):
        tries = night["backoffLimit"] + 1
        assert tries * night["activeDeadlineSeconds"] < job["activeDeadlineSeconds"], "so that it is known how it ended"


@pytest.mark.parametrize("name", ["cpu", "gpu-spot"])
def test_all_corpora_are_tuned_before_the_deadline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = (job for _, job in manifests.jobs(name) if "tune.py" in job["entrypoint"])
    options = parsed(job["entrypoint"], monkeypatch)
    assert options["corpora"] == "all"
    least_beside = 0.5  # of an hour of a corpus: the outer trainings, and what runs when its hours are over
    assert 3600 * len(CORPORA) * (options["hours"] + least_beside) < job["activeDeadlineSeconds"]


def test_old_and_new_kustomize_know_every_field() -> None:
    """Those of kustomize 2.0, which kubectl 1.20 has in it; today's still takes them."""
    known = {"apiVersion", "kind", "namespace", "nameSuffix", "bases", "resources", "images", "configMapGenerator"}
    known |= {"generatorOptions", "patchesStrategicMerge", "patchesJson6902"}
    used = set(manifests.patch_files())
    for path, one in manifests.kustomizations().items():
        assert set(one) <= known, path
        assert all((path.parent / base / "kustomization.yaml").is_file() for base in one.get("bases", [])), path
        used |= {path, *(path.parent / name for name in one.get("resources", []))}
        used |= {path.parent / file for made in one.get("configMapGenerator", []) for file in made["files"]}
    left = {path for path in K8S.rglob("*") if path.suffix in (".yaml", ".py")} - used
    assert not left, "nothing builds on these"
