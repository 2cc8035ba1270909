import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pydantic import TypeAdapter
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from raysee import schema
from raysee.evaluation.metrics import NUM_BINS, Summary, calibration_error, confusions_by, metrics, summarise

LABELS = ["anger", "fear", "neutral"]


def predictions(
    *rows: tuple[int, int, str, str, str],
    genders: dict[str, str] | None = None,
    speaker_heard: bool = False,
    sentences_heard: list[bool | None] | None = None,
) -> pa.Table:
    """Repeat, fold, speaker, label, prediction; sentences are not named unless these are told."""
    return pa.Table.from_pylist(
        [
            {
                "clip_id": f"{speaker}-{number}",
                "speaker": speaker,
                "gender": (genders or {}).get(speaker),
                "repeat": repeat,
                "fold": fold,
                "speaker_heard": speaker_heard,
                "sentence_heard": sentences_heard[number] if sentences_heard else None,
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


def test_figures_by_class_by_hand() -> None:
    """Anger: 3 of 4 right, all of 3 so called; fear: 0 of 1, called once; neutral: 1 of 1, called twice."""
    truth = ["anger", "anger", "anger", "anger", "fear", "neutral"]
    found = metrics(truth, ["anger", "anger", "anger", "fear", "neutral", "neutral"], LABELS)
    assert found.recall == {"anger": 3 / 4, "fear": 0, "neutral": 1}
    assert found.precision == {"anger": 1, "fear": 0, "neutral": 1 / 2}
    assert found.macro_f1 == pytest.approx((6 / 7 + 0 + 2 / 3) / 3)
    assert found.ece is None


@pytest.mark.filterwarnings("error")
def test_what_cannot_be_said_of_a_class_is_none() -> None:
    """No true neutral, though one is called so; nothing is called fear, whose F1 of 0 counts: neutral's does not."""
    found = metrics(["anger", "anger", "fear"], ["anger", "neutral", "anger"], LABELS)
    assert found.recall == {"anger": 1 / 2, "fear": 0, "neutral": None}
    assert found.precision == {"anger": 1 / 2, "fear": None, "neutral": 0}
    assert found.macro_f1 == pytest.approx((1 / 2 + 0) / 2)


@pytest.mark.parametrize("num_clips", [5, 60])
def test_figures_are_scikit_learns(num_clips: int) -> None:
    """Of 5 clips some classes are absent or never predicted."""
    rng = np.random.default_rng(num_clips)
    labels = [*"fedcba"]  # not in the alphabet's order
    truth, predicted = (rng.choice(labels, num_clips).tolist() for _ in range(2))
    found = metrics(truth, predicted, labels)
    present = sorted(set(truth))
    assert found.confusion == confusion_matrix(truth, predicted, labels=labels).tolist()
    assert found.uar == pytest.approx(recall_score(truth, predicted, labels=present, average="macro"))
    assert found.macro_f1 == pytest.approx(f1_score(truth, predicted, labels=present, average="macro"))
    recall = recall_score(truth, predicted, labels=labels, average=None, zero_division=np.nan)
    precision = precision_score(truth, predicted, labels=labels, average=None, zero_division=np.nan)
    for index, label in enumerate(labels):
        assert found.recall[label] == (None if np.isnan(recall[index]) else pytest.approx(recall[index]))
        assert found.precision[label] == (None if np.isnan(precision[index]) else pytest.approx(precision[index]))
    assert (None in found.precision.values()) is (num_clips == 5)


def confidences(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("right", "confidence", "expected"),
    [
        ([True, True, True, False], confidences(0.75, 0.75, 0.75, 0.75), 0.0),  # 3 of 4 at 75 %
        ([True, False, False, False], confidences(0.75, 0.75, 0.75, 0.75), 0.5),
        ([True, False], confidences(1.0, 1.0), 0.5),
        ([True, False], confidences(0.95, 0.35), (0.05 + 0.35) / 2),  # in two bins: misses do not cancel
        ([True, False], confidences(0.62, 0.65), abs(1 - 0.62 - 0.65) / 2),  # in one bin (0.6, 0.667]: they do
        ([True, False], confidences(3 / 15, 0.25), (0.8 + 0.25) / 2),  # a bin holds its upper end,
        ([True, False], confidences(3 / 15, 0.14), abs(1 - 0.2 - 0.14) / 2),  # and not its lower one
    ],
)
def test_calibration_error_by_hand(right: list[bool], confidence: npt.NDArray[np.float32], expected: float) -> None:
    assert calibration_error(np.array(right), confidence) == pytest.approx(expected, abs=1e-6)


def test_calibration_error_from_the_definition() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.5] * 3, 400)
    truth = [LABELS[index] for index in rng.integers(3, size=400)]
    predicted = [LABELS[index] for index in probabilities.argmax(axis=1)]
    expected = 0.0
    for number in range(1, 16):
        clips = [clip for clip in range(400) if (number - 1) / 15 < probabilities[clip].max() <= number / 15]
        if clips:
            accuracy = sum(truth[clip] == predicted[clip] for clip in clips) / len(clips)
            confidence = sum(probabilities[clip].max() for clip in clips) / len(clips)
            expected += len(clips) / 400 * abs(accuracy - confidence)
    assert NUM_BINS == 15
    assert expected > 0.1
    assert metrics(truth, predicted, LABELS, probabilities).ece == pytest.approx(expected)


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


def test_figures_by_class_are_means_over_the_repeats_that_have_them() -> None:
    """Fear is called so in the second repeat only; neutral never is, and has no clip either."""
    first = [(0, 0, "x", "anger", "anger"), (0, 0, "x", "fear", "anger")]
    second = [(1, 0, "x", "anger", "fear"), (1, 0, "x", "fear", "fear")]
    summary = summarise(predictions(*first, *second), LABELS)
    assert summary.recall_by_class == {"anger": (1 + 0) / 2, "fear": (0 + 1) / 2, "neutral": None}
    assert summary.precision_by_class == {"anger": 1 / 2, "fear": 1 / 2, "neutral": None}
    assert summary.macro_f1 == pytest.approx((2 / 3 + 0) / 2)  # each repeat has one class right by half
    assert summary.chance == 1 / 2


def test_calibration_is_by_repeat() -> None:
    """Everything is said at 50 %: of the first repeat all is right and of the second nothing, each 50 % off."""
    rows = [(repeat, 0, "x", label, "anger") for repeat, label in [(0, "anger"), (1, "fear")]]
    assert summarise(predictions(*rows), LABELS).ece == pytest.approx(0.5)


def test_by_gender_and_speaker() -> None:
    """By speaker, x: anger 1 of 2, fear 1 of 2; y: neutral 1 of 1; z, whose gender nobody says: fear 0 of 1."""
    rows = [*UNEVEN, (0, 1, "z", "fear", "anger")]
    again = [(1, *row[1:]) for row in rows]
    summary = summarise(predictions(*again, *rows, genders={"x": "male", "y": "female"}), LABELS)
    assert summary.uar_by_group == {"gender": {"female": 1, "male": 1 / 2}}
    assert summary.uar_by_speaker == {
        "x": {"uar": 1 / 2, "accuracy": 1 / 2, "clips": 4},
        "y": {"uar": 1, "accuracy": 1, "clips": 1},
        "z": {"uar": 0, "accuracy": 0, "clips": 1},
    }


def test_no_gender_is_no_group() -> None:
    assert summarise(predictions(*UNEVEN), LABELS).uar_by_group == {}


def test_by_what_was_heard() -> None:
    """Sentences 1, 2 and 5 of UNEVEN were heard: anger 1 of 2 and neutral 1 of 1; unheard is fear, 1 of 2.

    Those that were heard are of x, 1 of 2, and y, 1 of 1, who is all that is drawn now and then; the others are of x.
    """
    table = predictions(*UNEVEN, speaker_heard=True, sentences_heard=[True, True, False, False, True])
    interval = {"accuracy_low": 1 / 2, "accuracy_high": 1}
    assert summarise(table, LABELS).uar_by_heard == {
        "speaker heard, sentence heard": {"uar": 3 / 4, "accuracy": pytest.approx(2 / 3), "clips": 3, **interval},
        "speaker heard, sentence unheard": {"uar": 1 / 2, "accuracy": 1 / 2, "clips": 2},
    }


@pytest.mark.parametrize(("heard", "name"), [(True, "speaker heard"), (False, "speaker unheard")])
def test_sentences_that_nobody_names_are_not_mentioned(heard: bool, name: str) -> None:
    (found,) = summarise(predictions(*UNEVEN, speaker_heard=heard), LABELS).uar_by_heard.items()
    assert found[0] == name
    assert {key: found[1][key] for key in ("uar", "accuracy", "clips")} == pytest.approx(
        {"uar": 2 / 3, "accuracy": 3 / 5, "clips": 5}
    )


def test_the_intervals_are_around_the_pooled_figures() -> None:
    """Speaker i of 20 has i of 20 clips of each class right, in folds by two: UAR is 9.5 of 20, and so is accuracy."""
    rows = [
        (0, speaker // 2, f"s{speaker:02}", label, label if number < speaker else "neutral")
        for speaker in range(20)
        for number in range(20)
        for label in ("anger", "fear")
    ]
    summary = summarise(predictions(*rows), LABELS)
    assert summary.uar_pooled == pytest.approx(9.5 / 20)
    assert summary.uar_interval is not None
    spread = 1.96 * np.std(np.arange(20) / 20) / 20**0.5  # of the mean of the speakers, by the normal distribution
    assert summary.uar_interval == pytest.approx([9.5 / 20 - spread, 9.5 / 20 + spread], abs=0.02)
    assert summary.accuracy_interval == pytest.approx(summary.uar_interval)
    (condition,) = summary.uar_by_heard.values()
    assert [condition["accuracy_low"], condition["accuracy_high"]] == summary.accuracy_interval


def test_accuracy_has_an_interval_of_its_own() -> None:
    """Everybody has half of each class right, and one has twenty angry clips more, all of them right."""
    rows = [
        (0, 0, f"s{speaker}", label, said)
        for speaker in range(6)
        for label in ("anger", "neutral")
        for said in ("anger", "neutral")
    ]
    rows += [(0, 0, "s0", "anger", "anger")] * 20
    summary = summarise(predictions(*rows), LABELS)
    assert summary.accuracy == pytest.approx((12 + 20) / (24 + 20))
    assert summary.accuracy_interval is not None
    low, high = summary.accuracy_interval
    assert low == pytest.approx(1 / 2), "without that speaker"
    assert high > summary.accuracy > low


def test_one_speaker_has_no_interval() -> None:
    summary = summarise(predictions(*UNEVEN[:4]), LABELS)
    assert (summary.uar_interval, summary.accuracy_interval) == (None, None)
    assert [set(figures) for figures in summary.uar_by_heard.values()] == [{"uar", "accuracy", "clips"}]


def test_confusions_are_in_the_order_of_values_and_labels() -> None:
    rows = [(0, fold, "x", "anger", said) for fold, said in [(10, "fear"), (2, "anger"), (2, "neutral"), (10, "fear")]]
    folds, found = confusions_by(predictions(*rows), "fold", LABELS[::-1])
    assert folds == [2, 10]
    assert found.tolist() == [[[0, 0, 0], [0, 0, 0], [1, 0, 1]], [[0, 0, 0], [0, 0, 0], [0, 2, 0]]]


@pytest.mark.parametrize("rows", [UNEVEN, UNEVEN[:4]], ids=["two speakers", "one speaker, no neutral clip"])
def test_a_summary_goes_through_json_and_pydantic(rows: list[tuple[int, int, str, str, str]]) -> None:
    summary = summarise(predictions(*rows), LABELS)
    assert json.loads(json.dumps(summary._asdict(), allow_nan=False)) == summary._asdict()
    assert TypeAdapter(Summary).validate_python(json.loads(json.dumps(summary._asdict()))) == summary


def test_a_summary_of_an_earlier_version_has_no_interval_of_the_accuracy() -> None:
    earlier = summarise(predictions(*UNEVEN), LABELS)._asdict()
    del earlier["accuracy_interval"]
    assert TypeAdapter(Summary).validate_python(earlier).accuracy_interval is None
