"""Standardisation statistics in one pass over data that do not lie in memory together."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raysee.evaluation.standardise import Array, Statistics


class Moments(NamedTuple):
    """How many rows there were, and for each column their mean and sum of squared deviations, (num_columns,)."""

    num_rows: int
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]


def moments(values: Array) -> Moments:
    """Of everything but the last axis of values (..., num_columns), one or more rows."""
    columns = values.reshape(-1, values.shape[-1]).astype(np.float64)
    mean = columns.mean(axis=0)
    return Moments(len(columns), mean, ((columns - mean) ** 2).sum(axis=0))


def statistics(pieces: Iterable[Moments]) -> Statistics:
    """Of all pieces together, which gives the last bits of `standardise.fit` or their neighbours.

    Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", equations 2.1: no square of a large
    mean is ever subtracted from another. The order of the pieces decides the last bits.
    """
    first, *others = pieces
    num_rows, mean, squares = first
    for piece in others:
        total, apart = num_rows + piece.num_rows, piece.mean - mean
        mean = mean + apart * (piece.num_rows / total)
        squares = squares + piece.squares + apart**2 * (num_rows * piece.num_rows / total)
        num_rows = total
    std = np.sqrt(squares / num_rows)
    # As in standardise.fit: constant but for the last bits of its float32.
    std[std <= 4 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
    return Statistics(mean, std)
