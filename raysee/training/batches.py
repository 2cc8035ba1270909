"""Examples -> batches of tensors.

Shapes: B examples, T rows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from raysee.models.network import Network
from raysee.training.clips import Array, Examples, Indices


class Batch(NamedTuple):
    """Examples by their positions, their values, and how many rows of each are not padding."""

    positions: torch.Tensor  # (B,)
    values: torch.Tensor  # (B, T, *shape) or (B, *shape), see models.Network
    lengths: torch.Tensor  # (B,)


class Batches:
    """What a network is fed: `positions` in `examples` whose rows lie in `values` (num_rows, *shape), standardised.

    Batches of like length are made once: sorting wastes little on padding, and which clips share a batch never
    changes, as in Keesing et al.'s code; only the order of the batches does.
    """

    def __init__(
        self, spec: Network, values: torch.Tensor, examples: Examples, positions: Indices, batch_size: int
    ) -> None:
        self._spec, self._values, self._examples = spec, values, examples
        self._positions, self._batch_size = positions, batch_size
        self._fixed = [self._make(part) for part in self._parts(positions)] if self._ragged else None

    @property
    def _ragged(self) -> bool:
        return self._spec.unit == "clip" and self._spec.batching == "length"

    def in_order(self) -> Iterator[Batch]:
        """Every example once."""
        return iter(self._fixed) if self._fixed is not None else map(self._make, self._parts(self._positions))

    def shuffled(self) -> Iterator[Batch]:
        """Every example once: fixed batches in another order, or other batches, drawn by PyTorch's own generator."""
        if self._fixed is not None:
            return (self._fixed[number] for number in torch.randperm(len(self._fixed)).tolist())
        order = torch.randperm(len(self._positions)).numpy()
        return map(self._make, self._cut(self._positions[order]))

    def _parts(self, positions: Indices) -> list[Indices]:
        """Like lengths together, so that little is padded."""
        return self._cut(positions[np.argsort(self._examples.length[positions], kind="stable")])

    def _cut(self, positions: Indices) -> list[Indices]:
        return [positions[first : first + self._batch_size] for first in range(0, len(positions), self._batch_size)]

    def _make(self, positions: Indices) -> Batch:
        start, length = self._examples.start[positions], self._examples.length[positions]
        device = self._values.device
        if self._spec.unit == "clip":
            values, length = self._padded(start, length)
        else:
            rows = torch.from_numpy(start).to(device)
            if self._spec.unit == "window":
                rows = rows[:, None] + torch.arange(int(length[0]), device=device)
            values = self._values[rows]
        return Batch(torch.from_numpy(positions).to(device), values, torch.from_numpy(length).to(device))

    def _padded(self, start: Indices, length: Indices) -> tuple[torch.Tensor, Indices]:
        length = np.minimum(length, self._spec.max_length or length.max())
        multiple = self._spec.length_multiple
        num_rows = max(-(-int(length.max()) // multiple) * multiple, self._spec.min_length)
        values = self._values.new_zeros(len(start), num_rows, *self._values.shape[1:])
        for row, first, count in zip(values, start.tolist(), length.tolist(), strict=True):
            row[:count] = self._values[first : first + count]
        return values, length


def end_to_end(clips: Sequence[Array]) -> tuple[Array, Indices]:
    """Clips of (num_rows, *shape) each, one behind the other, and where each begins and the last one ends."""
    return np.concatenate(clips), np.cumsum([0, *map(len, clips)], dtype=np.int64)
