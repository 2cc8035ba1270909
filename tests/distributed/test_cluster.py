"""What is said where Ray itself fails."""

import contextlib
import os

import pytest
import ray

from raysee.distributed.cluster import connect, explained
from raysee.errors import ConfigurationError, RayseeError, UnreachableError


def test_who_needs_ray_is_in_one_process(request: pytest.FixtureRequest, ray_session: None) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("there is one process")
    assert request.node.nodeid.endswith("@ray"), "pytest-xdist does not see the groups of conftest.py"


def test_a_worker_that_dies_is_one_sentence(ray_session: None) -> None:
    @ray.remote(max_retries=0)
    def die() -> None:
        os._exit(1)

    message = r"^Ray gave up \(WorkerCrashedError: [^\n]*\): .*start the same command again"
    with pytest.raises(RayseeError, match=message), explained():
        ray.get(die.remote())


def test_what_a_worker_says_is_said_as_it_is(ray_session: None) -> None:
    @ray.remote
    def refuse() -> None:
        raise ConfigurationError("choose another")

    with pytest.raises(ConfigurationError, match="^choose another$"), explained():
        ray.get(refuse.remote())


def test_a_mistake_of_ours_keeps_its_trace(ray_session: None) -> None:
    @ray.remote
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), explained():
        ray.get(fail.remote())


@pytest.mark.parametrize(
    ("failures", "starts", "said"),
    [
        (["The current node timed out during startup."], 2, ""),
        (["The current node timed out during startup."] * 2, 2, "Ray cannot start on this machine .*timed out"),
        (["No room in /tmp."], 1, "Ray cannot start on this machine .*No room in /tmp"),
    ],
)
def test_a_start_that_took_too_long_is_tried_once_more(
    failures: list[str], starts: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def init(**options: object) -> None:
        begun.append(options["address"])
        if len(begun) <= len(failures):
            raise Exception(failures[len(begun) - 1])

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UnreachableError, match=said) if said else contextlib.nullcontext():
        connect()
    assert begun == ["local"] * starts
