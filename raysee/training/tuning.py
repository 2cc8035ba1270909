"""A search for a configuration, without what distributes it: what a trial is, its inner folds, and the choice.

A trial is one configuration over the inner folds of a search, whose order is shuffled for each trial: early folds
decide which trials go on, and they must not be the same few speakers each time. Its figure is the mean of the folds'
UARs.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
import pyarrow as pa
from optuna.distributions import CategoricalDistribution, distribution_to_json
from pydantic import BaseModel, ConfigDict

from raysee import storage
from raysee.config import RunConfig, fingerprint
from raysee.errors import ConfigurationError, RayseeError
from raysee.evaluation.folds import Fold, outer_folds, search_folds
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.models import network
from raysee.models.spaces import Point, Space, configured
from raysee.storage import join
from raysee.training.clips import Clips, Examples, Indices, examples
from raysee.training.fit import FoldResult, fit_fold
from raysee.training.inputs import Inputs
from raysee.training.loop import check_result
from raysee.training.predictions import predictions

PROTOCOL = "strict"
_LEAST_TRIALS = 8  # for the importance of parameters
#: What a training raises that is no mistake of ours: a loss that is not finite, a GPU without memory.
FAILURES = (RayseeError, RuntimeError)


class Trial(BaseModel):
    """A trial as its receipt holds it. `folds` are in the order in which they were fitted, `uars` are theirs."""

    model_config = ConfigDict(frozen=True)

    number: int
    point: Point
    status: Literal["finished", "stopped", "failed"]  # stopped: worse than others after as many folds, or out of time
    folds: list[int]
    uars: list[float]
    error: str = ""
    wall_s: float
    elapsed_s: float  # of the search until the trial ended, over all of its starts; not what a kill has cut short

    @property
    def uar(self) -> float | None:
        """Mean of its folds; None where it has none."""
        return float(np.mean(self.uars)) if self.uars else None


@dataclass(frozen=True)
class Material:
    """What the trials of a search share: clips by front-end, the same ones in each, and altered copies by theirs."""

    clips: dict[str, Clips]
    altered: dict[str, Clips]
    labels: list[str]
    initial: bytes | None

    @property
    def any_clips(self) -> Clips:
        return next(iter(self.clips.values()))


def inputs_of(config: RunConfig, space: Space) -> list[RunConfig]:
    """The base configuration with each front-end and augmentation of the space: what must be in the lake."""
    found = [config]
    for name in ("features", "augmented"):
        distribution = space.get(name)
        if isinstance(distribution, CategoricalDistribution):
            found = [one.model_copy(update={name: choice}) for one in found for choice in distribution.choices]
    return found


def gather(needs: Sequence[Inputs]) -> Material:
    """The clips that every front-end has, so that all trials are tested on the same ones.

    Raises ConfigurationError where these have one class or none.
    """
    clips = {one.config.features: one.clips() for one in needs}
    altered = {one.config.augmented: copies for one in needs if (copies := one.altered_clips()) is not None}
    common = set.intersection(*(set(found.clip_ids) for found in clips.values()))
    material = _part(Material(clips, altered, [], needs[0].initial), common)
    labels = [label for label in needs[0].labels if label in set(material.any_clips.labels)]
    if len(labels) < 2:
        raise ConfigurationError(
            f"Only clips of {labels or 'no class'} have all features: there is nothing to tell apart."
        )
    return dataclasses.replace(material, labels=labels)


def within(material: Material, fold: Fold) -> Material:
    """What a search around an outer fold of clips may see: nothing of its test part."""
    seen = np.concatenate([fold.train, fold.validation])
    return _part(material, {material.any_clips.clip_ids[clip] for clip in seen.tolist()})


def outer_folds_of(material: Material, number: int) -> list[Fold]:
    """The outer folds, by clip."""
    clips = material.any_clips
    return outer_folds(protocol(PROTOCOL), clips.held(np.arange(len(clips))), number)


def scores(material: Material, config: RunConfig, point: Point, device: str = "cpu") -> Iterator[tuple[int, float]]:
    """The inner folds of a trial in its own order, each with its UAR, as they are fitted.

    Raises RayseeError where a training does not succeed.
    """
    mine = configured(config, point)
    clips = material.clips[mine.features]
    folds = search_folds(clips.held(_examples_of(mine, clips).clip))
    for number in np.random.default_rng(int(fingerprint(point), 16)).permutation(len(folds)).tolist():
        said = _said(material, mine, folds[number], device)[0]
        yield number, summarise(said, material.labels).uar_mean_of_folds


def num_search_folds(material: Material) -> int:
    """How many folds a trial has."""
    clips = material.any_clips
    return len(search_folds(clips.held(np.arange(len(clips)))))


def fit_outer(
    material: Material, config: RunConfig, part: int, number: int, device: str = "cpu"
) -> tuple[pa.Table, FoldResult]:
    """Fit a configuration on outer fold `part` of `number` and predict its test part (schema.PREDICTIONS)."""
    clips = material.clips[config.features]
    folds = outer_folds(protocol(PROTOCOL), clips.held(_examples_of(config, clips).clip), number)
    return _said(material, config, folds[part], device)


def ranked(trials: Sequence[Trial], num_folds: int) -> list[Trial]:
    """The trials that went over all folds, the best first, of equally good ones the earlier.

    Raises RayseeError where there is none.
    """
    whole = [trial for trial in trials if trial.status == "finished" and len(trial.uars) == num_folds]
    if not whole:
        failed = [trial for trial in trials if trial.status == "failed"]
        reason = f"{len(failed)} failed, the first with: {failed[0].error}" if failed else "the time was too short"
        raise RayseeError(
            f"None of {len(trials)} trials went over all {num_folds} folds ({reason}): give more --hours or "
            "more --trials, or mend what failed and start again with --overwrite."
        )
    return sorted(whole, key=lambda trial: (-(trial.uar or 0.0), trial.number))


def told(trials: Sequence[Trial], space: Space) -> optuna.Study:
    """A study that knows these trials; what was stopped counts with the mean of the folds that it has."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        failed = trial.uar is None or trial.status == "failed"
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
                value=None if failed else trial.uar,
                params=trial.point,
                distributions=space,
            )
        )
    return study


def importance(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """The share of each parameter in the variance of the trials' figures, most important first; {} for few trials.

    Source: functional ANOVA over a random forest, Hutter, Hoos and Leyton-Brown 2014.
    """
    scored = [trial for trial in trials if trial.uar is not None and trial.status != "failed"]
    if len(scored) < _LEAST_TRIALS or len({trial.uar for trial in scored}) < 2:
        return {}
    varied = {name: one for name, one in space.items() if len({trial.point[name] for trial in scored}) > 1}
    study = told(
        [trial.model_copy(update={"point": {name: trial.point[name] for name in varied}}) for trial in scored], varied
    )
    # Here, because it brings scikit-learn, which takes as long as half of PyTorch, and every trial is a process.
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def outside(point: Point, space: Space) -> list[str]:
    """The names whose values a space does not hold."""
    found = []
    for name, distribution in space.items():
        try:
            optuna.trial.create_trial(value=0.0, params={name: point[name]}, distributions={name: distribution})
        except ValueError:
            found.append(name)
    return found


def trial_place(place: str, number: int) -> str:
    """Where the receipt of a trial lies below its search."""
    return join(place, "trials", f"{number:05d}.json")


def read_trials(place: str) -> list[Trial]:
    """The trials of a search that have a receipt, in order."""
    folder = join(place, "trials")
    return [Trial.model_validate_json(storage.read_bytes(join(folder, name))) for name in sorted(storage.names(folder))]


def space_as_json(space: Space) -> dict[str, Any]:
    """For fingerprints and pages."""
    return {name: json.loads(distribution_to_json(distribution)) for name, distribution in space.items()}


def _examples_of(config: RunConfig, clips: Clips) -> Examples:
    return examples(clips.offsets, clips.shape, network(config.model).unit, config.hop_ms)


def _said(material: Material, config: RunConfig, fold: Fold, device: str) -> tuple[pa.Table, FoldResult]:
    clips = material.clips[config.features]
    result = fit_fold(
        config,
        clips,
        material.labels,
        fold,
        0,
        altered=material.altered.get(config.augmented),
        initial=material.initial,
        device=device,
    )
    check_result("the trial", config.training, result.weights, result.probabilities)
    return predictions(config, clips, _examples_of(config, clips), material.labels, fold, result), result


def _part(material: Material, clip_ids: set[str]) -> Material:
    return dataclasses.replace(
        material,
        clips={name: _only(clips, clip_ids) for name, clips in material.clips.items()},
        altered={name: _only(clips, clip_ids) for name, clips in material.altered.items()},
    )


def _only(clips: Clips, clip_ids: set[str]) -> Clips:
    """These clips, in a copy: nothing of the others is left."""
    kept = [clip for clip, clip_id in enumerate(clips.clip_ids) if clip_id in clip_ids]
    values = np.concatenate([clips.array(clip) for clip in kept]) if kept else clips.values[:0]
    lengths: Indices = np.diff(clips.offsets)[kept]

    def column(values: list[Any]) -> list[Any]:
        return [values[clip] for clip in kept]

    return Clips(
        values=values,
        offsets=np.cumsum([0, *lengths.tolist()], dtype=np.int64),
        **{
            field.name: column(getattr(clips, field.name))
            for field in dataclasses.fields(Clips)
            if field.name not in ("values", "offsets")
        },
    )
