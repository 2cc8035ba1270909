"""Starts of `raysee` in sessions of their own, whose processes are found and killed by their ids."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from ..environment import without_ray

LITTER_S = 30.0


def start(words: list[str], logs: str) -> subprocess.Popen[str]:
    """`python -m raysee words` with a Ray of its own, whose files are in the folder `logs` (keep its name short)."""
    return subprocess.Popen(
        [sys.executable, "-m", "raysee", *words],
        env=without_ray(RAY_TMPDIR=logs),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def session_of(pid: int) -> int | None:
    """The session that a living process belongs to."""
    try:
        state, _, _, session = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(session)


def members(session: int) -> list[int]:
    """The living processes of a session."""
    pids = [int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if session_of(pid) == session]


def named(session: int, *names: str) -> list[int]:
    """Those of a session's processes whose command line begins with one of these programs, or titles."""
    found = []
    for pid in members(session):
        with contextlib.suppress(OSError):
            program = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            if program.rsplit("/", 1)[-1].startswith(names):
                found.append(pid)
    return found


def kill(pids: list[int]) -> None:
    """The youngest first: workers before those who would notice."""
    for pid in sorted(pids, reverse=True):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def leave_nobody(process: subprocess.Popen[str]) -> None:
    """Wait until the last process of a killed session is gone; fails, and ends them by id, where they stay."""
    process.wait()
    deadline = time.monotonic() + LITTER_S
    while (left := members(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    names = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left if session_of(pid) == process.pid]
    kill(left)
    assert not names, f"still there {LITTER_S:.0f} s after the kill"
