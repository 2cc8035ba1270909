"""What starts a night, against an API server of our own."""

import datetime
import importlib.util
import pathlib
from collections.abc import Iterator

import pytest
import yaml

from ..json_server import JsonHandler, serving
from . import manifests
from .manifests import K8S, ROOT, Document

SPEC = importlib.util.spec_from_file_location("start_night", K8S / "overlays" / "nightly" / "start_night.py")
assert SPEC is not None
assert SPEC.loader is not None
start_night = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(start_night)


class Cluster:
    """RayJobs of a namespace, and what each will say next of its status."""

    def __init__(self) -> None:
        self.jobs: dict[str, Document] = {}
        self.statuses: list[Document | int] = []  # a number is an error of the API server
        self.asked: list[tuple[str, str]] = []


@pytest.fixture
def cluster(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    held = Cluster()

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            held.asked.append(("GET", self.path))
            assert self.headers["Authorization"] == "Bearer a-token"
            name = self.path.rpartition("/")[2]
            if name not in held.jobs:
                self.answer(404, {})
            elif name == "raysee-night":
                self.answer(200, held.jobs[name])
            else:
                status = held.statuses.pop(0)
                if isinstance(status, int):
                    self.answer(status, {})
                else:
                    self.answer(200, {**held.jobs[name], "status": status})

        def do_POST(self) -> None:
            held.asked.append(("POST", self.path))
            job = self.asked()
            name = job["metadata"]["name"]
            if name in held.jobs:
                self.answer(409, {})
            else:
                held.jobs[name] = job
                self.answer(201, job)

    (tmp_path / "namespace").write_text("raysee\n")
    (tmp_path / "token").write_text("a-token")
    monkeypatch.setattr(start_night, "ACCOUNT", tmp_path)
    monkeypatch.setattr(start_night, "POLL_S", 0)
    monkeypatch.setenv("JOB_NAME", "raysee-night-29393000")
    monkeypatch.setenv("JOB_UID", "5f3c")
    held.jobs["raysee-night"] = pattern()
    with serving(Handler) as address:
        monkeypatch.setenv("KUBERNETES_SERVER", address)
        yield held


def pattern() -> Document:
    """The suspended RayJob, as the API server gives it."""
    (job,) = manifests.of_kind("plain", "RayJob")
    entrypoint = "python /opt/raysee/jobs/score_calls.py s3://calls --night NIGHT"
    spec = {**job["spec"], "entrypoint": entrypoint}
    metadata = {**job["metadata"], "name": "raysee-night", "uid": "1", "resourceVersion": "2"}
    return {**job, "metadata": metadata, "spec": spec, "status": {"jobDeploymentStatus": "Suspended"}}


def start(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["start_night.py", "--pattern", "raysee-night", *words])
    return int(start_night.main())


RUNNING = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
ENDS = [
    ({"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}, 0),
    ({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, 3),
    ({"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": "an error"}, 3),
    ({"jobDeploymentStatus": "Failed", "jobStatus": ""}, 3),
]


@pytest.mark.parametrize(("end", "code"), ENDS)
def test_it_ends_as_the_night_ends(end: Document, code: int, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.statuses = [{}, RUNNING, 503, RUNNING, {"jobDeploymentStatus": "Retrying", "jobStatus": "FAILED"}, end]
    assert start(monkeypatch, "--night", "2026-11-19") == code
    job = cluster.jobs["raysee-night-2026-11-19"]
    assert job["spec"] == {
        **pattern()["spec"],
        "suspend": False,
        "entrypoint": "python /opt/raysee/jobs/score_calls.py s3://calls --night 2026-11-19",
    }
    assert job["metadata"] == {
        "name": "raysee-night-2026-11-19",
        "labels": {"app.kubernetes.io/part-of": "raysee", "raysee.dev/night": "2026-11-19"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "raysee-night-29393000", "uid": "5f3c"}],
    }
    assert not list(manifests.schemas()["RayJob"].iter_errors(job))


def test_a_night_is_started_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.statuses = [ENDS[0][0]] * 2
    assert [start(monkeypatch, "--night", "2026-11-19") for _ in range(2)] == [0, 0]
    assert sorted(cluster.jobs) == ["raysee-night", "raysee-night-2026-11-19"]


def test_a_night_that_has_failed_is_in_the_way_until_it_is_deleted(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (failed, code), (succeeded, _) = ENDS[2], ENDS[0]
    cluster.statuses = [failed, failed, succeeded]
    assert [start(monkeypatch, "--night", "2026-11-19") for _ in range(2)] == [code, code]
    told = capsys.readouterr().out
    assert "raysee-night-2026-11-19: is there already" in told
    delete = "kubectl -n raysee delete rayjob raysee-night-"
    assert told.count(f"to start it again, first {delete}2026-11-19\n") == 2
    rules = yaml.safe_load((ROOT / "infra" / "prometheus" / "raysee.rules.yml").read_text())["groups"][0]["rules"]
    (action,) = (one["annotations"]["action"] for one in rules if one.get("alert") == "RayseeNothingScored")
    for page in (action, (K8S / "README.md").read_text(), (ROOT / "docs" / "operations.md").read_text()):
        assert f"{delete}DATE" in page
    del cluster.jobs["raysee-night-2026-11-19"]
    assert start(monkeypatch, "--night", "2026-11-19") == 0


def test_the_night_is_yesterday(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime.date):
        @classmethod
        def today(cls) -> "Clock":
            return cls(2026, 3, 1)

    monkeypatch.setattr(start_night.datetime, "date", Clock)
    cluster.statuses = [ENDS[0][0]]
    assert start(monkeypatch) == 0
    assert "raysee-night-2026-02-28" in cluster.jobs


def test_what_it_asks_for_is_what_its_role_lets_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.statuses = [ENDS[0][0]]
    start(monkeypatch, "--night", "2026-11-19")
    (role,) = manifests.of_kind("plain", "Role")
    assert role["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["get", "create"]}]
    place = "/apis/ray.io/v1/namespaces/raysee/rayjobs"
    assert cluster.asked == [
        ("GET", f"{place}/raysee-night"),
        ("POST", place),
        ("GET", f"{place}/raysee-night-2026-11-19"),
    ]


def test_the_cronjob_starts_it_so() -> None:
    (cron,) = manifests.of_kind("plain", "CronJob")
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert container["command"] == ["python", f"{mount['mountPath']}/start_night.py"]
    assert container["args"] == ["--pattern", "raysee-night"]
    rules = cron["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [3]}
    assert manifests.environment(container)["TZ"] == cron["spec"]["timeZone"]
    built = manifests.of_kind("nightly", "RayJob")
    assert [job["metadata"]["name"] for job in built] == ["raysee-night"]
