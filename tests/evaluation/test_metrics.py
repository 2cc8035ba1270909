import json
from typing import Any

import pyarrow as pa
import pytest

from raysee import schema
from raysee.evaluation.metrics import metrics, summarise

LABELS = ["anger", "fear", "neutral"]


def predictions(*rows: tuple[int, int, str, str, str]) -> pa.Table:
    """Repeat, fold, speaker, label, prediction."""
    return pa.Table.from_pylist(
        [
            {
                "clip_id": f"{speaker}-{number}",
                "speaker": speaker,
                "repeat": repeat,
                "fold": fold,
                "label": label,
                "predicted": predicted,
                "labels": LABELS,
                "probabilities": [0.2, 0.3, 0.5],
            }
            for number, (repeat, fold, speaker, label, predicted) in enumerate(rows)
        ],
        schema=schema.PREDICTIONS,
    )


@pytest.mark.parametrize(
    ("truth", "predicted", "uar", "accuracy", "confusion"),
    [
        ("aafn", "aafn", 1.0, 1.0, [[2, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("aaaafn", "aaafnn", (3 / 4 + 0 + 1) / 3, 4 / 6, [[3, 1, 0], [0, 0, 1], [0, 0, 1]]),
        ("aaaf", "aaaa", 1 / 2, 3 / 4, [[3, 0, 0], [1, 0, 0], [0, 0, 0]]),  # no neutral clip: two classes
        ("aaff", "anfn", 1 / 2, 1 / 2, [[1, 0, 1], [0, 1, 1], [0, 0, 0]]),  # but what is predicted may be neutral
        ("nn", "nn", 1.0, 1.0, [[0, 0, 0], [0, 0, 0], [0, 0, 2]]),
        ("nn", "fa", 0.0, 0.0, [[0, 0, 0], [0, 0, 0], [1, 1, 0]]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_figures_by_hand(truth: str, predicted: str, uar: float, accuracy: float, confusion: list[list[int]]) -> None:
    names = {label[0]: label for label in LABELS}
    found = metrics([names[letter] for letter in truth], [names[letter] for letter in predicted], LABELS)
    assert found.uar == pytest.approx(uar)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.confusion == confusion


# Fold 0 hears 4 clips: anger 1 of 2, fear 1 of 2, UAR 1/2. Fold 1 hears 1 clip: neutral 1 of 1, UAR 1.
UNEVEN: list[tuple[int, int, str, str, str]] = [
    (0, 0, "x", "anger", "anger"),
    (0, 0, "x", "anger", "neutral"),
    (0, 0, "x", "fear", "fear"),
    (0, 0, "x", "fear", "anger"),
    (0, 1, "y", "neutral", "neutral"),
]


def test_the_mean_of_folds_is_not_the_pooled_figure() -> None:
    summary = summarise(predictions(*UNEVEN), LABELS)
    assert summary.uar_by_fold == {"0": [0.5, 1.0]}
    assert summary.uar_mean_of_folds == pytest.approx(3 / 4)
    assert summary.uar_pooled == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert summary.accuracy == pytest.approx(3 / 5)
    assert summary.chance == pytest.approx(1 / 3)
    assert summary.uar_std_of_repeats is None
    assert (summary.num_speakers, summary.num_clips) == (2, 5)
    assert summary.confusion == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_repeats_are_averaged_and_scatter() -> None:
    """The second repeat has everything right: means of folds 3/4 and 1."""
    right = [(1, fold, speaker, label, label) for _, fold, speaker, label, _ in UNEVEN]
    summary = summarise(predictions(*right, *UNEVEN), LABELS)  # in any order
    assert summary.uar_by_fold == {"0": [0.5, 1.0], "1": [1.0, 1.0]}
    assert summary.uar_mean_of_folds == pytest.approx(7 / 8)
    assert summary.uar_std_of_repeats == pytest.approx(((1 / 8) ** 2 * 2) ** 0.5)  # of a sample: by n - 1
    assert summary.uar_pooled == pytest.approx((2 / 3 + 1) / 2)
    assert summary.accuracy == pytest.approx((3 / 5 + 1) / 2)
    assert (summary.num_speakers, summary.num_clips) == (2, 5)
    assert summary.confusion == [[3, 0, 1], [1, 3, 0], [0, 0, 2]]


def test_folds_come_in_the_order_of_their_numbers() -> None:
    rows: list[tuple[int, int, str, str, str]] = [
        (0, fold, f"s{fold}", "anger", "anger" if fold % 2 else "fear") for fold in (10, 2, 1, 0)
    ]
    assert summarise(predictions(*rows), LABELS).uar_by_fold == {"0": [0.0, 1.0, 0.0, 0.0]}


def test_a_summary_is_json() -> None:
    summary: dict[str, Any] = summarise(predictions(*UNEVEN), LABELS)._asdict()
    assert json.loads(json.dumps(summary)) == summary
