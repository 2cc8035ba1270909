import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from raysee import schema
from raysee.config import RunConfig
from raysee.evaluation.calibration import fit_temperature
from raysee.evaluation.folds import Fold
from raysee.training.clips import Clips, examples
from raysee.training.fit import FoldResult
from raysee.training.predictions import example_predictions, predictions, temperature, whole_clips

LABELS = ["fear", "anger"]
#: Clips a and b are speaker x's, c and d speaker y's; a and c have the same sentence, d's has no name.
CLIPS = Clips(
    values=np.zeros((9, 3), np.float32),
    offsets=np.array([0, 2, 5, 6, 9]),
    clip_ids=["a", "b", "c", "d"],
    corpora=["emodb"] * 4,
    speakers=["x", "x", "y", "y"],
    groups=["x", "x", "y", "y"],
    labels=["anger", "fear", "anger", "fear"],
    genders=["f", "f", None, None],
    sentences=["one", "two", "one", None],
    repetitions=[None] * 4,
)
SEEN = examples(CLIPS.offsets, CLIPS.shape, "row", 10)
#: Both rows of a are trained on and one of b; b's others, c and two rows of d are tested, the last validates.
FOLD = Fold(3, np.array([0, 1, 2]), np.array([8]), np.array([3, 4, 5, 6, 7]))
RESULT = FoldResult(
    fold=3,
    repeat=2,
    seed=0,
    chosen_epoch=1,
    curve=[],
    probabilities=np.array([[0.9, 0.1], [0.3, 0.7], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5]], np.float32),
    weights={},
    statistics=None,
    wall_s=0.0,
    validation=np.array([[0.125, 0.875]], np.float32),
)


def configuration(aggregation: str = "mean", protocol: str = "strict") -> RunConfig:
    fields = {
        **{"corpora": ("emodb",), "features": "chunk26", "model": "fc2"},
        **{"aggregation": aggregation, "protocol": protocol},
    }
    return RunConfig.model_validate(fields)


@pytest.mark.parametrize(
    ("aggregation", "b", "d"),
    [("mean", [0.6, 0.4], [0.375, 0.625]), ("median", [0.6, 0.4], [0.375, 0.625]), ("vote", [0.5, 0.5], [0.5, 0.5])],
)
def test_a_clip_is_what_its_tested_rows_are_together(aggregation: str, b: list[float], d: list[float]) -> None:
    table = predictions(configuration(aggregation), CLIPS, SEEN, LABELS, FOLD, RESULT)
    assert table.schema == schema.PREDICTIONS
    rows = {row["clip_id"]: row for row in table.to_pylist()}
    assert list(rows) == ["b", "c", "d"]
    assert rows["b"]["probabilities"] == pytest.approx(b)
    assert rows["c"]["probabilities"] == ([1.0, 0.0] if aggregation == "vote" else [0.75, 0.25])
    assert rows["d"]["probabilities"] == pytest.approx(d)
    first = "fear" if aggregation == "vote" else "anger"  # of equal shares
    assert [row["predicted"] for row in rows.values()] == ["fear", "fear", first]


def test_a_clip_is_described() -> None:
    rows = predictions(configuration(), CLIPS, SEEN, LABELS, FOLD, RESULT).to_pylist()
    assert {(row["fold"], row["repeat"], tuple(row["labels"])) for row in rows} == {(3, 2, ("fear", "anger"))}
    assert [row["label"] for row in rows] == ["fear", "anger", "fear"]
    assert [row["speaker"] for row in rows] == ["x", "y", "y"]
    assert [row["gender"] for row in rows] == ["f", None, None]


def test_who_and_what_was_heard_in_training() -> None:
    rows = predictions(configuration(), CLIPS, SEEN, LABELS, FOLD, RESULT).to_pylist()
    assert [row["speaker_heard"] for row in rows] == [True, False, False]
    assert [row["sentence_heard"] for row in rows] == [True, True, None]
    without_a = Fold(3, np.array([2]), FOLD.validation, FOLD.test)
    rows = predictions(configuration(), CLIPS, SEEN, LABELS, without_a, RESULT).to_pylist()
    assert [row["sentence_heard"] for row in rows] == [True, False, None]


def test_what_validates_is_not_trained_on() -> None:
    swapped = Fold(3, np.array([8]), np.array([0, 1, 2]), FOLD.test)
    rows = predictions(configuration(), CLIPS, SEEN, LABELS, swapped, RESULT).to_pylist()
    assert [row["speaker_heard"] for row in rows] == [False, True, True]
    assert [row["sentence_heard"] for row in rows] == [False, False, None]  # d's sentence has no name to be known by


def test_every_row_that_was_tested_or_validated() -> None:
    table = example_predictions(CLIPS, SEEN, LABELS, FOLD, RESULT)
    assert table.schema == schema.EXAMPLES
    rows = table.to_pylist()
    assert [(row["example"], row["clip_id"], row["part"]) for row in rows] == [
        *((3, "b", "test"), (4, "b", "test"), (5, "c", "test"), (6, "d", "test"), (7, "d", "test")),
        (8, "d", "validation"),
    ]
    found = np.array([row["probabilities"] for row in rows], np.float32)
    np.testing.assert_array_equal(found, np.concatenate([RESULT.probabilities, RESULT.validation]))
    assert [row["predicted"] for row in rows] == ["fear", "anger", "fear", "anger", "fear", "anger"]
    assert [row["speaker_heard"] for row in rows] == [True, True, False, False, False, False]


def test_a_clip_in_pieces_is_answered_for_by_all_of_them() -> None:
    """Row 2 of b is tested in another fold than rows 3 and 4 of it; each fold alone answers for a part."""
    nobody = np.empty(0, np.int64)
    other = dataclasses.replace(RESULT, fold=1, probabilities=np.array([[0.0, 1.0]], np.float32), validation=nobody)
    tables = [
        example_predictions(CLIPS, SEEN, LABELS, FOLD, RESULT),
        example_predictions(CLIPS, SEEN, LABELS, Fold(1, np.array([0, 3]), nobody, np.array([2])), other),
    ]
    table = whole_clips(pa.concat_tables(tables), "mean")
    assert table.schema == schema.PREDICTIONS
    rows = {row["clip_id"]: row for row in table.to_pylist()}
    assert list(rows) == ["b", "c", "d"]
    assert rows["b"]["probabilities"] == pytest.approx([0.4, 0.6])
    assert rows["b"]["predicted"] == "anger"
    assert rows["d"]["probabilities"] == pytest.approx([0.375, 0.625]), "what validates is no answer"
    assert {(row["repeat"], row["fold"]) for row in rows.values()} == {(2, 0)}


def test_without_validation_there_are_test_rows_only() -> None:
    nobody = Fold(3, FOLD.train, np.empty(0, np.int64), FOLD.test)
    table = example_predictions(CLIPS, SEEN, LABELS, nobody, RESULT)
    assert table["part"].to_pylist() == ["test"] * 5


def test_the_temperature_is_that_of_the_validated_clips() -> None:
    """Whatever the order of examples: c is anger, of one row, and d fear, of three that answer together."""
    fold = Fold(3, np.array([0, 1, 2, 3, 4]), np.array([8, 5, 6, 7]), np.array([], np.int64))
    said = np.array([[0.1, 0.9], [0.75, 0.25], [0.25, 0.75], [0.1, 0.9]], np.float32)
    together = np.array([[0.75, 0.25], [0.15, 0.85]])
    found = temperature(configuration(), CLIPS, SEEN, LABELS, fold, said)
    assert found == pytest.approx(fit_temperature(together, np.array([1, 0])), rel=1e-3)


@pytest.mark.parametrize(
    ("protocol", "validation"),
    [("paper", []), ("mlp-vs-cnn", FOLD.test)],
    ids=["nothing is validated", "the test part validates"],
)
def test_there_is_no_temperature_without_others_to_fit_it_on(protocol: str, validation: list[int]) -> None:
    fold = Fold(3, FOLD.train, np.array(validation, np.int64), FOLD.test)
    said = RESULT.probabilities[: len(validation)]
    assert temperature(configuration(protocol=protocol), CLIPS, SEEN, LABELS, fold, said) is None
