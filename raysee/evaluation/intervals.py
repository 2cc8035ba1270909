"""How far a figure would move with other speakers: 95 % intervals by bootstrap.

S speakers, K classes, N resamples; a confusion has true classes as rows and predicted ones as columns.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NUM_RESAMPLES = 1000
_PERCENTILES = (2.5, 97.5)
_SEED = 0  # the same predictions have the same interval wherever it is computed


def uar(confusion: Counts | Floats) -> Floats:
    """Unweighted average recall of confusions (..., K, K), shape (...): the mean over the classes with a true clip.

    A class without one is left out of the mean, as in Keesing et al. 2020.
    """
    right, true = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1)
    recall = right / np.where(true > 0, true, 1)
    mean: Floats = recall.sum(axis=-1) / (true > 0).sum(axis=-1)
    return mean


def accuracy(confusion: Counts | Floats) -> Floats:
    """The share of right answers of confusions (..., K, K), shape (...)."""
    share: Floats = np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))
    return share


def resampled_uar(confusion_SKK: Counts | Floats) -> Floats:
    """The UAR of NUM_RESAMPLES groups of S speakers drawn with replacement, (N,), each over the summed confusions.

    Equal S have equal draws, so that the differences between two runs on the same speakers are paired.
    """
    return uar(_resampled(confusion_SKK))


def _resampled(confusion_SKK: Counts | Floats) -> Counts | Floats:
    """The summed confusions of the groups that are drawn, (N, K, K)."""
    num_speakers, num_labels, _ = confusion_SKK.shape
    rng = np.random.default_rng(_SEED)
    drawn_NS = rng.multinomial(num_speakers, np.full(num_speakers, 1 / num_speakers), size=NUM_RESAMPLES)
    summed: Counts | Floats = drawn_NS @ confusion_SKK.reshape(num_speakers, -1)
    return summed.reshape(-1, num_labels, num_labels)


def percentiles(resampled_N: Floats) -> list[float]:
    """The low and the high end of the middle 95 % (Efron and Tibshirani 1993, chapter 13)."""
    return [float(end) for end in np.percentile(resampled_N, _PERCENTILES)]


def speaker_interval(
    confusion_SKK: Counts | Floats, figure: Callable[[Counts | Floats], Floats] = uar
) -> list[float] | None:
    """The 95 % interval [low, high] in [0, 1] of a figure of the summed confusions; None for one speaker.

    Speakers are drawn, and not clips, because the clips of a speaker are right or wrong together (Liu and Peng 2020
    for word error rates). One speaker drawn again is the same speaker, and would have an interval of no width.
    The models stay as they were trained: what other training clips or seeds change is not in the interval, and with
    a handful of speakers it is too narrow.
    """
    return percentiles(figure(_resampled(confusion_SKK))) if len(confusion_SKK) > 1 else None
