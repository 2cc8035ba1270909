"""What is asked of a job server, and what is said where it fails: a server of our own instead of a cluster."""

import contextlib
import http.server
import json
import os
import pathlib
import threading
from collections.abc import Iterator

import pytest

from raysee.distributed.submit import Job, Server, submit
from raysee.errors import ConfigurationError

JOB = Job("train", ["--corpus", "emodb", "--to", "s3://lake"])
SUCCEEDED = {"status": "SUCCEEDED", "driver_exit_code": 0}


class JobServer:
    """Ray's HTTP API, as far as a job is concerned."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[str] = []
        self.submitted: list[dict[str, object]] = []
        self.ends: list[dict[str, object]] = [SUCCEEDED]  # what is said of the job, one after the other


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)


@pytest.fixture
def server() -> Iterator[JobServer]:
    with started() as held:
        yield held


@contextlib.contextmanager
def started() -> Iterator[JobServer]:
    held = JobServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, code: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            held.asked.append(self.path)
            if self.path == "/api/version":
                self.answer(200, {"ray_version": "2.60.0"})
            elif self.path == "/api/jobs/":
                self.answer(200, [])
            elif self.path.endswith("/tail"):
                self.answer(500, {})  # no log is streamed
            else:
                job = {"type": "SUBMISSION", "entrypoint": "", "message": "a message\nof two lines"}
                self.answer(200, {**job, **held.ends.pop(0)})

        def do_POST(self) -> None:
            held.submitted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(200, {"job_id": "1", "submission_id": "1"})

        def log_message(self, *_: object) -> None:
            pass

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.address = f"http://127.0.0.1:{serving.server_address[1]}"
    threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
    yield held
    serving.shutdown()
    serving.server_close()


def run(server: JobServer) -> int:
    return submit(JOB, Server(server.address), retries=2, on_log=lambda _: None)


@pytest.mark.parametrize("variable", ["RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"])
def test_the_job_goes_to_the_address_that_was_checked(
    variable: str, server: JobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started() as other:
        monkeypatch.setenv(variable, other.address)
        assert run(server) == 0
    assert [one["submission_id"] for one in server.submitted] == [JOB.submission_id]
    assert not other.asked
    assert os.environ[variable] == other.address


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1:8265", "auto", "http://"])
def test_what_ray_would_look_up_itself_is_no_address(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is no job server"):
        submit(JOB, Server(address), retries=0, on_log=lambda _: None)
