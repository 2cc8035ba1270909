"""Standardisation of feature columns to mean 0 and standard deviation 1."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class Statistics(NamedTuple):
    """Mean and population standard deviation of each column, (num_columns,), float64."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]

    def apply(self, values: Array) -> Array:
        """Standardise values (..., num_columns); a constant column becomes 0."""
        scaled: Array = ((values - self.mean) / self.std).astype(np.float32)
        return scaled


def fit(clips: Iterable[Array]) -> Statistics:
    """Statistics over everything but the last axis of all clips, each (..., num_columns); a deviation of 0 becomes 1.

    Schuller et al. 2009, as Keesing et al. 2020, section 4.2, apply it by speaker.
    """
    columns = np.concatenate([clip.reshape(-1, clip.shape[-1]) for clip in clips])
    mean = columns.mean(axis=0, dtype=np.float64)
    std = columns.std(axis=0, dtype=np.float64)
    # Constant but for the last bits of its float32: dividing by that would blow them up.
    std[std <= 4 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
    return Statistics(mean, std)
