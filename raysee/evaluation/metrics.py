"""How good the answers are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score


class Metrics(NamedTuple):
    """Figures in [0, 1]; `confusion` counts, rows true, columns predicted, in the order of the labels."""

    uar: float
    accuracy: float
    confusion: list[list[int]]


def metrics(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Metrics:
    """Unweighted average recall over the classes that the truth holds, accuracy, and confusion.

    A class without a true clip is left out of the mean, as in Keesing et al. 2020.
    """
    present = [label for label in labels if label in set(truth)]
    return Metrics(
        uar=float(recall_score(truth, predicted, labels=present, average="macro")),
        accuracy=float(accuracy_score(truth, predicted)),
        confusion=confusion_matrix(truth, predicted, labels=list(labels)).tolist(),
    )


class Summary(NamedTuple):
    """A cross-validation in figures: by repeat and fold, and over all."""

    uar_by_fold: dict[str, list[float]]  # repeat -> the folds in order
    uar_mean_of_folds: float  # the paper's: mean over folds, then over repeats
    uar_std_of_repeats: float | None  # of the repeats' means of folds; None with one repeat
    uar_pooled: float  # over all predictions of a repeat at once, mean over repeats
    accuracy: float
    chance: float
    num_speakers: int
    num_clips: int
    confusion: list[list[int]]  # summed over the repeats


def summarise(predictions: pa.Table, labels: Sequence[str]) -> Summary:
    """The figures of a run's predictions (schema.PREDICTIONS)."""
    rows = predictions.select(["repeat", "fold", "speaker", "label", "predicted"]).to_pylist()
    repeats = sorted({row["repeat"] for row in rows})
    by_fold: dict[str, list[float]] = {}
    pooled: list[Metrics] = []
    for repeat in repeats:
        mine = [row for row in rows if row["repeat"] == repeat]
        pooled.append(_metrics_of(mine, labels))
        by_fold[str(repeat)] = [
            _metrics_of([row for row in mine if row["fold"] == fold], labels).uar
            for fold in sorted({row["fold"] for row in mine})
        ]
    means = [float(np.mean(folds)) for folds in by_fold.values()]
    return Summary(
        uar_by_fold=by_fold,
        uar_mean_of_folds=float(np.mean(means)),
        uar_std_of_repeats=float(np.std(means, ddof=1)) if len(means) > 1 else None,
        uar_pooled=float(np.mean([one.uar for one in pooled])),
        accuracy=float(np.mean([one.accuracy for one in pooled])),
        chance=1 / len({row["label"] for row in rows}),
        num_speakers=len({row["speaker"] for row in rows}),
        num_clips=len(rows) // len(repeats),
        confusion=np.sum([one.confusion for one in pooled], axis=0).tolist(),
    )


def _metrics_of(rows: Sequence[dict[str, str]], labels: Sequence[str]) -> Metrics:
    return metrics([row["label"] for row in rows], [row["predicted"] for row in rows], labels)
