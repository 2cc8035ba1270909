"""Connecting to Ray, quietly."""

import contextlib
import functools
import logging
import os
import socket
from collections.abc import Iterator

import ray
from ray.data import DataContext

from raysee.errors import ConfigurationError, RayseeError, UnreachableError


def connect() -> None:
    """Connect to the cluster of RAY_ADDRESS, or start one on this machine; nothing happens where it is done.

    Ray's own chatter stays in its session's log folder, errors apart. Raises UnreachableError.
    """
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        # Two logical CPUs at least: with one, a stage that feeds another could wait for itself.
        num_cpus = max(2, os.cpu_count() or 1)
        local = {"address": "local", "num_cpus": num_cpus, "include_dashboard": False}
        # Two workers to a core (shards.py) stay alive between stages; Ray would keep one.
        os.environ.setdefault("RAY_num_workers_soft_limit", str(2 * num_cpus))
        try:
            _knock(address or "")
            _init(**({} if address else local))
        except Exception as error:  # Ray raises a bare one where its processes do not start in time
            if address is None:
                raise UnreachableError(
                    f"Ray cannot start on this machine ({error}): see that HOME and /tmp are writable."
                ) from error
            raise UnreachableError(
                f"No Ray cluster answers at RAY_ADDRESS={address} ({error}): "
                "start it, or unset RAY_ADDRESS to use this machine."
            ) from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Nothing here is meant to be pickled into a table: an object that Arrow cannot hold is a mistake.
    context.enable_fallback_to_arrow_object_ext_type = False
    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _init(**options: object) -> None:
    """Start Ray, or connect to one. It gives its own processes 30 s; where a busy machine takes longer, once more."""
    start = functools.partial(ray.init, log_to_driver=False, logging_level=logging.ERROR, **options)
    try:
        start()
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        start()


def check_gpus(gpus: float, actors: int = 1) -> None:
    """Connect to Ray; ConfigurationError where GPUs are asked for and there are none, or no room for so many actors.

    Ray would let an actor wait for ever for its share of a GPU.
    """
    connect()
    if not gpus:
        return
    num_gpus = int(ray.cluster_resources().get("GPU", 0))
    if not num_gpus:
        raise ConfigurationError("A GPU was asked for and the cluster has none: leave --gpus out to use CPUs.")
    room = num_gpus * int(1 / gpus + 1e-9)  # none is shared between two GPUs
    if actors > room:
        raise ConfigurationError(
            f"{actors} actors with {gpus:g} of a GPU each were asked for, and the cluster has {num_gpus}: ask for "
            f"{room} at most, or start when it has more."
        )


def num_workers(gpus: float) -> int:
    """How many tasks of so many GPUs each, or of a CPU core, there is room for; 0 before Ray is needed."""
    if not ray.is_initialized():
        return 0
    resources = ray.cluster_resources()
    return int(resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 0))


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Raise a worker's RayseeError as itself, and say in a sentence where Ray gave up; other errors are mistakes."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RayseeError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().split("\n")[0]
        raise RayseeError(
            f"Ray gave up ({type(error).__name__}: {reason}): see that the cluster is well and has memory left, "
            "then start the same command again; what is finished is kept."
        ) from error


def _knock(address: str) -> None:
    """Fail within seconds where nobody listens; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()
