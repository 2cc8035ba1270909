"""Where the seconds go."""

import collections
import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Adds up the wall time of stages by their name in `seconds`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.defaultdict(float)

    @contextlib.contextmanager
    def of(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - began

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items, the time that each takes to come out counted."""
        remaining = iter(items)
        while True:
            with self.of(stage):
                try:
                    item = next(remaining)
                except StopIteration:
                    return
            yield item
