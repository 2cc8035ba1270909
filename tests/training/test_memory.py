import ctypes
import pathlib
import resource
import subprocess
import sys

import pytest

from raysee.training import memory

_BYTES = 64 * 1024 * 1024
#: Tensors of once and twice so many bytes a round; the last rounds count, because a heap settles in the first ones.
_ROUNDS = """
import contextlib, pathlib, resource, sys
import torch
from raysee.training import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in (1, 2):
        torch.ones(size * int(sys.argv[2]) // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1])

with memory.kept() if sys.argv[1] == "kept" else contextlib.nullcontext():
    print(max([faults() for _ in range(8)][-3:]), held())
print(held())
"""


def _pages(how: str) -> tuple[int, int]:
    """What the system handed out in a round within the context, or without one, and what was given back at its end."""
    command = [sys.executable, "-c", _ROUNDS, how, str(_BYTES)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    faults, within, after = map(int, said.split())
    return faults, within - after


@pytest.mark.skipif(
    not (hasattr(ctypes.CDLL(None), "mallopt") and pathlib.Path("/proc/self/statm").exists()),
    reason="glibc and Linux are what it is for",
)
def test_memory_is_handed_out_once_and_given_back_at_the_end() -> None:
    pages = _BYTES // resource.getpagesize()
    faults, given_back = _pages("plain")
    assert faults > 2 * pages, "else this test could not fail"
    assert given_back < pages
    faults, given_back = _pages("kept")
    assert faults < pages // 100
    assert given_back > 2 * pages


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with memory.kept():
        pass
