"""Whether one run is better than another on the same clips, or has had luck with its speakers.

S speakers, K classes, P patterns of signs.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysee.errors import ConfigurationError
from raysee.evaluation.intervals import Floats, percentiles, resampled_uar, uar
from raysee.evaluation.metrics import confusions_by

NUM_PATTERNS = 10_000  # of signs, where there are more than so many
_SEED = 0
_ROUNDING = 1e-12  # sums of the same terms in another order are equal


class Comparison(NamedTuple):
    """Pooled UAR in [0, 1] of two runs, mean over repeats; `difference` is the second's less the first's."""

    first_uar: float
    second_uar: float
    difference: float
    interval: list[float] | None  # of the difference: 95 % over speakers, low and high; None with one speaker
    p_value: float  # two-sided
    num_speakers: int
    num_clips: int


def compare(first: pa.Table, second: pa.Table) -> Comparison:
    """Compare two runs by their predictions (schema.PREDICTIONS) of the same clips; folds and repeats may differ.

    The interval draws the same speakers for both runs. The test is the paired permutation test, one of those that Dror
    et al. 2018 recommend for figures whose distribution is unknown: if the runs were equally good, a speaker's answers
    could as well have been exchanged between them, which flips the sign of the speaker's share in the difference. All
    patterns of signs are tried, or NUM_PATTERNS random ones that count the observed one (Phipson and Smyth 2010).
    The least p is 2 / 2^S: below 6 speakers no difference is significant at 0.05.

    Speakers are flipped, and not folds, because they are what two runs share under any protocol, and clips of
    different speakers are taken to be independent. The corrected t-test of Nadeau and Bengio 2003 takes folds as draws
    of like size with normal differences; here they differ in size and classes, and a random split is a single one.
    What it corrects for, that training parts overlap, is not in this p: it is about these trained models on other
    speakers.

    Raises ConfigurationError where clips, their speakers, labels or numbers of rows differ.
    """
    _check(_clips(first), _clips(second))
    labels = sorted({*_values(first, "label"), *_values(first, "predicted"), *_values(second, "predicted")})
    before_SKK, after_SKK = (_mean_confusions(run, labels) for run in (first, second))
    first_uar, second_uar = (float(uar(confusion.sum(axis=0))) for confusion in (before_SKK, after_SKK))
    return Comparison(
        first_uar=first_uar,
        second_uar=second_uar,
        difference=second_uar - first_uar,
        interval=percentiles(resampled_uar(after_SKK) - resampled_uar(before_SKK)) if len(before_SKK) > 1 else None,
        p_value=sign_flip_p(_shares(before_SKK, after_SKK)),
        num_speakers=len(before_SKK),
        num_clips=first.num_rows // len(_values(first, "repeat")),
    )


def sign_flip_p(shares_S: Floats) -> float:
    """How often the sum of shares (S,) with flipped signs is as far from 0 as it is without: p, two-sided."""
    num_speakers = len(shares_S)
    if 2**num_speakers <= NUM_PATTERNS:
        flipped_PS = np.arange(2**num_speakers)[:, None] >> np.arange(num_speakers) & 1
    else:
        flipped_PS = np.random.default_rng(_SEED).integers(2, size=(NUM_PATTERNS, num_speakers))
        flipped_PS[0] = 0
    sums_P = (1 - 2 * flipped_PS) @ shares_S
    return float(np.mean(np.abs(sums_P) >= np.abs(shares_S.sum()) - _ROUNDING))


def _shares(before_SKK: Floats, after_SKK: Floats) -> Floats:
    """What each speaker adds to the difference in pooled UAR, (S,): both runs have the same true clips of a class."""
    gained_SK = np.diagonal(after_SKK - before_SKK, axis1=1, axis2=2)
    true_K = before_SKK.sum(axis=(0, 2))
    shares: Floats = gained_SK[:, true_K > 0] @ (1 / true_K[true_K > 0]) / (true_K > 0).sum()
    return shares


def _mean_confusions(run: pa.Table, labels: list[str]) -> Floats:
    """Mean over repeats, (S, K, K), speakers in ascending order: a run with more repeats has no more clips."""
    return confusions_by(run, "speaker", labels)[1] / len(_values(run, "repeat"))


def _clips(run: pa.Table) -> dict[str, tuple[str, str, float]]:
    """Speaker, label and rows a repeat, by clip."""
    keys = ["clip_id", "speaker", "label"]
    counted = run.group_by(keys).aggregate([([], "count_all")])
    num_repeats = len(_values(run, "repeat"))
    columns = [counted[name].to_pylist() for name in (*keys, "count_all")]
    return {clip: (speaker, label, rows / num_repeats) for clip, speaker, label, rows in zip(*columns, strict=True)}


def _check(first: dict[str, tuple[str, str, float]], second: dict[str, tuple[str, str, float]]) -> None:
    if one_only := first.keys() ^ second.keys():
        raise ConfigurationError(
            f"{len(first.keys() - second.keys())} clips are in the first run only and "
            f"{len(second.keys() - first.keys())} in the second only, such as {min(one_only)}, and a comparison needs "
            "the same ones in both: train both on the same corpus with the same --labels, on features of all its clips."
        )
    if other := sorted(clip for clip in first if first[clip][:2] != second[clip][:2]):
        raise ConfigurationError(
            f"{len(other)} clips have another speaker or label in the second run than in the first, such as "
            f"{other[0]}, and a comparison needs the same ones: train both again on one listing of the corpus."
        )
    if other := sorted(clip for clip in first if first[clip][2] != second[clip][2]):
        raise ConfigurationError(
            f"{len(other)} clips have another number of rows a repeat in the second run than in the first, such as "
            f"{other[0]}, and a comparison needs the same: compare clips with clips, and runs that are finished."
        )


def _values(run: pa.Table, column: str) -> list[str]:
    values: list[str] = pc.unique(run[column]).to_pylist()
    return values
