"""How good the answers are.

K classes; a confusion has true classes as rows and predicted ones as columns, in the order of the labels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysee.evaluation.calibration import Temperatures, calibrated
from raysee.evaluation.intervals import Counts, accuracy, speaker_interval, uar

NUM_BINS = 15  # of the calibration error: Guo et al. 2017, Table 1


class Metrics(NamedTuple):
    """Figures in [0, 1]; `confusion` counts."""

    uar: float
    accuracy: float
    confusion: list[list[int]]
    macro_f1: float
    recall: dict[str, float | None]  # None: the truth has none of the class
    precision: dict[str, float | None]  # None: the class was never predicted
    ece: float | None  # None: without probabilities


class Summary(NamedTuple):
    """A cross-validation in figures: by repeat and fold, and over all; JSON gives back what it was given.

    Figures "of all repeats" are over the predictions of all repeats together. Where every repeat tests the same clips,
    these are the means over the repeats, for recalls and accuracies.
    """

    uar_by_fold: dict[str, list[float]]  # repeat -> the folds in order
    uar_mean_of_folds: float  # the paper's: mean over folds, then over repeats
    uar_std_of_repeats: float | None  # of the repeats' means of folds; None with one repeat
    uar_pooled: float  # over all predictions of a repeat at once, mean over repeats
    uar_interval: list[float] | None  # of uar_pooled: 95 % over speakers, low and high; None with one speaker
    accuracy: float
    macro_f1: float  # as uar_pooled
    ece: float  # as uar_pooled
    recall_by_class: dict[str, float | None]  # as uar_pooled, over the repeats that have it; None where none has
    precision_by_class: dict[str, float | None]  # likewise
    uar_by_group: dict[str, dict[str, float]]  # "gender" -> "female" -> of all repeats; empty where nobody says
    uar_by_speaker: dict[str, dict[str, float]]  # speaker -> uar (over the classes it has), accuracy, clips
    #: "speaker heard, sentence unheard" -> uar, accuracy, clips; accuracy_low, accuracy_high of several speakers.
    uar_by_heard: dict[str, dict[str, float]]
    chance: float
    num_speakers: int
    num_clips: int
    confusion: list[list[int]]  # summed over the repeats
    #: As `ece`, by each fold's own temperature; None where a fold has none, or it was fitted on these very clips.
    ece_calibrated: float | None = None
    #: As `uar_interval`; None also where an earlier version wrote this.
    accuracy_interval: list[float] | None = None


def metrics(
    truth: Sequence[str],
    predicted: Sequence[str],
    labels: Sequence[str],
    probabilities: npt.NDArray[np.floating[Any]] | None = None,
) -> Metrics:
    """Figures of clips, with the calibration error where `probabilities` (num_clips, K) are there.

    UAR is over the classes that the truth holds, as in Keesing et al. 2020, and so is macro F1: the mean of the
    classes' F1, 0 for one that is never predicted (Opitz and Burst 2019 call this averaged F1).
    """
    number = {label: index for index, label in enumerate(labels)}
    true, said = (np.array([number[label] for label in column]) for column in (truth, predicted))
    ece = None if probabilities is None else calibration_error(true == said, probabilities.max(axis=1))
    return _metrics_of(_confusions(np.zeros_like(true), true, said, 1, len(labels))[0], labels, ece)


def calibration_error(right: npt.NDArray[np.bool_], confidence: npt.NDArray[np.floating[Any]]) -> float:
    """Expected calibration error of top probabilities (num_clips,): Guo et al. 2017, section 2, with NUM_BINS bins.

    The mean over clips of how far accuracy and mean confidence of the clip's bin are apart. Bins have equal widths and
    hold their upper ends.
    """
    ends = np.linspace(0, 1, NUM_BINS + 1, dtype=confidence.dtype)[1:-1]
    gap = np.bincount(np.digitize(confidence, ends, right=True), weights=right - confidence.astype(np.float64))
    return float(np.abs(gap).sum() / len(right))


def confusions_by(predictions: pa.Table, column: str, labels: Sequence[str]) -> tuple[list[Any], Counts]:
    """The values of a column in ascending order, and the confusion of the rows of each, (num_values, K, K).

    Rows with a null there are left out. Every label must be one of `labels`.
    """
    rows = predictions.select([column, "label", "predicted"])
    rows = rows.filter(pc.is_valid(rows[column]))
    values = sorted(pc.unique(rows[column]).to_pylist())
    group, true, said = (
        _indices(rows[name], known) for name, known in [(column, values), ("label", labels), ("predicted", labels)]
    )
    return values, _confusions(group, true, said, len(values), len(labels))


def summarise(predictions: pa.Table, labels: Sequence[str], temperatures: Temperatures | None = None) -> Summary:
    """The figures of a run's predictions (schema.PREDICTIONS); where rows are examples, so are "clips".

    `temperatures` change one figure, `ece_calibrated`.
    """
    repeats, confusion_by_repeat = confusions_by(predictions, "repeat", labels)
    by_fold: dict[str, list[float]] = {}
    pooled: list[Metrics] = []
    for repeat, confusion in zip(repeats, confusion_by_repeat, strict=True):
        mine = predictions.filter(pc.equal(predictions["repeat"], repeat))
        right = pc.equal(mine["label"], mine["predicted"]).to_numpy()
        confidence = pc.list_flatten(mine["probabilities"]).to_numpy().reshape(len(right), -1).max(axis=1)
        pooled.append(_metrics_of(confusion, labels, calibration_error(right, confidence)))
        by_fold[str(repeat)] = uar(confusions_by(mine, "fold", labels)[1]).tolist()
    means = [float(np.mean(folds)) for folds in by_fold.values()]
    speakers, confusion_SKK = confusions_by(predictions, "speaker", labels)
    genders, confusion_by_gender = confusions_by(predictions, "gender", labels)
    total = confusion_SKK.sum(axis=0)
    return Summary(
        uar_by_fold=by_fold,
        uar_mean_of_folds=float(np.mean(means)),
        uar_std_of_repeats=float(np.std(means, ddof=1)) if len(means) > 1 else None,
        uar_pooled=float(np.mean([one.uar for one in pooled])),
        uar_interval=speaker_interval(confusion_SKK),
        accuracy=float(np.mean([one.accuracy for one in pooled])),
        macro_f1=float(np.mean([one.macro_f1 for one in pooled])),
        ece=float(np.mean([one.ece for one in pooled])),
        recall_by_class={label: _mean([one.recall[label] for one in pooled]) for label in labels},
        precision_by_class={label: _mean([one.precision[label] for one in pooled]) for label in labels},
        uar_by_group={"gender": dict(zip(genders, uar(confusion_by_gender).tolist(), strict=True))} if genders else {},
        uar_by_speaker=_parts(speakers, confusion_SKK, len(repeats)),
        uar_by_heard=_by_heard(predictions, labels, len(repeats)),
        chance=1 / int((total.sum(axis=1) > 0).sum()),
        num_speakers=len(speakers),
        num_clips=predictions.num_rows // len(repeats),
        confusion=total.tolist(),
        ece_calibrated=_calibrated_error(predictions, temperatures or {}),
        accuracy_interval=speaker_interval(confusion_SKK, accuracy),
    )


def _calibrated_error(predictions: pa.Table, temperatures: Temperatures) -> float | None:
    repeats, folds = (predictions[name].to_numpy() for name in ("repeat", "fold"))
    if not set(zip(repeats.tolist(), folds.tolist(), strict=True)) <= temperatures.keys():
        return None
    right = pc.equal(predictions["label"], predictions["predicted"]).to_numpy()
    confidence = calibrated(predictions, temperatures).max(axis=1)
    rows = [repeats == repeat for repeat in np.unique(repeats)]
    return float(np.mean([calibration_error(right[its], confidence[its]) for its in rows]))


def _confusions(group: Counts, true: Counts, said: Counts, num_groups: int, num_labels: int) -> Counts:
    cell = (group * num_labels + true) * num_labels + said
    counted = np.bincount(cell, minlength=num_groups * num_labels**2)
    return counted.reshape(num_groups, num_labels, num_labels)


def _metrics_of(confusion: Counts, labels: Sequence[str], ece: float | None) -> Metrics:
    right, true, said = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    present = true > 0
    return Metrics(
        uar=float(uar(confusion)),
        accuracy=float(accuracy(confusion)),
        confusion=confusion.tolist(),
        macro_f1=float(np.mean(2 * right[present] / (true + said)[present])),
        recall=_shares(labels, right, true),
        precision=_shares(labels, right, said),
        ece=ece,
    )


def _shares(labels: Sequence[str], right: Counts, of: Counts) -> dict[str, float | None]:
    counted = zip(labels, right.tolist(), of.tolist(), strict=True)
    return {label: part / whole if whole else None for label, part, whole in counted}


def _parts(names: Sequence[str], confusions: Counts, num_repeats: int) -> dict[str, dict[str, float]]:
    """UAR, accuracy and number of clips by speaker or condition, of all repeats."""
    return {
        name: {
            "uar": float(uar(confusion)),
            "accuracy": float(accuracy(confusion)),
            "clips": int(confusion.sum()) // num_repeats,
        }
        for name, confusion in zip(names, confusions, strict=True)
    }


def _by_heard(predictions: pa.Table, labels: Sequence[str], num_repeats: int) -> dict[str, dict[str, float]]:
    """By condition what `_parts` has, and the interval of the accuracy over the speakers of the condition."""
    said = predictions.select(["speaker", "label", "predicted"]).append_column("heard", _heard(predictions))
    found = _parts(*confusions_by(said, "heard", labels), num_repeats)
    for condition, figures in found.items():
        _, confusion_SKK = confusions_by(said.filter(pc.equal(said["heard"], condition)), "speaker", labels)
        if (interval := speaker_interval(confusion_SKK, accuracy)) is not None:
            figures["accuracy_low"], figures["accuracy_high"] = interval
    return found


def _heard(predictions: pa.Table) -> pa.ChunkedArray:
    """In words who and what of a clip was trained on; the sentence is not mentioned where the corpus names none."""
    speaker = pc.if_else(predictions["speaker_heard"], "speaker heard", "speaker unheard")
    sentence = pc.if_else(predictions["sentence_heard"], "sentence heard", "sentence unheard")
    return pc.coalesce(pc.binary_join_element_wise(speaker, sentence, ", "), speaker)


def _indices(column: pa.ChunkedArray, values: Sequence[Any]) -> Counts:
    found = pc.index_in(column, value_set=pa.array(values, column.type))
    assert found.null_count == 0, f"every {column.type} is one of {values}"
    indices: Counts = found.to_numpy().astype(np.int64)
    return indices


def _mean(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else None
