"""What is asked of a job server, and what is said where it fails: a server of our own instead of a cluster."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import pytest

from raysee.distributed import submit as submitting
from raysee.distributed.submit import Job, Server, submit
from raysee.errors import ConfigurationError, RayseeError, UnreachableError

from ..json_server import JsonHandler, serving

JOB = Job("train", ["--corpus", "emodb", "--to", "s3://lake"])
RUNNING = {"status": "RUNNING"}
SUCCEEDED = {"status": "SUCCEEDED", "driver_exit_code": 0}


class JobServer:
    """Ray's HTTP API, as far as a job is concerned."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[str] = []
        self.submitted: list[dict[str, object]] = []
        # What is said of the job, one after the other, the last for ever: a number is an error, None no answer at all.
        self.says: list[dict[str, object] | int | None] = [SUCCEEDED]


@pytest.fixture(autouse=True)
def no_token_and_no_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.setattr(submitting, "_LOOK_S", 0.01)
    monkeypatch.setattr(submitting, "_BACK_OFF_S", 0.0)


@pytest.fixture
def server() -> Iterator[JobServer]:
    with started() as held:
        yield held


@contextlib.contextmanager
def started() -> Iterator[JobServer]:
    held = JobServer()

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            held.asked.append(self.path)
            if self.path == "/api/version":
                self.answer(200, {"ray_version": "2.60.0"})
            elif self.path == "/api/jobs/":
                self.answer(200, [])
            elif self.path.endswith("/tail"):
                self.answer(500, {})  # no log is streamed
            else:
                said = held.says.pop(0) if len(held.says) > 1 else held.says[0]
                if isinstance(said, dict):
                    self.answer(200, {"type": "SUBMISSION", "entrypoint": "", **said})
                elif said:
                    self.answer(said, {})

        def do_POST(self) -> None:
            held.submitted.append(self.asked())
            self.answer(200, {"job_id": "1", "submission_id": "1"})

    with serving(Handler) as held.address:
        yield held


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


def test_a_job_goes_on_while_its_server_is_away(server: JobServer) -> None:
    server.says = [RUNNING, None, 503, None, RUNNING, SUCCEEDED]
    assert run(server) == 0
    assert len(server.submitted) == 1


def test_a_server_that_stays_away_is_given_up(server: JobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "_SILENCE_S", 0.1)
    server.says = [RUNNING, None]
    with pytest.raises(UnreachableError, match=f"the job {JOB.submission_id} may go on there"):
        run(server)


def test_a_job_that_a_server_no_longer_knows_is_not_waited_for(server: JobServer) -> None:
    server.says = [RUNNING, 404]
    with pytest.raises(RayseeError, match="status code 404"):
        run(server)


def test_an_environment_that_cannot_be_made_is_not_tried_again(server: JobServer) -> None:
    message = "runtime_env setup failed: Failed to set up runtime environment.\nTraceback:\nOSError: no space is left\n"
    server.says = [{"status": "FAILED", "error_type": "RUNTIME_ENV_SETUP_FAILURE", "message": message}]
    with pytest.raises(RayseeError, match=r"has not begun, .* could not be made \(OSError: no space is left\): "):
        run(server)
    assert len(server.submitted) == 1


def test_what_was_killed_is_tried_again(server: JobServer) -> None:
    server.says = [{"status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_DIED"}, SUCCEEDED]
    assert run(server) == 0
    assert len(server.submitted) == 2
