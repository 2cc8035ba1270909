"""Clips whose class is only in the order of what is said of their rows, and the LSTM that hears it."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch

from raysee import storage
from raysee.config import RunConfig, ScoreConfig, TrainingConfig
from raysee.errors import ConfigurationError
from raysee.evaluation.aggregate import by_clip
from raysee.evaluation.calibration import fit_temperature
from raysee.evaluation.folds import Fold, make_folds
from raysee.evaluation.protocols import PROTOCOLS, protocol
from raysee.features import front_end
from raysee.models.score_lstm import NAME, ScoreLstm
from raysee.scoring.scorer import Scorer, predictor
from raysee.training import card, classifier, fit
from raysee.training.aggregation import lstm_of, of_clips
from raysee.training.clips import Clips, examples
from raysee.training.fit import FoldResult, fit_fold
from raysee.training.fit_lstm import fit_lstm
from raysee.training.predictions import predictions, temperature

Array = npt.NDArray[Any]
#: Two kinds of rows, those of `calm` and of `rage`: in `rising` clips the first come first, in `falling` the others.
LABELS = ["calm", "falling", "rage", "rising"]
ROWS = {"calm": [0, 0, 0, 0], "falling": [1, 1, 0, 0], "rage": [1, 1, 1, 1], "rising": [0, 0, 1, 1]}
#: What a network can say of a row of either kind: the class of all of its rows, or of one that has both kinds.
SAID = np.array([[0.4, 0.3, 0.0, 0.3], [0.0, 0.3, 0.4, 0.3]], np.float32)
#: Rows that say nothing.
ALIKE = np.full((2, 4), 0.25, np.float32)


def corpus(num_speakers: int = 4, clips_each: int = 160, seed: int = 0) -> Clips:
    """Rows of chunk26's shape, whose first column says of which kind they are."""
    labels = [LABELS[number % 4] for number in range(num_speakers * clips_each)]
    kinds = np.concatenate([ROWS[label] for label in labels])
    values = np.random.default_rng(seed).standard_normal((len(kinds), 26)).astype(np.float32)
    values[:, 0] += 6 * kinds
    speakers = [f"s{number // clips_each}" for number in range(len(labels))]
    return Clips(
        values=values,
        offsets=4 * np.arange(len(labels) + 1),
        clip_ids=[f"{number:04}" for number in range(len(labels))],
        corpora=["a"] * len(labels),
        speakers=speakers,
        groups=speakers,
        labels=labels,
        genders=[None] * len(labels),
        sentences=[None] * len(labels),
        repetitions=[None] * len(labels),
    )


def configuration(aggregation: str = "lstm", model: str = "fc2", protocol_name: str = "strict") -> RunConfig:
    fields = {
        **{"corpora": ("emodb",), "features": "chunk26", "model": model, "size": "debug"},
        **{"aggregation": aggregation, "protocol": protocol_name},
        "training": TrainingConfig(epochs=3, batch_size=64, learning_rate=3e-3),
    }
    return RunConfig.model_validate(fields)


def first_fold(clips: Clips, protocol_name: str = "strict") -> Fold:
    return make_folds(protocol(protocol_name), clips.held(rows(clips)), seed=0)[0]


def rows(clips: Clips) -> npt.NDArray[np.int64]:
    return examples(clips.offsets, clips.shape, "row", 10).clip


def said_of(clips: Clips, said: Array = SAID) -> Array:
    return np.concatenate([said[ROWS[label]] for label in clips.labels])


def share_of_right(clips: Clips, tested: Array, probabilities: Array, labels: Sequence[str] = LABELS) -> float:
    found = [labels[index] for index in probabilities.argmax(axis=1).tolist()]
    return float(np.mean([clips.labels[clip] == label for clip, label in zip(tested.tolist(), found, strict=True)]))


def equal(one: ScoreLstm | None, other: ScoreLstm | None) -> bool:
    assert one is not None
    assert other is not None
    return all(torch.equal(one.state_dict()[name], other.state_dict()[name]) for name in one.state_dict())


def test_a_class_that_is_only_in_the_order_is_learned_and_the_mean_cannot() -> None:
    clips, others = corpus(), corpus(num_speakers=1)
    lstm = fit_lstm(configuration(), clips, LABELS, said_of(clips), rows(clips), seed=0)
    said, clip_of = said_of(others), rows(others)
    assert share_of_right(others, *of_clips(said, clip_of, "lstm", lstm)) == 1.0
    assert share_of_right(others, *of_clips(said, clip_of, "mean", None)) == 0.75, "of two classes it always takes one"


def test_the_examples_of_a_clip_are_heard_in_their_order_wherever_they_stand() -> None:
    clips = corpus(num_speakers=1, clips_each=8)
    lstm = fit_lstm(configuration(), corpus(), LABELS, said_of(corpus()), rows(corpus()), seed=0)
    said, clip_of = said_of(clips), rows(clips)
    among = np.concatenate([np.arange(number, len(said), 4) for number in range(4)])  # first rows, second ones, ...
    heard, found = of_clips(said[among], clip_of[among], "lstm", lstm)
    assert heard.tolist() == list(range(8))
    np.testing.assert_allclose(found, of_clips(said, clip_of, "lstm", lstm)[1], atol=1e-6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("how", ["mean", "median", "vote"])
def test_the_other_ways_are_as_ever(how: Any) -> None:
    clips = corpus(num_speakers=1, clips_each=8)
    for found, expected in zip(
        of_clips(said_of(clips), rows(clips), how, None), by_clip(said_of(clips), rows(clips), how), strict=True
    ):
        assert np.array_equal(found, expected)


def test_a_model_that_is_sure_is_heard_too() -> None:
    clips = corpus(clips_each=8)
    sure = np.eye(4, dtype=np.float32)[[LABELS.index(clips.labels[clip]) for clip in rows(clips)]]
    lstm = fit_lstm(configuration(), clips, LABELS, sure, rows(clips), seed=0)
    heard, found = of_clips(sure, rows(clips), "lstm", lstm)
    assert np.isfinite(found).all()
    assert share_of_right(clips, heard, found) == 1.0


def test_a_seed_gives_the_same_whatever_was_drawn_before() -> None:
    clips = corpus(clips_each=8)
    one, again, other = (
        fit_lstm(configuration(), clips, LABELS, said_of(clips), rows(clips), seed=seed)
        for seed in (3, torch.randint(3, 4, ()).item(), 4)
    )
    assert equal(one, again)
    assert not equal(one, other)


@pytest.mark.parametrize(("protocol_name", "weighed"), [("strict", True), ("conditions", False)])
def test_classes_weigh_as_the_protocol_has_it(protocol_name: str, weighed: bool) -> None:
    """Of rows that say nothing the classes stay equal, or the one of most clips is learned."""
    clips = corpus(clips_each=48)
    labels = ["calm" if number % 3 else label for number, label in enumerate(clips.labels)]
    clips = dataclasses.replace(clips, labels=labels)
    lstm = fit_lstm(configuration(protocol_name=protocol_name), clips, LABELS, said_of(clips, ALIKE), rows(clips), 0)
    (found,) = of_clips(ALIKE, np.zeros(2, np.int64), "lstm", lstm)[1]
    assert (found.max() < 0.3) == weighed
    assert (found[0] > 0.4) == (not weighed)


def heard(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[Array]:
    """The clips that the LSTMs of `module` hear from now on."""
    asked = []

    def spy(config: RunConfig, clips: Clips, labels: list[str], said: Array, clip_of: Array, seed: int) -> ScoreLstm:
        assert len(said) == len(clip_of)
        asked.append(clip_of)
        return fit_lstm(config, clips, labels, said, clip_of, seed)

    monkeypatch.setattr(module, "fit_lstm", spy)
    return asked


@pytest.fixture(scope="module")
def result() -> FoldResult:
    clips = corpus()
    return fit_fold(configuration(), clips, LABELS, first_fold(clips), 0)


def test_a_fold_hears_the_order(result: FoldResult) -> None:
    clips = corpus()
    fold, seen = first_fold(clips), examples(clips.offsets, clips.shape, "row", 10)
    said = predictions(configuration(), clips, seen, LABELS, fold, result)
    assert said.num_rows == len(np.unique(seen.clip[fold.test])) == 160
    right = np.mean(np.array(said["label"]) == np.array(said["predicted"]))
    mean = predictions(configuration("mean"), clips, seen, LABELS, fold, result)
    assert right > 0.95
    assert np.mean(np.array(mean["label"]) == np.array(mean["predicted"])) < 0.85


def test_twice_the_same_fold_is_the_same_to_the_bit_and_the_network_is_that_of_the_mean(result: FoldResult) -> None:
    clips = corpus()
    again = fit_fold(configuration(), clips, LABELS, first_fold(clips), 0)
    mean = fit_fold(configuration("mean"), clips, LABELS, first_fold(clips), 0)
    assert equal(result.lstm, again.lstm)
    assert result.lstm is not None
    names = {f"{NAME}.{name}" for name in result.lstm.state_dict()}
    assert result.weights.keys() - mean.weights.keys() == names
    assert all(torch.equal(result.weights[name], weights) for name, weights in mean.weights.items())
    assert np.array_equal(result.probabilities, mean.probabilities)


def test_only_the_training_part_is_heard_and_nothing_of_the_test_part_matters(
    result: FoldResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = corpus()
    fold, asked = first_fold(clips), heard(monkeypatch, fit)
    values, labels = clips.values.copy(), np.array(clips.labels)
    values[fold.test] = 100 - values[fold.test] ** 2
    labels[rows(clips)[fold.test]] = "rage"
    changed = dataclasses.replace(clips, values=values, labels=labels.tolist())
    after = fit_fold(configuration(), changed, LABELS, fold, 0)
    assert equal(result.lstm, after.lstm)
    (clip_of,) = asked
    assert np.array_equal(clip_of, rows(clips)[fold.train])


def test_copies_are_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = corpus(clips_each=8)
    fold, asked = first_fold(clips), heard(monkeypatch, fit)
    fit_fold(configuration(), clips, LABELS, fold, 0, altered=clips)
    assert np.array_equal(asked[0], rows(clips)[fold.train])


def test_the_temperature_is_of_what_the_lstm_says_of_the_validation_part(result: FoldResult) -> None:
    clips = corpus()
    fold, seen = first_fold(clips), examples(clips.offsets, clips.shape, "row", 10)
    held, said = of_clips(result.validation, seen.clip[fold.validation], "lstm", result.lstm)
    expected = fit_temperature(said, np.array([LABELS.index(clips.labels[clip]) for clip in held]))
    assert temperature(configuration(), clips, seen, LABELS, fold, result.validation, result.lstm) == expected


def delivered(result: FoldResult, place: str, weights: dict[str, torch.Tensor]) -> None:
    """Write the model of a fold as if it were the one that is delivered."""
    assert result.statistics is not None
    made_by = front_end("chunk26")
    its_card = card.Card(
        labels=LABELS,
        shape=[26],
        config=configuration(),
        protocol=PROTOCOLS["strict"],
        chosen_epoch=result.chosen_epoch,
        front_end=made_by.model_dump(),
        front_end_fingerprint=made_by.fingerprint(),
        mean=result.statistics.mean.tolist(),
        std=result.statistics.std.tolist(),
        corpora=[],
        synthetic=True,
        metrics={},
        fingerprint=card.fingerprint_of(safetensors.torch.save(weights)),
        versions={},
        written_at="2026-11-29T00:00:00+00:00",
    )
    card.save(place, weights, its_card)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_that_is_delivered_answers_as_in_its_evaluation(
    result: FoldResult, tmp_path: pathlib.Path, precision: Any
) -> None:
    clips = corpus()
    fold, seen = first_fold(clips), examples(clips.offsets, clips.shape, "row", 10)
    delivered(result, storage.normalise(tmp_path), result.weights)
    model, its_card, made_by = card.load(storage.normalise(tmp_path))
    how = ScoreConfig(precision=precision)
    scorer = Scorer(predictor(model, its_card, how), its_card, made_by, how)
    tested = np.unique(seen.clip[fold.test]).tolist()
    found = scorer.predict(scorer.standardised([clips.array(clip) for clip in tested]))
    expected = predictions(configuration(), clips, seen, LABELS, fold, result)["probabilities"].to_pylist()
    np.testing.assert_allclose(found, expected, atol=1e-5 if precision == "float32" else 0.05)
    assert equal(lstm_of(model), result.lstm)


def test_a_model_whose_lstm_is_missing_is_refused(result: FoldResult, tmp_path: pathlib.Path) -> None:
    own = {name: weights for name, weights in result.weights.items() if not name.startswith(NAME)}
    delivered(result, storage.normalise(tmp_path), own)
    with pytest.raises(ConfigurationError, match="does not fit its card"):
        card.load(storage.normalise(tmp_path))


def test_the_rows_of_a_classifier_are_heard_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = corpus()
    fold, asked = first_fold(clips), heard(monkeypatch, classifier)
    config = configuration(model="naive-bayes")
    result = classifier.fit_fold(config, clips, LABELS, fold, 0, None)
    mean = classifier.fit_fold(configuration("mean", "naive-bayes"), clips, LABELS, fold, 0, None)
    assert np.array_equal(result.probabilities, mean.probabilities)
    assert np.array_equal(result.validation, mean.validation)
    assert np.array_equal(asked[0], rows(clips)[fold.train])
    assert mean.lstm is None
    heard_clips, said = of_clips(result.probabilities, rows(clips)[fold.test], "lstm", result.lstm)
    assert share_of_right(clips, heard_clips, said) > 0.95
