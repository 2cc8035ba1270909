"""Examples -> batches of tensors.

Shapes: B examples, T rows.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch

from raysee.models.network import Network
from raysee.training.clips import Array, Examples, Indices


class Batch(NamedTuple):
    """Examples by their positions, their values, and how many rows of each are not padding.

    One of N workers has b of the B examples of a batch, and `share` is N b / B: so the mean of the workers' gradients
    is the batch's. It is 0 where a worker has none and an example of another stands in.
    """

    positions: torch.Tensor  # (B,)
    values: torch.Tensor  # (B, T, *shape) or (B, *shape), see models.Network
    lengths: torch.Tensor  # (B,)
    share: float = 1.0


class Feed(Protocol):
    """What a network is trained on, a pass at a time."""

    def shuffled(self) -> Iterator[Batch]:
        """Every example once, in an order that is drawn."""


class Ordered(Protocol):
    """What a network is asked about."""

    def in_order(self) -> Iterator[Batch]:
        """Every example once."""


class Cut:
    """Which of `positions` share a batch; `length` is that of every example.

    Batches of like length are made once: sorting wastes little on padding, and which clips share a batch never
    changes, as in Keesing et al.'s code; only the order of the batches does. Others are drawn anew each time.
    """

    def __init__(self, spec: Network, length: Indices, positions: Indices, batch_size: int) -> None:
        self._length, self._positions, self._batch_size = length, positions, batch_size
        self._even = spec.batching == "even"
        self.fixed = spec.unit == "clip" and spec.batching == "length"

    @functools.cached_property
    def in_order(self) -> list[Indices]:
        """Like lengths together."""
        return self._cut(self._positions[np.argsort(self._length[self._positions], kind="stable")])

    def shuffled(self, generator: torch.Generator | None = None) -> list[Indices]:
        """Fixed batches in another order, or other batches, drawn by `generator`, or else by PyTorch's own."""
        if self.fixed:
            return [
                self.in_order[number] for number in torch.randperm(len(self.in_order), generator=generator).tolist()
            ]
        order = torch.randperm(len(self._positions), generator=generator).numpy()
        return self._cut(self._positions[order])

    def _cut(self, positions: Indices) -> list[Indices]:
        if self._even and len(positions):
            return np.array_split(positions, -(-len(positions) // self._batch_size))
        return [positions[first : first + self._batch_size] for first in range(0, len(positions), self._batch_size)]


class Batches:
    """What a network is fed: `positions` in `examples` whose rows lie in `values` (num_rows, *shape), standardised."""

    def __init__(
        self, spec: Network, values: torch.Tensor, examples: Examples, positions: Indices, batch_size: int
    ) -> None:
        self._spec, self._values, self._examples = spec, values, examples
        self._cut = Cut(spec, examples.length, positions, batch_size)
        # An example is in one batch, and so its first one names it.
        self._made = {int(part[0]): self._make(part) for part in self._cut.in_order} if self._cut.fixed else {}

    def in_order(self) -> Iterator[Batch]:
        """Every example once."""
        return map(self._batch, self._cut.in_order)

    def shuffled(self) -> Iterator[Batch]:
        """Every example once: fixed batches in another order, or other batches, drawn by PyTorch's own generator."""
        return map(self._batch, self._cut.shuffled())

    def _batch(self, positions: Indices) -> Batch:
        return self._made[int(positions[0])] if self._cut.fixed else self._make(positions)

    def _make(self, positions: Indices) -> Batch:
        start, length = self._examples.start[positions], self._examples.length[positions]
        device = self._values.device
        if self._spec.unit == "clip":
            length = cut_lengths(self._spec, length)
            values = padded(self._values, start, length, padded_rows(self._spec, length))
        else:
            rows = torch.from_numpy(start).to(device)
            if self._spec.unit == "window":
                rows = rows[:, None] + torch.arange(int(length[0]), device=device)
            # Six times as fast on a CPU as values[rows].
            values = self._values.index_select(0, rows.flatten()).view(*rows.shape, *self._values.shape[1:])
        return Batch(torch.from_numpy(positions).to(device), values, torch.from_numpy(length).to(device))


def cut_lengths(spec: Network, length: Indices) -> Indices:
    """How many rows of clips of `length` rows a network sees."""
    return length if spec.max_length is None else np.minimum(length, spec.max_length)


def padded_rows(spec: Network, length: Indices) -> int:
    """How many rows a batch of clips has of which so many are seen."""
    multiple = spec.length_multiple
    return max(-(-int(length.max()) // multiple) * multiple, spec.min_length)


def padded(values: torch.Tensor, start: Indices, length: Indices, num_rows: int) -> torch.Tensor:
    """Clips (B, num_rows, *shape) with zeros behind each; `values` (..., *shape) has their rows from `start` on."""
    clips = values.new_zeros(len(start), num_rows, *values.shape[1:])
    for row, first, count in zip(clips, start.tolist(), length.tolist(), strict=True):
        row[:count] = values[first : first + count]
    return clips


def end_to_end(clips: Sequence[Array]) -> tuple[Array, Indices]:
    """Clips of (num_rows, *shape) each, one behind the other, and where each begins and the last one ends."""
    return np.concatenate(clips), np.cumsum([0, *map(len, clips)], dtype=np.int64)
