"""Jobs on a real cluster of two nodes with token authentication; a node is killed in the middle of a night."""

import os
import pathlib
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

from raysee import schema, storage
from raysee.scoring import batches

from . import killing

TOKEN = "a-token-that-is-nowhere-else-4f1c"
SECRET = "a-key-that-is-nowhere-else-93ab"
PATIENCE_S = 120.0
CALLS = 192


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """A head without CPUs, where drivers run, and nodes that can be lost."""

    def __init__(self, logs: str) -> None:
        self._logs = logs
        self._port, dashboard = free_port(), free_port()
        self.address = f"http://127.0.0.1:{dashboard}"
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._start("--head", f"--port={self._port}", f"--dashboard-port={dashboard}", "--num-cpus=0")

    def add(self) -> None:
        self._start(f"--address=127.0.0.1:{self._port}", "--num-cpus=2")

    def _start(self, *options: str) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_TMPDIR": self._logs}
        environment["AWS_SECRET_ACCESS_KEY"] = SECRET
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
            deadline = time.monotonic() + PATIENCE_S
            while not answers(cluster.address):
                assert time.monotonic() < deadline, "the head does not answer"
                time.sleep(0.5)
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


def answers(address: str) -> bool:
    """Whether the job server takes requests, and so refuses those without a token."""
    try:
        urllib.request.urlopen(f"{address}/api/jobs/", timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    raise AssertionError("it lets everybody in")


def submit(cluster: Cluster, words: list[str], token: str = TOKEN, retries: int = 2) -> tuple[int, str]:
    """Exit code and what was printed of `raysee submit`, as from another machine."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "raysee", "submit", "--address", cluster.address, f"--retries={retries}", *words],
        env={**environment, "RAY_AUTH_TOKEN": token, "AWS_SECRET_ACCESS_KEY": SECRET},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(400)
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
    everything = b"".join(storage.read_bytes(file.uri) for file in storage.list_files(scores))
    for secret in (TOKEN, SECRET):
        assert secret not in told
        assert secret.encode() not in everything


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
