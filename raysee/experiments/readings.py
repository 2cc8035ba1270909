"""What is read off a training run to stand beside a published figure."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from raysee.errors import ConfigurationError
from raysee.evaluation.metrics import Summary
from raysee.training.finished import FoldReceipt


class Value(NamedTuple):
    """A figure in [0, 1], or seconds; of a mean over folds also the pooled one.

    The interval is that of 95 % over speakers, of the pooled figure where there is one; of one speaker there is none.
    """

    value: float
    pooled: float | None = None
    low: float | None = None
    high: float | None = None


class Outcome(NamedTuple):
    """What a run has so far: its figures over clips, over examples where clips have several, its folds' receipts."""

    clips: Summary
    examples: Summary | None
    folds: list[FoldReceipt]


Reading = Callable[[Outcome], Value]

#: Who and what of a test clip was in the training part.
CONDITIONS = (
    "speaker heard, sentence heard",
    "speaker heard, sentence unheard",
    "speaker unheard, sentence heard",
    "speaker unheard, sentence unheard",
)


def _of_clips(read: Callable[[Summary], Value]) -> Reading:
    return lambda outcome: read(outcome.clips)


def _of_examples(read: Callable[[Summary], Value]) -> Reading:
    return lambda outcome: read(outcome.examples or outcome.clips)


def _of_folds(read: Callable[[FoldReceipt], float]) -> Reading:
    return lambda outcome: Value(float(np.mean([read(fold) for fold in outcome.folds])))


def _uar(summary: Summary) -> Value:
    return Value(summary.uar_mean_of_folds, summary.uar_pooled, *(summary.uar_interval or (None, None)))


def _accuracy(summary: Summary) -> Value:
    return Value(summary.accuracy, None, *(summary.accuracy_interval or (None, None)))


def _accuracy_where(condition: str) -> Callable[[Summary], Value]:
    def read(summary: Summary) -> Value:
        if condition not in summary.uar_by_heard:
            raise ConfigurationError(f"no test clip is of the condition {condition!r}.")
        figures = summary.uar_by_heard[condition]
        return Value(figures["accuracy"], None, figures.get("accuracy_low"), figures.get("accuracy_high"))

    return read


IN_SECONDS = ("training seconds", "seconds an epoch")
#: The figures by name; an example is a window, chunk or spectrogram, where a network sees these.
READINGS: dict[str, Reading] = {
    "UAR": _of_clips(_uar),
    "accuracy": _of_clips(_accuracy),
    "example UAR": _of_examples(_uar),
    "example accuracy": _of_examples(_accuracy),
    "training accuracy": _of_folds(lambda fold: fold.curve[-1].train_accuracy),
    "training seconds": _of_folds(lambda fold: fold.wall_s),
    "seconds an epoch": _of_folds(lambda fold: fold.wall_s / len(fold.curve)),
    **{f"accuracy, {condition}": _of_clips(_accuracy_where(condition)) for condition in CONDITIONS},
    **{f"example accuracy, {condition}": _of_examples(_accuracy_where(condition)) for condition in CONDITIONS},
}
