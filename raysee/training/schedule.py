"""How long many trainings take: their work, and when they end on several machines, the longest first."""

import collections
import heapq
from collections.abc import Sequence

from raysee.evaluation.folds import Fold
from raysee.training.clips import Indices

_MOST_RUNS = 8
_ASKED = 1 / 3  # of a training step over the same rows: a forward pass without a backward one


def rows_of(epochs: int, length: Indices, fold: Fold) -> float:
    """Rows that go through the network in a training, where example i has `length[i]` of them."""
    return epochs * (float(length[fold.train].sum()) + _ASKED * float(length[fold.validation].sum()))


def wants_more(num_runs: int, num_trainings: int, num_workers: int) -> bool:
    """Whether another run is begun: each holds its clips in memory, and no worker shall wait for the end of one."""
    return num_runs < _MOST_RUNS or num_trainings < 2 * num_workers


def makespan(runs: Sequence[Sequence[float]], num_workers: int) -> float:
    """When the last training of `runs` ends, each a list of seconds: as `train_all` begins runs and trainings.

    In one list with the longest first, the end is at most 4/3 of the earliest possible one (Graham 1969, "Bounds on
    multiprocessing timing anomalies").
    """
    waiting = collections.deque(enumerate(runs))
    queue: collections.deque[tuple[int, float]] = collections.deque()
    running: list[tuple[float, int]] = []  # when it ends, and whose it is
    left = [len(run) for run in runs]
    begun: set[int] = set()
    now = 0.0
    while waiting or queue or running:
        todo: list[tuple[int, float]] = []
        while waiting and wants_more(len(begun), len(queue) + len(running) + len(todo), num_workers):
            number, run = waiting.popleft()
            if run:
                begun.add(number)
                todo += [(number, its) for its in run]
        queue.extend(sorted(todo, key=lambda one: -one[1]))
        while queue and len(running) < num_workers:
            number, its = queue.popleft()
            heapq.heappush(running, (now + its, number))
        if running:
            now, number = heapq.heappop(running)
            left[number] -= 1
            if not left[number]:
                begun.remove(number)
    return now


def lower_bound(runs: Sequence[Sequence[float]], num_workers: int) -> float:
    """No order ends earlier: neither before the longest training alone, nor before all workers without a pause."""
    seconds = [its for run in runs for its in run]
    return max(max(seconds, default=0.0), sum(seconds) / num_workers)
