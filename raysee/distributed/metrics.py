"""What is counted while the stages run, for Prometheus: Ray exports each of these as `ray_raysee_...`.

Labels have a handful of values: no call, clip, speaker or corpus is named in one. Counters of a worker that has ended
are kept by its node. A gauge is dropped 20 s after the process that set it has ended, so that what reads it has to come
by more often (infra/prometheus/prometheus.yml). Ray adds up a histogram from the middles of its buckets: its count is
exact and its sum is not, so seconds are summed in a counter besides.
"""

import functools
from collections.abc import Collection, Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

_BOUNDARIES_S = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]


def count_shard(folders: Collection[str], receipts: Collection[Mapping[str, Any]], wall_s: float) -> None:
    """A shard is done, with a receipt for each place that it wrote `folders` below; it took `wall_s` seconds."""
    stage = "score" if "calls" in folders else "extract"
    for receipt in receipts:
        for error, number in receipt["rejects"].items():
            _add("raysee_rejects_total", number, stage=stage, error=error)
        if stage == "score":
            _add("raysee_calls_total", receipt["out"], outcome="scored")
            _add("raysee_calls_total", receipt["in"] - receipt["out"], outcome="rejected")
    # Each clip is decoded once, however many places its features go to.
    _add("raysee_audio_seconds_total", max(receipt["audio_s"] for receipt in receipts), stage=stage)
    _spent(stage, wall_s)


def count_fold(wall_s: float) -> None:
    """A training of a fold, or of the model that is delivered, is done."""
    _add("raysee_folds_total", 1)
    _spent("fold", wall_s)


def count_trial(wall_s: float) -> None:
    """A trial of a search is done."""
    _add("raysee_trials_total", 1)
    _spent("trial", wall_s)


def note_night(finished: float) -> None:
    """A night's receipt was written at `finished`, in seconds since 1970."""
    _gauge("raysee_last_night_timestamp_seconds", ()).set(finished)


def note_drift(figures: Mapping[str, float]) -> None:
    """How far a night is from those before it, by name of the figure; 0 is not at all."""
    for name, value in figures.items():
        _gauge("raysee_drift", ("figure",)).set(value, {"figure": name})


def _spent(stage: str, wall_s: float) -> None:
    _add("raysee_work_seconds_total", wall_s, stage=stage)
    _histogram("raysee_stage_seconds").observe(wall_s, {"stage": stage})


def _add(name: str, value: float, **labels: str) -> None:
    if value > 0:  # Ray takes nothing else
        _counter(name, tuple(labels)).inc(value, labels)


_DESCRIPTIONS = {
    "raysee_audio_seconds_total": "Seconds of audio that were read, by stage.",
    "raysee_calls_total": "Recordings that were scored or rejected, by outcome.",
    "raysee_drift": "How far the last night is from those before it, by figure.",
    "raysee_folds_total": "Trainings of folds that ended.",
    "raysee_last_night_timestamp_seconds": "When the last night's receipt was written, in seconds since 1970.",
    "raysee_rejects_total": "Recordings or clips that could not be used, by stage and class of the error.",
    "raysee_stage_seconds": "How long a shard, a fold or a trial took, by stage.",
    "raysee_trials_total": "Trials of searches that ended.",
    "raysee_work_seconds_total": "Seconds of work, by stage.",
}


# One object a name and process: a second one of a name would be another series to Ray.


@functools.cache
def _counter(name: str, labels: tuple[str, ...]) -> Counter:
    return Counter(name, _DESCRIPTIONS[name], labels)


@functools.cache
def _gauge(name: str, labels: tuple[str, ...]) -> Gauge:
    return Gauge(name, _DESCRIPTIONS[name], labels)


@functools.cache
def _histogram(name: str) -> Histogram:
    return Histogram(name, _DESCRIPTIONS[name], _BOUNDARIES_S, ("stage",))
