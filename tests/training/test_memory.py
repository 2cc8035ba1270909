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
from raysee.config import TrainingConfig
from raysee.training import loop, memory

rounds = []

class Trainer:
    def epoch(self, fed):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for size in (1, 2):
            torch.ones(size * fed // 4)
        rounds.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        return 0.0, 0.0

def held():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1])

def train(size):
    rounds.clear()
    how = {"after": lambda course: print(held()) if len(course.curve) == 8 else None}
    loop.run("it", torch.nn.Linear(1, 1), Trainer(), TrainingConfig(epochs=8), size, None, loop.Course(), **how)

def plain(size):
    rounds.clear()
    for _ in range(8):
        Trainer().epoch(size)

large = int(sys.argv[1])
plain(large)
print(max(rounds[-3:]))
train(large)
print(max(rounds[-3:]), held())
plain(large // 16)
print(max(rounds[-3:]))
"""


@pytest.mark.skipif(
    not (hasattr(ctypes.CDLL(None), "mallopt") and pathlib.Path("/proc/self/statm").exists()),
    reason="glibc and Linux are what it is for",
)
def test_a_training_is_handed_its_memory_once_and_gives_it_back_at_the_end() -> None:
    command = [sys.executable, "-c", _ROUNDS, str(_BYTES)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    without, held_within, faults, held_after, smaller = map(int, said.split())
    pages = _BYTES // resource.getpagesize()
    assert without > 2 * pages, "else this test could not fail"
    assert faults < pages // 100
    assert held_within - held_after > 2 * pages
    assert smaller < pages // 100, "smaller blocks are kept afterwards, as by a process that has never trained"


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with memory.kept():
        pass
