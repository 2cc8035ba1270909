import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.svm import SVC

from raysee.config import RunConfig
from raysee.errors import ConfigurationError, RayseeError
from raysee.evaluation.folds import Fold, make_folds
from raysee.evaluation.protocols import protocol
from raysee.models import CLASSIFIERS
from raysee.models.classical import Classifier
from raysee.training.classifier import fit_fold, tune
from raysee.training.clips import Clips, examples

LABELS = ["anger", "fear", "neutral"]
SMALL_GRID = ({"C": 1 / 64, "gamma": 4.0}, {"C": 1.0, "gamma": 1 / 16}, {"C": 4.0, "gamma": 1 / 16})


@pytest.fixture(autouse=True)
def _small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLASSIFIERS, "svm", dataclasses.replace(CLASSIFIERS["svm"], grid=SMALL_GRID))


def corpus(num_speakers: int = 5, clips_each: int = 9, rows: int = 1, shift: float = 1.5, seed: int = 0) -> Clips:
    """Every class lifts a column of its own; each speaker is louder or softer by a constant."""
    rng = np.random.default_rng(seed)
    num = num_speakers * clips_each
    values = rng.standard_normal((num * rows, 4))
    labels = [LABELS[number % 3] for number in range(num)]
    speakers = [f"s{number // clips_each}" for number in range(num)]
    for row in range(len(values)):
        clip = row // rows
        values[row, clip % 3] += shift
        values[row] += clip // clips_each
    return Clips(
        values=values.astype(np.float32),
        offsets=np.arange(num + 1) * rows,
        clip_ids=[f"{number:03}" for number in range(num)],
        corpora=["a"] * num,
        speakers=speakers,
        groups=speakers,
        labels=labels,
        genders=[None] * num,
        sentences=[None] * num,
        repetitions=[None] * num,
    )


def configuration(model: str = "svm", protocol_name: str = "strict") -> RunConfig:
    return RunConfig(corpora=("emodb",), features="is09", model=model, protocol=protocol_name)


def folds(clips: Clips, protocol_name: str = "strict") -> list[Fold]:
    clip_of = examples(clips.offsets, clips.shape, "row", 10).clip
    return make_folds(protocol(protocol_name), clips.held(clip_of), seed=0)


def searched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """What all following fits are given, training and test vectors."""
    seen: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []

    class Spy(SVC):  # type: ignore[misc]
        def fit(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> "Spy":
            self.trained = x
            super().fit(x, y)
            return self

        def decision_function(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
            seen.append((self.trained, x))
            scores: npt.NDArray[Any] = super().decision_function(x)
            return scores

    def build(parameters: dict[str, float], seed: int) -> Spy:
        return Spy(**parameters, decision_function_shape="ovo")

    monkeypatch.setitem(CLASSIFIERS, "svm", Classifier("", build, grid=SMALL_GRID))
    return seen


def test_predictions_are_those_of_the_vectors_as_the_training_part_standardises_them() -> None:
    clips = corpus()
    fold = folds(clips)[1]
    result = fit_fold(configuration(), clips, LABELS, fold, 0, {"C": 1.0, "gamma": 1 / 16})
    train = clips.values[fold.train].astype(np.float64)
    scaled = (clips.values - train.mean(axis=0)) / train.std(axis=0)
    classes = np.array([LABELS.index(label) for label in clips.labels])
    machine = SVC(C=1.0, gamma=1 / 16, class_weight="balanced").fit(scaled[fold.train], classes[fold.train])
    np.testing.assert_array_equal(result.probabilities.argmax(axis=1), machine.predict(scaled[fold.test]))
    np.testing.assert_array_equal(result.validation.argmax(axis=1), machine.predict(scaled[fold.validation]))
    assert (result.fold, result.repeat, result.parameters) == (1, 0, {"C": 1.0, "gamma": 1 / 16})
    assert result.statistics is not None
    np.testing.assert_allclose(result.statistics.mean, train.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("model", CLASSIFIERS)
@pytest.mark.parametrize("protocol_name", ["strict", "paper", "stanford2015"])
def test_every_classifier_learns_under_every_kind_of_protocol(model: str, protocol_name: str) -> None:
    clips = corpus(rows=2, shift=4.0)
    fold = folds(clips, protocol_name)[0]
    result = fit_fold(configuration(model, protocol_name), clips, LABELS, fold, 0, None)
    classes = np.array([LABELS.index(label) for label in clips.labels]).repeat(2)
    assert result.probabilities.shape == (len(fold.test), 3)
    assert result.validation.shape == (len(fold.validation), 3)
    assert (result.probabilities.argmax(axis=1) == classes[fold.test]).mean() > 0.7
    assert result.parameters in CLASSIFIERS[model].grid


def test_nested_parameters_are_searched_on_speakers_of_the_training_part_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips = corpus()
    fold, seen = folds(clips)[0], searched(monkeypatch)
    fit_fold(configuration(), clips, LABELS, fold, 0, None)
    *searches, (trained, _) = seen
    assert len(searches) == 3 * 3  # speakers of the training part, points of the grid
    assert len(trained) == len(fold.train) == 3 * 9
    rows = {row.tobytes() for row in trained}
    for inner_trained, inner_tested in searches:
        parts = [{row.tobytes() for row in part} for part in (inner_trained, inner_tested)]
        assert [len(part) for part in parts] == [18, 9]
        assert parts[0] | parts[1] == rows


@pytest.mark.parametrize("part", ["test", "validation"])
def test_a_nested_search_sees_nothing_of_the_test_and_validation_parts(part: str) -> None:
    clips = corpus(shift=0.8)
    fold = folds(clips)[0]
    before = fit_fold(configuration(), clips, LABELS, fold, 0, None)
    values, labels = clips.values.copy(), list(clips.labels)
    for row in getattr(fold, part).tolist():
        values[row] = 100 - values[row] ** 2
        labels[row] = LABELS[(LABELS.index(labels[row]) + 1) % 3]
    changed = dataclasses.replace(clips, values=values, labels=labels)
    after = fit_fold(configuration(), changed, LABELS, fold, 0, None)
    assert after.parameters == before.parameters
    same, other = ("validation", "probabilities") if part == "test" else ("probabilities", "validation")
    np.testing.assert_array_equal(getattr(after, same), getattr(before, same))
    assert not np.array_equal(getattr(after, other), getattr(before, other))


def test_a_change_of_the_training_part_may_change_the_parameters() -> None:
    """Else the test before could not fail: without a difference between classes the search finds other points."""
    found = {
        tuple(fit_fold(configuration(), one, LABELS, folds(one)[0], 0, None).parameters.values())
        for one in (corpus(shift=shift, seed=seed) for shift in (0.0, 4.0) for seed in range(3))
    }
    assert len(found) > 1


def test_the_papers_search_is_on_the_test_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = corpus()
    every, seen = folds(clips, "paper"), searched(monkeypatch)
    chosen = tune(configuration(protocol_name="paper"), clips, LABELS, every)
    assert len(seen) == 5 * 3  # the fold of the delivered model tests nobody
    assert {(len(trained), len(tested)) for trained, tested in seen} == {(36, 9)}
    means = [np.mean([_uar(clips, fold, point) for fold in every[:-1]]) for point in SMALL_GRID]
    assert chosen == SMALL_GRID[int(np.argmax(means))]


def _uar(clips: Clips, fold: Fold, point: dict[str, float]) -> float:
    said = fit_fold(configuration(protocol_name="paper"), clips, LABELS, fold, 0, point).probabilities.argmax(axis=1)
    truth = np.array([LABELS.index(clips.labels[clip]) for clip in fold.test])
    return float(np.mean([(said[truth == one] == one).mean() for one in range(3)]))


def test_what_has_nothing_to_search_is_not_fitted_for_it() -> None:
    """A corpus of one class could not be fitted."""
    clips = dataclasses.replace(corpus(), labels=["anger"] * 45)
    assert (
        tune(configuration("lda", "paper"), clips, LABELS, [Fold(0, np.arange(9, 45), np.arange(0), np.arange(9))])
        == {}
    )


def test_one_speaker_to_train_on_is_too_few_to_search_parameters() -> None:
    clips = corpus(num_speakers=3)
    with pytest.raises(ConfigurationError, match=r"one speaker.*protocol paper"):
        fit_fold(configuration(), clips, LABELS, folds(clips)[0], 0, None)
    assert fit_fold(configuration("lda"), clips, LABELS, folds(clips)[0], 0, None).parameters == {}


def test_features_that_are_no_numbers_stop_the_run() -> None:
    clips = corpus()
    clips.values[7, 2] = np.nan
    message = r"1 clips are NaN or infinite, the first is 007"
    with pytest.raises(RayseeError, match=message):
        fit_fold(configuration(), clips, LABELS, folds(clips)[0], 0, None)
    with pytest.raises(RayseeError, match=message):
        tune(configuration(protocol_name="paper"), clips, LABELS, folds(clips, "paper"))


def test_twice_the_same_is_the_same() -> None:
    clips = corpus(rows=3)
    one, other = (fit_fold(configuration("gmm"), clips, LABELS, folds(clips)[0], 1, None) for _ in range(2))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one.seed == other.seed != fit_fold(configuration("gmm"), clips, LABELS, folds(clips)[0], 2, None).seed
