"""Jobs on a real cluster of two nodes with token authentication; a node is killed in the middle of a night.

`make cluster` has every job submitted, and a node killed in the middle of a training (RAYSEE_AT_LENGTH).
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from ray.job_submission import JobSubmissionClient

from raysee import schema, storage
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.scoring import batches
from raysee.synthesis.trees import write_ravdess

from ..environment import at_length, without_ray
from . import killing

ROOT = pathlib.Path(__file__).parents[2]
TOKEN = "a-token-that-is-nowhere-else-4f1c"
SECRET = "a-key-that-is-nowhere-else-93ab"
PATIENCE_S = 180.0
CALLS = 192


def free_port() -> int:
    """One that nobody is given by chance, before Ray comes to listen there: below those of the system's own choice."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("0.0.0.0", port))
            return port
    raise AssertionError("no port is free")


class Cluster:
    """A head without CPUs, where drivers run, and nodes that can be lost."""

    def __init__(self, logs: str) -> None:
        self.logs = logs
        self._port, dashboard = free_port(), free_port()
        self.address = f"http://127.0.0.1:{dashboard}"
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._begin("--head", f"--port={self._port}", f"--dashboard-port={dashboard}", "--num-cpus=0")

    def add(self) -> None:
        """One after the other: two that start on one machine at the same moment choose the same socket."""
        self._begin(f"--address=127.0.0.1:{self._port}", "--num-cpus=2")

    def _begin(self, *options: str) -> None:
        """Ray gives a node 30 s to come up, and a machine with other work takes longer: it is tried three times."""
        for _ in range(3):
            self._start(*options)
            deadline = time.monotonic() + PATIENCE_S
            while self.nodes[-1].poll() is None and time.monotonic() < deadline:
                if self._num_alive() == sum(node.poll() is None for node in self.nodes):
                    return
                time.sleep(0.5)
            self.lose(-1)
            self.nodes.pop()
        raise AssertionError("the node has not come")

    def _num_alive(self) -> int:
        """0 where the head does not answer yet, or no more."""
        request = urllib.request.Request(
            f"{self.address}/nodes?view=summary", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                nodes = json.load(answer)["data"]["summary"]
        except OSError:
            return 0
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)

    def _start(self, *options: str) -> None:
        environment = without_ray(
            RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN, RAY_TMPDIR=self.logs, AWS_SECRET_ACCESS_KEY=SECRET
        )
        # A node that is lost shall be missed soon.
        environment |= {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "4"}
        programs = pathlib.Path(sys.executable).parent
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        # Nodes share this machine, and the agent that takes jobs listens where the session's own Ray does already.
        ports = ("dashboard-agent-listen", "dashboard-agent-grpc", "metrics-export", "runtime-env-agent")
        options += tuple(f"--{name}-port={free_port()}" for name in ports)
        self.nodes.append(
            subprocess.Popen(
                [
                    programs / "ray",
                    "start",
                    "--block",
                    "--disable-usage-stats",
                    "--node-ip-address=127.0.0.1",
                    *options,
                ],
                env=environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def lose(self, number: int) -> None:
        """As when a machine dies."""
        killing.kill(killing.members(self.nodes[number].pid))
        self.nodes[number].wait()

    def stop(self) -> None:
        for number in range(len(self.nodes)):
            self.lose(number)


@pytest.fixture(scope="module")
def cluster(s3_server: str) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs:
        cluster = Cluster(logs)
        try:
            assert refuses_strangers(cluster.address)
            cluster.add()
            cluster.add()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="module")
def words(model: str, s3_server: str, call_archive: pathlib.Path) -> list[str]:
    """A night in a bucket, as the command has it."""
    bucket = "s3://submitted"
    storage.make_bucket(bucket)
    sounds = sorted(call_archive.rglob("*.wav"))
    for number in range(CALLS):
        storage.write_bytes(f"{bucket}/calls/2026-11-19/{number:04}.wav", sounds[number % 3].read_bytes())
    places = [f"{bucket}/calls/2026-11-19", "--model", model, "--to", f"{bucket}/scores"]
    return ["score", *places, "--channels", "agent,customer", "--night", "2026-11-19"]


def refuses_strangers(address: str) -> bool:
    """Whether the job server wants a token."""
    try:
        urllib.request.urlopen(f"{address}/api/jobs/", timeout=30)
    except urllib.error.HTTPError as error:
        return error.code == 401
    return False


def submit(cluster: Cluster, words: list[str], token: str = TOKEN, retries: int = 2) -> tuple[int, str]:
    """Exit code and what was printed of `raysee submit`, as from another machine."""
    done = subprocess.run(
        [sys.executable, "-m", "raysee", "submit", "--address", cluster.address, f"--retries={retries}", *words],
        env=without_ray(RAY_AUTH_TOKEN=token, AWS_SECRET_ACCESS_KEY=SECRET),
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_night_is_scored_once_though_a_node_is_lost(cluster: Cluster, words: list[str]) -> None:
    scores = words[words.index("--to") + 1]

    over = threading.Event()

    def lose_a_node() -> None:
        while not storage.names(f"{scores}/done/00000") and not over.wait(0.05):
            pass
        cluster.lose(1)

    losing = threading.Thread(target=lose_a_node)
    losing.start()
    code, told = submit(cluster, words)
    over.set()
    losing.join()
    assert code == 0, told
    assert f"{CALLS} calls = {CALLS} scored + none rejected + 0 already done" in told
    assert f"results: {scores}" in told
    calls = batches.read(scores, "calls", schema.CALLS)
    assert len(set(zip(calls["call_id"].to_pylist(), calls["channel"].to_pylist(), strict=True))) == calls.num_rows
    assert calls.num_rows == 2 * CALLS
    code, told = submit(cluster, words)
    assert (code, "found finished" in told) == (0, True), told
    assert batches.read(scores, "calls", schema.CALLS).equals(calls)
    assert TOKEN not in told
    assert SECRET not in told


def test_no_secret_is_written_anywhere(cluster: Cluster, words: list[str]) -> None:
    """After the nights above: what was stored, a page of them, and all that Ray and its jobs have logged."""
    scores = words[words.index("--to") + 1]
    drawn = subprocess.run(
        [sys.executable, "-m", "raysee", "report", scores],
        env={**os.environ, "RAY_AUTH_TOKEN": TOKEN, "AWS_SECRET_ACCESS_KEY": SECRET},
        capture_output=True,
        check=True,
    )
    stored = {file.uri: storage.read_bytes(file.uri) for file in storage.list_files(scores)}
    assert any(uri.endswith("report.html") for uri in stored)
    logs = {str(path): path.read_bytes() for path in pathlib.Path(cluster.logs).rglob("*") if path.is_file()}
    assert any("job-driver" in name for name in logs)
    for name, data in {"the command": drawn.stdout + drawn.stderr, **stored, **logs}.items():
        for secret in (TOKEN, SECRET):
            assert secret.encode() not in data, name


@at_length
def test_a_training_goes_on_though_its_node_is_lost(cluster: Cluster, lake: str) -> None:
    """Both workers are on one node, because they talk to each other; then that node is gone."""
    cluster.add()
    words = "train --corpus emodb --model aldeneh --size debug --epochs 12 --labels anger,neutral --workers 2"
    lost: list[int] = []

    def lose_the_node() -> None:
        while not over.wait(0.05):
            if any(file.uri.endswith("checkpoint.json") for file in storage.list_files(lake)):
                alive = [number for number, node in enumerate(cluster.nodes) if node.poll() is None]
                lost.extend(n for n in alive if killing.named(cluster.nodes[n].pid, "ray::RayTrainWorker"))
                cluster.lose(lost[0])
                break

    over, losing = threading.Event(), threading.Thread(target=lose_the_node)
    losing.start()
    code, told = submit(cluster, [*words.split(), "--to", lake])
    over.set()
    losing.join()
    assert (code, len(lost)) == (0, 1), told
    run = next(line.strip() for line in told.splitlines() if "/runs/emodb/" in line)
    receipt = json.loads(storage.read_bytes(f"{run}/folds/final/receipt.json"))
    assert [one["epoch"] for one in receipt["curve"]] == list(range(1, 13))
    assert storage.exists(f"{run}/model.safetensors")


@at_length
def test_every_job_runs_as_ray_submits_it(
    cluster: Cluster, words: list[str], lake: str, tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`ray job submit` with a copy of the project as it is checked out."""
    for folder in ("raysee", "jobs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    other = tmp_path_factory.mktemp("other")  # not in what is sent
    write_ravdess(other, actors=4, repetitions=1)
    manifest(lake, "ravdess", str(other), allow_count_mismatch=True)
    extract(lake, "ravdess", ["logmel40"])
    small = "--model aldeneh --size debug"
    jobs = {
        "extract": f"--corpus emodb --features summary180 --to {lake}",
        "train": f"--corpus emodb {small} --epochs 1 --labels anger,sadness --to {lake}",
        "cross_corpus": f"--train emodb --test ravdess {small} --epochs 1 --to {lake}",
        "reproduce": f"mlp-vs-cnn --columns MLP --size debug --epochs 1 --to {lake}",
        "tune": f"--corpus ravdess {small} --labels anger,sadness --trials 1 --outer 2 --set epochs=1 --to {lake}",
        "score_calls": " ".join(words[1:]),
    }
    assert {f"{name}.py" for name in jobs} == {path.name for path in (ROOT / "jobs").iterdir()} - {"demo.py"}
    for name, its in jobs.items():
        ended = ray_job_submit(cluster, tmp_path, name, its)
        assert (ended.returncode, "succeeded" in ended.stdout) == (0, True), (name, ended.stdout)
    client = JobSubmissionClient(cluster.address, headers={"Authorization": f"Bearer {TOKEN}"})
    there = client.list_jobs()
    assert {f"{name}-2026-11-19" for name in jobs} <= {one.submission_id for one in there}
    assert SECRET not in repr(there)


def ray_job_submit(cluster: Cluster, folder: pathlib.Path, job: str, words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(pathlib.Path(sys.executable).with_name("ray"), "job", "submit", "--address", cluster.address),
            *("--submission-id", f"{job}-2026-11-19", "--working-dir", folder),
            *("--", "python", f"jobs/{job}.py", *words.split()),
        ],
        env=without_ray(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )


def test_the_end_of_a_job_is_the_end_of_the_command(cluster: Cluster, words: list[str]) -> None:
    nowhere = [word.replace("/calls/", "/nowhere/") for word in words]
    code, told = submit(cluster, nowhere)
    assert code == 1
    assert "does not exist" in told
    assert "attempt" not in told, "another try would end alike"


def test_a_wrong_token_is_refused_and_none_is_not_even_sent(
    cluster: Cluster, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    code, told = submit(cluster, words, token="wrong")
    assert (code, "refuses the token" in told) == (1, True), told
    monkeypatch.setenv("HOME", str(tmp_path))
    away = Cluster.__new__(Cluster)
    away.address = "http://192.0.2.1:8265"
    code, told = submit(away, words, token="")
    assert (code, "There is no token for http://192.0.2.1:8265" in told) == (1, True), told


def test_wrong_options_are_said_before_anything_is_sent(cluster: Cluster, words: list[str]) -> None:
    away = Cluster.__new__(Cluster)
    away.address = "http://192.0.2.1:8265"
    code, told = submit(away, [*words, "--mistyped"])
    assert (code, "No such option: --mistyped" in told) == (2, True), told
