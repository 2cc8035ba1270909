"""One start at a time works on a place: it holds a small file there, and says all the time that it lives.

A start that was killed leaves its file behind. Where it ran on this machine it is known to be dead at once; where it
ran on another one, when the file has not changed for a while. So nobody has to delete anything after a crash.
"""

import json
import os
import pathlib
import socket
import threading
import time
import uuid
from types import TracebackType
from typing import Self

from raysee import storage
from raysee.errors import BusyError, StorageError
from raysee.swap import read_if_there, swap

NAME = "lock.json"
BEAT_S = 5.0
STALE_S = 30.0  # six beats: a slow store, or a machine that is out of breath


class Lock:
    """Holds `place` until it is released.

    Raises BusyError where another start works there.
    """

    def __init__(self, place: str) -> None:
        self._uri = storage.join(place, NAME)
        self._place = place
        self._token = uuid.uuid4().hex
        self._told = {"token": self._token, "machine": _machine(), "pid": os.getpid(), "born": _born(os.getpid())}
        self._beat, self._lost = 0, False
        self._written = self._next()
        self._take()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name=f"lock of {place}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise BusyError where another start has taken the place over, because this one was not heard of for long."""
        if self._lost:
            raise BusyError(
                f"Another start has taken {self._place} over, because this one was not heard of for {STALE_S:.0f} s: "
                "let it finish; what this one has finished is kept."
            )

    def release(self) -> None:
        """Let the next start in."""
        self._over.set()
        self._thread.join()
        if not self._lost:
            storage.remove(self._uri)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def _next(self) -> bytes:
        self._beat += 1
        return (json.dumps({**self._told, "beat": self._beat}) + "\n").encode()

    def _take(self) -> None:
        seen, since = None, time.monotonic()
        while not swap(self._uri, self._written, None):
            found = read_if_there(self._uri)
            if found is None:
                continue  # it has just been released
            if self._is_ours(found):
                return
            holder = json.loads(found)
            alive = _is_alive(holder)
            if alive or (alive is None and seen is not None and found != seen):
                raise BusyError(
                    f"Another start (process {holder['pid']} on {holder['machine'].split()[0]}) is working on "
                    f"{self._place}: let it finish, or stop it and start again."
                )
            if alive is None and time.monotonic() - since < STALE_S:
                seen = found
                time.sleep(min(BEAT_S, STALE_S) / 5)
                continue
            if swap(self._uri, self._written, found):
                return

    def _go_on(self) -> None:
        while not self._over.wait(BEAT_S):
            beat = self._next()
            try:
                if not swap(self._uri, beat, self._written):
                    found = read_if_there(self._uri)
                    if found is None or not self._is_ours(found):
                        self._lost = True
                        return
                    beat = found
            except StorageError:
                continue  # the store may answer the next time; until then the file stays as it is
            self._written = beat

    def _is_ours(self, found: bytes) -> bool:
        """Whether this start has written it: a store may do what it is asked and its answer be lost, and who asks again
        is told that another was first."""
        return self._token.encode() in found


def _machine() -> str:
    """This machine since it was started, and, in a container, this container."""
    told = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            told.append(os.readlink(path) if "/ns/" in path else pathlib.Path(path).read_text().strip())
        except OSError:  # not Linux
            continue
    return " ".join(told)


def _born(pid: int) -> str:
    """When a process began, as the kernel counts: a number that is used again does not make it the same process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _is_alive(holder: dict[str, str | int]) -> bool | None:
    """Whether the holder's process runs; None where it is of another machine."""
    if holder["machine"] != _machine():
        return None
    pid = int(holder["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _born(pid) == holder["born"]
