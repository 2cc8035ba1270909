"""The environment of processes that the tests start."""

import os

import pytest

# By default Ray's workers are nicer than the tests beside them, which then leave them nothing of a small machine.
NICENESS = {"RAY_worker_niceness": "0"}


at_length = pytest.mark.skipif(
    "RAYSEE_AT_LENGTH" not in os.environ, reason="make chaos or make cluster runs it: it takes minutes"
)


def without_ray(**more: str) -> dict[str, str]:
    """That of this process, as if it had no Ray: of its own it knows by variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return {**kept, **NICENESS, **more}
