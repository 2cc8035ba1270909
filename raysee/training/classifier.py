"""One fold of a classical classifier: standardise, choose its parameters, fit, predict the test part."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from raysee.config import RunConfig
from raysee.evaluation.folds import FINAL, Fold, inner_folds
from raysee.evaluation.protocols import protocol
from raysee.evaluation.standardise import Statistics
from raysee.models import CLASSIFIERS
from raysee.models.classical import choose, fit_predict
from raysee.training.clips import Array, Clips, Examples, Indices, examples
from raysee.training.fit import FoldResult, check_finite, derive_seed, standardised
from raysee.training.fit_lstm import fit_lstm
from raysee.training.loop import example_weights


def tune(config: RunConfig, clips: Clips, labels: Sequence[str], folds: Sequence[Fold]) -> dict[str, float]:
    """The parameters that are best on the test parts of `folds`, as Keesing et al.'s code searches them.

    The figures of these folds then flatter: only a protocol that says so does it.
    Raises RayseeError where a feature is NaN or infinite.
    """
    check_finite(clips)
    spec = CLASSIFIERS[config.model]
    if len(spec.grid) == 1:
        return spec.grid[0]
    tested = [fold for fold in folds if fold.number != FINAL]
    parts = [(fold.train, fold.test) for fold in tested]
    values = [_vectors(config, clips, fold)[0] for fold in tested]
    classes = _classes(clips, labels)
    return choose(spec, parts, values, classes, _weigh(config, clips, classes))


def fit_fold(
    config: RunConfig,
    clips: Clips,
    labels: Sequence[str],
    fold: Fold,
    repeat: int,
    parameters: dict[str, float] | None,
) -> FoldResult:
    """Fit `config.model` on one fold; the order of `labels` is that of the classes.

    Without `parameters` they are searched on groups that are left out of the training part in turn.
    Raises RayseeError where a feature is NaN or infinite, ConfigurationError where there is one group to search on.
    """
    began = time.perf_counter()
    check_finite(clips)
    spec, seed = CLASSIFIERS[config.model], derive_seed(config, fold.number, repeat)
    (values, statistics), classes = _vectors(config, clips, fold), _classes(clips, labels)
    weigh = _weigh(config, clips, classes)
    if parameters is None:
        parameters = spec.grid[0]
        if len(spec.grid) > 1:
            groups = np.asarray(clips.groups)[_clip_of(clips)]
            inner = inner_folds(fold.train, groups)
            parameters = choose(spec, inner, [values] * len(inner), classes, weigh)
    train, heard = fold.train, fold.train if config.aggregation == "lstm" else fold.train[:0]
    asked = np.concatenate([fold.test, fold.validation, heard])
    answers = fit_predict(
        spec, parameters, values[train], classes[train], values[asked], seed=seed, weights_N=weigh(train)
    )
    tested, validated, known = np.split(answers, np.cumsum([len(fold.test), len(fold.validation)]))
    lstm = fit_lstm(config, clips, labels, known, _clip_of(clips)[heard], seed) if len(heard) else None
    return FoldResult(
        fold=fold.number,
        repeat=repeat,
        seed=seed,
        chosen_epoch=0,
        curve=[],
        probabilities=tested,
        weights={},
        statistics=statistics,
        wall_s=time.perf_counter() - began,
        validation=validated,
        parameters=parameters,
        lstm=lstm,
    )


def _weigh(config: RunConfig, clips: Clips, classes: Indices) -> Callable[[Indices], Array]:
    """The weights of the examples of a training part, as the protocol has them for every model."""
    rules, seen = protocol(config.protocol), _rows(config, clips)

    def weigh(train: Indices) -> Array:
        weights: Array = (example_weights(rules, clips, seen, classes, train) ** config.training.balance).numpy()
        return weights[train]

    return weigh


def _vectors(config: RunConfig, clips: Clips, fold: Fold) -> tuple[Array, Statistics | None]:
    """One vector a row, (num_rows, num_columns), as the protocol standardises them."""
    return standardised(clips, _rows(config, clips), fold, protocol(config.protocol))


def _rows(config: RunConfig, clips: Clips) -> Examples:
    return examples(clips.offsets, clips.shape, "row", config.hop_ms)


def _classes(clips: Clips, labels: Sequence[str]) -> Indices:
    return np.array([labels.index(label) for label in clips.labels])[_clip_of(clips)]


def _clip_of(clips: Clips) -> Indices:
    return np.repeat(np.arange(len(clips)), np.diff(clips.offsets))
