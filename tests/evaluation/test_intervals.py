import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from raysee.evaluation.intervals import NUM_RESAMPLES, accuracy, resampled_uar, speaker_interval, uar

Counts = npt.NDArray[np.int64]


def confusions(num_speakers: int, *, seed: int = 0, num_labels: int = 3, clips: int = 12) -> Counts:
    """Speakers with skills of their own: each has every clip right with a probability between 0.2 and 0.9."""
    rng = np.random.default_rng(seed)
    found = np.zeros((num_speakers, num_labels, num_labels), dtype=np.int64)
    for speaker, skill in enumerate(rng.uniform(0.2, 0.9, num_speakers)):
        for true in rng.integers(num_labels, size=clips):
            wrong = (true + rng.integers(1, num_labels)) % num_labels
            found[speaker, true, true if rng.random() < skill else wrong] += 1
    return found


def clips_of(confusion: Counts) -> tuple[list[int], list[int]]:
    """True and predicted classes that have this confusion."""
    cells = [cell for cell, count in np.ndenumerate(confusion) for _ in range(count)]
    return [true for true, _ in cells], [said for _, said in cells]


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_uar_is_scikit_learns_balanced_accuracy() -> None:
    many = confusions(20, clips=4)
    assert (many.sum(axis=2) == 0).any(), "some speaker lacks a class"
    theirs = [balanced_accuracy_score(*clips_of(one)) for one in many]
    assert uar(many).tolist() == pytest.approx(theirs)
    assert float(uar(many.sum(axis=0))) == pytest.approx(balanced_accuracy_score(*clips_of(many.sum(axis=0))))


def test_accuracy_is_scikit_learns() -> None:
    many = confusions(20, clips=4)
    assert accuracy(many).tolist() == pytest.approx([accuracy_score(*clips_of(one)) for one in many])
    assert float(accuracy(many.sum(axis=0))) == pytest.approx(accuracy_score(*clips_of(many.sum(axis=0))))


def test_two_speakers_are_drawn_as_coins_fall() -> None:
    """One is right and one is wrong: both twice a quarter of the time each, and else one of each."""
    drawn = resampled_uar(np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]]))
    assert drawn.shape == (NUM_RESAMPLES,)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert (counts / NUM_RESAMPLES).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.05)
    assert speaker_interval(np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]])) == [0, 1]


@pytest.mark.filterwarnings("error")
def test_a_class_that_nobody_drawn_has_is_left_out() -> None:
    """One speaker has only the first class and is right, the other only the second and is wrong."""
    drawn = resampled_uar(np.array([[[4, 0], [0, 0]], [[0, 0], [4, 0]]]))
    assert np.unique(drawn).tolist() == [0, 0.5, 1]


def test_ends_are_those_of_a_bootstrap_over_clips_in_a_loop() -> None:
    many = confusions(15)
    clips = [clips_of(one) for one in many]
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1000):
        recalls = []
        drawn = [clips[speaker] for speaker in rng.integers(15, size=15)]
        for label in range(3):
            said = [b for true, predicted in drawn for a, b in zip(true, predicted, strict=True) if a == label]
            recalls.append(said.count(label) / len(said))
        found.append(sum(recalls) / 3)
    assert speaker_interval(many) == pytest.approx([np.quantile(found, 0.025), np.quantile(found, 0.975)], abs=0.015)


def test_the_interval_of_the_accuracy_is_that_of_a_bootstrap_in_a_loop() -> None:
    many = confusions(15)
    right = [int(np.trace(one)) for one in many]
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1000):
        drawn = rng.integers(15, size=15)
        found.append(sum(right[speaker] for speaker in drawn) / sum(int(many[speaker].sum()) for speaker in drawn))
    ends = [np.quantile(found, 0.025), np.quantile(found, 0.975)]
    assert speaker_interval(many, accuracy) == pytest.approx(ends, abs=0.015)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """The mean skill is 0.55; drawing clips as if they were independent would hold it in two thirds of the cases."""
    held = [low <= 0.55 <= high for low, high in (_ends(confusions(25, seed=seed, clips=20)) for seed in range(100))]
    assert 0.87 <= np.mean(held) <= 0.99


def _ends(many: Counts) -> list[float]:
    found = speaker_interval(many)
    assert found is not None
    return found


def test_repeats_that_agree_do_not_narrow_it() -> None:
    many = confusions(8)
    assert speaker_interval(many * 3) == speaker_interval(many)
    assert speaker_interval(many / 3) == pytest.approx(speaker_interval(many))


def test_one_speaker_has_no_interval() -> None:
    assert speaker_interval(confusions(1)) is None
