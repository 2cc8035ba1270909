"""How far what was heard lately is from what a model was trained on: histograms, and the distance between two.

The bins are fixed, so that histograms of any two nights, or of a night and a model's card, can be held side by side.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from raysee.errors import ConfigurationError

#: Where one bin ends and the next begins; the first and the last bin are open.
LEVELS_DBFS = tuple(float(level) for level in range(-80, 1, 5))
DURATIONS_S = tuple(number / 2 for number in range(1, 17))
PROBABILITIES = tuple(number / 10 for number in range(1, 10))


def histogram(values: npt.ArrayLike, edges: Sequence[float]) -> list[int]:
    """How many of `values` (num_values,) lie in each of the len(edges) + 1 bins; a bin holds its lower edge."""
    bins: npt.NDArray[Any] = np.digitize(np.asarray(values, dtype=np.float64), edges)
    counts: list[int] = np.bincount(bins, minlength=len(edges) + 1).tolist()
    return counts


def distance(counts_a: Sequence[int], counts_b: Sequence[int]) -> float | None:
    """The Jensen-Shannon distance of two histograms, 0 for equal shares and 1 for nothing in common.

    The square root of the divergence in bits (Endres and Schindelin 2003), which is a metric. None where one is empty.
    Raises ConfigurationError where their bins differ.
    """
    from scipy.special import rel_entr  # half a second, which a worker that only counts has not

    if len(counts_a) != len(counts_b):
        raise ConfigurationError(
            f"A histogram of {len(counts_a)} bins cannot be held against one of {len(counts_b)}: one of them was "
            "made by another version of raysee, make it again."
        )
    total_a, total_b = sum(counts_a), sum(counts_b)
    if not total_a or not total_b:
        return None
    share_a, share_b = np.array(counts_a) / total_a, np.array(counts_b) / total_b
    middle = (share_a + share_b) / 2
    divergence = (rel_entr(share_a, middle).sum() + rel_entr(share_b, middle).sum()) / 2 / np.log(2)
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))  # it may be off by the last bit, at both ends
