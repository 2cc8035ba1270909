"""What is read off a training run to stand beside a published figure."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from raysee.evaluation.metrics import Summary


class Value(NamedTuple):
    """A figure in [0, 1], or seconds; with its 95 % interval over speakers where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class Outcome(NamedTuple):
    """What a run has so far: its figures over clips, over examples where clips have several, its folds' receipts."""

    clips: Summary
    examples: Summary | None
    folds: list[dict[str, Any]]


#: Who and what of a test clip was in the training part.
CONDITIONS = (
    "speaker heard, sentence heard",
    "speaker heard, sentence unheard",
    "speaker unheard, sentence heard",
    "speaker unheard, sentence unheard",
)


def _of_folds(read: Callable[[dict[str, Any]], float]) -> Callable[[Outcome], Value]:
    return lambda outcome: Value(float(np.mean([read(fold) for fold in outcome.folds])))


def _by_example(read: Callable[[Summary], Value]) -> Callable[[Outcome], Value]:
    return lambda outcome: read(outcome.examples or outcome.clips)


def _uar(summary: Summary) -> Value:
    return Value(summary.uar_mean_of_folds, *(summary.uar_interval or (None, None)))


def _by_condition(figure: str, condition: str) -> Callable[[Summary], Value]:
    return lambda summary: Value(summary.uar_by_heard[condition][figure])


#: The figures by name; "example" is a window, chunk or spectrogram, where a network sees these.
READINGS: dict[str, Callable[[Outcome], Value]] = {
    "UAR": lambda outcome: _uar(outcome.clips),
    "accuracy": lambda outcome: Value(outcome.clips.accuracy),
    "example UAR": _by_example(_uar),
    "example accuracy": _by_example(lambda summary: Value(summary.accuracy)),
    "training accuracy": _of_folds(lambda fold: fold["curve"][-1]["train_accuracy"]),
    "training seconds": _of_folds(lambda fold: fold["wall_s"]),
    **{
        f"{name}, {condition}": read
        for condition in CONDITIONS
        for name, read in {
            "example accuracy": _by_example(_by_condition("accuracy", condition)),
            "accuracy": lambda outcome, condition=condition: _by_condition("accuracy", condition)(outcome.clips),
            "UAR": lambda outcome, condition=condition: _by_condition("uar", condition)(outcome.clips),
        }.items()
    },
}
