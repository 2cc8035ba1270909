from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from raysee import schema
from raysee.evaluation.calibration import apply, calibrated, fit_temperature, mean_temperature
from raysee.evaluation.metrics import calibration_error, summarise

Floats = npt.NDArray[np.floating[Any]]
LABELS = ["anger", "fear", "neutral"]


def softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def nll(probabilities: Floats, targets: npt.NDArray[np.int64]) -> float:
    return float(-np.log(probabilities[np.arange(len(targets)), targets]).mean())


def drawn(num_clips: int, seed: int = 0) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Logits that mean what they say: each class is as frequent as its probability."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((num_clips, 5))
    ends = softmax(logits).cumsum(axis=1)
    return logits, (rng.random((num_clips, 1)) > ends).sum(axis=1).clip(max=4)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_known_temperature_is_found(temperature: float, kind: type) -> None:
    logits, targets = drawn(20_000)
    said = softmax(logits * temperature).astype(kind)  # too sure of itself by so much
    assert fit_temperature(said, targets) == pytest.approx(temperature, rel=0.05)
    before, after = (
        calibration_error(one.argmax(axis=1) == targets, one.max(axis=1)) for one in (said, apply(said, temperature))
    )
    assert after < 0.02
    assert temperature == 1.0 or after < before / 5


@pytest.mark.parametrize("seed", range(20))
def test_no_other_temperature_fits_better(seed: int) -> None:
    """Of few clips and any answers, with zeros among them, as shares of votes have."""
    rng = np.random.default_rng(seed)
    votes = rng.multinomial(rng.integers(1, 12), rng.dirichlet(np.full(4, 0.5)), size=rng.integers(2, 30))
    said, targets = votes / votes.sum(axis=1, keepdims=True), rng.integers(0, 4, len(votes))
    targets[:2] = [0, 1]
    found = fit_temperature(said, targets)
    grid = np.geomspace(0.05, 20, 300)
    losses = [nll(np.maximum(apply(said, one), 1e-300), targets) for one in (found, 1.0 + 1e-9, *grid)]
    assert losses[0] <= min(losses[1:]) + 1e-4
    assert losses[0] <= losses[1] + 1e-6


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 3.0, 20.0])
def test_no_answer_changes(temperature: float) -> None:
    rng = np.random.default_rng(1)
    said = rng.dirichlet(np.full(7, 0.3), size=2_000).astype(np.float32)
    close = np.full((7, 7), 1 / 7, np.float32)
    close[np.arange(7), np.arange(7)] = np.nextafter(np.float32(1 / 7), np.float32(1))  # by the last bit
    said = np.concatenate([said, close, np.eye(7, dtype=np.float32), np.full((1, 7), 1 / 7, np.float32)])
    scaled = apply(said, temperature)
    assert np.array_equal(scaled.argmax(axis=1), said.argmax(axis=1))
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled.sum(axis=1), 1.0, rtol=1e-6)


def test_probabilities_are_raised_to_the_inverse_temperature() -> None:
    np.testing.assert_allclose(apply(np.array([[0.8, 0.2]]), 2.0), [[2 / 3, 1 / 3]])
    np.testing.assert_allclose(apply(np.array([[2 / 3, 1 / 3]]), 0.5), [[0.8, 0.2]])
    said = np.array([[0.1, 0.9], [0.3, 0.7]], np.float32)
    assert np.array_equal(apply(said, 1.0), said), "to the last bit"


@pytest.mark.parametrize(
    ("said", "targets"),
    [
        (np.empty((0, 0), np.float32), []),
        (np.full((4, 3), 1 / 3, np.float32), [0, 1, 2, 0]),
        ([[0.9, 0.1], [0.2, 0.8]], [1, 1]),
        ([[0.9, 0.1]], [0]),
    ],
    ids=["no clip", "answers that prefer nothing", "one class", "one clip"],
)
def test_where_nothing_can_be_learned_nothing_changes(said: Floats, targets: list[int]) -> None:
    assert fit_temperature(np.asarray(said), np.array(targets, np.int64)) == 1.0


def test_certainty_has_bounds() -> None:
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert fit_temperature(said, np.array([0, 1, 0])) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature(said, np.array([1, 0, 1])) == pytest.approx(20, rel=1e-3)
    sure = np.eye(2)[[0, 1, 0, 1]]
    assert 1 < fit_temperature(sure, np.array([0, 1, 0, 0])) < 20, "zeros have a logarithm"


def predictions(folds: list[tuple[int, int]], confidences: list[float], right: list[bool]) -> pa.Table:
    """A row each of its repeat and fold, whose answer is "anger"."""
    rows = [
        {
            "clip_id": str(number),
            "speaker": "x",
            "repeat": repeat,
            "fold": fold,
            "speaker_heard": False,
            "label": "anger" if is_right else "fear",
            "predicted": "anger",
            "labels": LABELS,
            "probabilities": [confidence, (1 - confidence) / 2, (1 - confidence) / 2],
        }
        for number, ((repeat, fold), confidence, is_right) in enumerate(zip(folds, confidences, right, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=schema.PREDICTIONS)


def test_each_fold_is_calibrated_by_its_own_temperature() -> None:
    said = predictions([(0, 1), (0, 0), (1, 1), (0, 1)], [0.8] * 4, [True] * 4)
    found = calibrated(said, {(0, 0): 2.0, (0, 1): 0.5, (0, 7): 9.0})
    once, twice = (0.8**power / (0.8**power + 2 * 0.1**power) for power in (2.0, 0.5))
    np.testing.assert_allclose(found[:, 0], [once, twice, 0.8, once], rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-6)


def test_the_calibrated_error_is_a_mean_over_repeats_of_what_the_folds_temperatures_leave() -> None:
    """One clip a repeat, whose error is what the answer lacks to certainty."""
    said = predictions([(0, 0), (1, 0)], [0.8, 0.8], [True, True])
    temperatures = {(0, 0): 2.0, (1, 0): 0.5}
    left = [1 - 0.8**power / (0.8**power + 2 * 0.1**power) for power in (0.5, 2.0)]
    summary = summarise(said, LABELS, temperatures)
    assert summary.ece_calibrated == pytest.approx(np.mean(left), rel=1e-5)
    assert summary == summarise(said, LABELS)._replace(ece_calibrated=summary.ece_calibrated), "nothing else changes"


def test_without_the_temperature_of_every_fold_there_is_no_calibrated_error() -> None:
    said = predictions([(0, 0), (0, 1)], [0.8, 0.8], [True, False])
    assert summarise(said, LABELS, {(0, 0): 2.0}).ece_calibrated is None
    assert summarise(said, LABELS, {}).ece_calibrated is None
    assert summarise(said, LABELS, {(0, 0): 1.0, (0, 1): 1.0}).ece_calibrated == pytest.approx(0.3)


def test_temperatures_are_averaged_by_their_logarithms() -> None:
    assert mean_temperature([0.5, 2.0]) == pytest.approx(1.0)
    assert mean_temperature([1.0, 2.0, 4.0]) == pytest.approx(2.0)
    assert mean_temperature([]) == 1.0
