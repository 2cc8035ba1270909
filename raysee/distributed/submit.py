"""Commands as jobs of a Ray cluster: submitted once, followed, and tried again where that can help.

Who reaches a cluster's job server can run anything there (ShadowRay, CVE-2023-48022). So a server that is not on this
machine is spoken to with a token alone (Ray's token authentication, docs/security.md).
"""

import asyncio
import contextlib
import os
import pathlib
import shlex
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobErrorType, JobStatus, JobSubmissionClient

from raysee import __version__
from raysee.config import fingerprint
from raysee.errors import ConfigurationError, RayseeError, UnreachableError

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_LOOK_S = 2.0
_BACK_OFF_S = 10.0
_SILENCE_S = 300.0  # how long a server that took the job may be away: it starts again, or the network does
_FAILS = "status code 5"  # with which a server says that it is not well, or a proxy that there is none
_STARTING_S, _NOT_YET = 60.0, "try again later"  # what a head answers in the seconds after it began
#: Exit codes that another try would end with, too: an error that was explained, wrong options, limits that were passed.
_SETTLED = range(5)


class Job(NamedTuple):
    """A command with its options, and the night that it is for, where it is for one."""

    command: str
    words: Sequence[str]
    night: str = ""

    @property
    def submission_id(self) -> str:
        """The same for the same work: a cluster takes it once at a time."""
        return "-".join(filter(None, ["raysee", self.command, self.night, fingerprint(list(self.words))]))


class Server(NamedTuple):
    """A cluster's job server."""

    address: str
    working_dir: str = ""  # is sent there, with raysee in it; empty: raysee is installed there


def submit(job: Job, server: Server, *, retries: int, on_log: Callable[[str], None]) -> int:
    """Run a job to its end and return its exit code; a job of the same work that runs already is followed.

    A job that was killed, with its machine or without, is submitted again up to `retries` times. Raises
    ConfigurationError where a token is missing or wrong, UnreachableError where nobody answers, RayseeError where the
    job was stopped by somebody, could not begin, or was killed once more than it may.
    """
    client = _client(server)
    for attempt in range(retries + 1):
        if attempt:
            on_log(f"The job was killed; attempt {attempt + 1} of {retries + 1}.\n")
            time.sleep(_BACK_OFF_S * attempt)
        with _explained(server):
            _start(client, job, server)
            details = _follow(client, job.submission_id, on_log)
        if details.status == JobStatus.STOPPED:
            raise RayseeError(f"The job {job.submission_id} was stopped: submit it again to go on.")
        if details.status == JobStatus.SUCCEEDED:
            return 0
        if details.driver_exit_code in _SETTLED:
            return int(details.driver_exit_code or 1)
        if details.error_type == JobErrorType.RUNTIME_ENV_SETUP_FAILURE:
            (*_, reason) = (details.message or "no reason was given").strip().splitlines()  # after a stack trace
            raise RayseeError(
                f"The job {job.submission_id} has not begun, because its environment could not be made ({reason}): "
                "see that the nodes can fetch what --working-dir sends and have disk left, then submit it again."
            )
    raise RayseeError(
        f"The job {job.submission_id} was killed {retries + 1} times ({details.message}): see that the cluster is well "
        "and submit it again; what is finished is kept."
    )


def token() -> str:
    """Ray's token, from where Ray itself takes it: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token; or none."""
    if told := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return told
    path = pathlib.Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or pathlib.Path.home() / ".ray" / "auth_token")
    return path.read_text().strip() if path.is_file() else ""


def _client(server: Server) -> JobSubmissionClient:
    parts = urllib.parse.urlsplit(server.address)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{server.address!r} is no job server: give its address as http://host:8265.")
    known = token()
    if not known and host not in _LOOPBACK:
        raise ConfigurationError(
            f"There is no token for {server.address}: a job server that takes jobs from anybody runs anybody's code. "
            "Turn Ray's token authentication on, and give the token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH."
        )
    with _explained(server), _unset("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        return JobSubmissionClient(server.address, headers={"Authorization": f"Bearer {known}"} if known else {})


@contextlib.contextmanager
def _unset(*names: str) -> Iterator[None]:
    """Without these variables: Ray's client takes the address that one of them holds instead of the one it is given."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _start(client: JobSubmissionClient, job: Job, server: Server) -> None:
    """Submit the job, unless it is there and goes on. One that is over runs again, and finds what is finished."""
    there = next((one for one in client.list_jobs() if one.submission_id == job.submission_id), None)
    if there is not None:
        if not there.status.is_terminal():
            return
        client.delete_job(job.submission_id)
    deadline = time.monotonic() + _STARTING_S
    while True:
        try:
            client.submit_job(
                entrypoint=shlex.join(["python", "-m", "raysee", job.command, *job.words]),
                submission_id=job.submission_id,
                runtime_env={"working_dir": server.working_dir} if server.working_dir else None,
                metadata={"raysee": __version__, "command": job.command, **({"night": job.night} if job.night else {})},
            )
        except RuntimeError as error:
            if _NOT_YET not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)
        else:
            return


def _follow(client: JobSubmissionClient, submission_id: str, on_log: Callable[[str], None]) -> JobDetails:
    """Hand over what the job prints until it is over; where the connection is lost, only its end is waited for.

    A job does not end with the connection: UnreachableError only where the server is away for _SILENCE_S.
    """

    async def tail() -> None:
        async for lines in client.tail_job_logs(submission_id):
            on_log(lines)

    with contextlib.suppress(aiohttp.ClientError, RuntimeError):
        asyncio.run(tail())
    heard = time.monotonic()
    while True:
        try:
            details = client.get_job_info(submission_id)
        except (ConnectionError, requests.RequestException, RuntimeError) as error:
            if isinstance(error, RuntimeError) and _FAILS not in str(error):
                raise
            if time.monotonic() > heard + _SILENCE_S:
                raise UnreachableError(
                    f"{client.get_address()} has not answered for {_SILENCE_S / 60:.0f} minutes, and the job "
                    f"{submission_id} may go on there: submit it again to follow it."
                ) from error
        else:
            heard = time.monotonic()
            if details.status.is_terminal():
                return details
        time.sleep(_LOOK_S)


@contextlib.contextmanager
def _explained(server: Server) -> Iterator[None]:
    try:
        yield
    except AuthenticationError as error:
        raise ConfigurationError(
            f"{server.address} refuses the token: give that of this cluster in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH."
        ) from error
    except (ConnectionError, requests.RequestException) as error:
        raise UnreachableError(
            f"No job server answers at {server.address}: check the address and the network."
        ) from error
    except RuntimeError as error:
        raise RayseeError(f"{server.address} does not take the job: {str(error).splitlines()[0]}") from error
