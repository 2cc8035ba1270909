import itertools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from raysee import schema
from raysee.errors import ConfigurationError
from raysee.evaluation.compare import NUM_PATTERNS, compare, sign_flip_p
from raysee.evaluation.metrics import metrics, summarise

LABELS = ["anger", "fear", "neutral"]
Row = tuple[str, str, str, str]  # clip, speaker, label, prediction


def run(*repeats: list[Row], fold: int = 0) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "clip_id": clip,
                "speaker": speaker,
                "repeat": repeat,
                "fold": fold,
                "speaker_heard": False,
                "label": label,
                "predicted": predicted,
                "labels": LABELS,
                "probabilities": [0.2, 0.3, 0.5],
            }
            for repeat, rows in enumerate(repeats)
            for clip, speaker, label, predicted in rows
        ],
        schema=schema.PREDICTIONS,
    )


def answers(skills: list[float], *, seed: int, clips: int = 12) -> list[Row]:
    """One skill a speaker: how probably each clip is right. The clips are the same for any seed, the classes uneven."""
    rng = np.random.default_rng(seed)
    rows = []
    for speaker, skill in enumerate(skills):
        for number in range(clips):
            true = min(number * (speaker + 2) % 5, 2)
            said = true if rng.random() < skill else (true + rng.integers(1, 3)) % 3
            rows.append((f"{speaker}-{number}", f"s{speaker:02}", LABELS[true], LABELS[said]))
    return rows


SKILLS = [0.2, 0.4, 0.6, 0.8, 0.5]
BEFORE, AFTER = answers(SKILLS, seed=1), answers([skill + 0.2 for skill in SKILLS], seed=2)


def uar_of(rows: list[Row]) -> float:
    return metrics([row[2] for row in rows], [row[3] for row in rows], LABELS).uar


def test_the_figures_are_those_of_the_summaries() -> None:
    found = compare(run(BEFORE), run(AFTER))
    assert found.first_uar == pytest.approx(summarise(run(BEFORE), LABELS).uar_pooled)
    assert found.second_uar == pytest.approx(summarise(run(AFTER), LABELS).uar_pooled)
    assert found.difference == pytest.approx(found.second_uar - found.first_uar)
    assert found.difference > 0.05
    assert (found.num_speakers, found.num_clips) == (5, 60)


def test_p_is_that_of_answers_exchanged_speaker_by_speaker() -> None:
    """From the definition: for each of 2^5 sets of speakers, these get the other run's answers."""
    observed = abs(uar_of(AFTER) - uar_of(BEFORE))
    as_far = []
    for exchanged in itertools.product([False, True], repeat=5):
        pairs = [(a, b) if exchanged[int(a[1][1:])] else (b, a) for a, b in zip(BEFORE, AFTER, strict=True)]
        first, second = ([pair[which] for pair in pairs] for which in (0, 1))
        as_far.append(abs(uar_of(first) - uar_of(second)) >= observed - 1e-9)
    expected = float(np.mean(as_far))
    assert 2 / 32 < expected < 1, "the case is not a trivial one"
    assert compare(run(BEFORE), run(AFTER)).p_value == pytest.approx(expected)


def test_exact_p_is_scipys() -> None:
    for seed in range(5):
        shares = np.random.default_rng(seed).normal(0.3, 1, size=8)
        theirs = stats.permutation_test((shares,), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert sign_flip_p(shares) == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("num_speakers", [1, 2, 5, 6, 13])
def test_the_least_p_is_that_of_two_patterns(num_speakers: int) -> None:
    assert sign_flip_p(np.arange(1.0, num_speakers + 1)) == 2 / 2**num_speakers


def test_random_patterns_come_near_to_all() -> None:
    shares = np.random.default_rng(0).normal(0.3, 1, size=14)  # the first number that has more than NUM_PATTERNS
    signs = np.array(list(itertools.product([-1, 1], repeat=14)))
    exact = np.mean(np.abs(signs @ shares) >= abs(shares.sum()))
    assert 0.02 < exact < 0.9
    assert sign_flip_p(shares) == pytest.approx(exact, abs=0.015)


def test_random_patterns_never_say_0() -> None:
    assert sign_flip_p(np.ones(60)) == 1 / NUM_PATTERNS


def test_one_of_twenty_equal_pairs_is_taken_for_different() -> None:
    rng = np.random.default_rng(0)
    found = [sign_flip_p(rng.standard_t(3, size=10)) <= 0.05 for _ in range(400)]
    assert 0.02 <= np.mean(found) <= 0.08


def test_speakers_differ_and_the_gain_does_not() -> None:
    """Each speaker has one more clip of each class right: paired, the interval has no width."""

    def rows(more: int) -> list[Row]:
        return [
            (f"{speaker}-{label}-{number}", f"s{speaker}", label, label if number < speaker + more else other)
            for speaker in range(8)
            for label, other in [("anger", "fear"), ("fear", "anger")]
            for number in range(10)
        ]

    found = compare(run(rows(0)), run(rows(1)))
    assert found.difference == pytest.approx(0.1)
    assert found.interval == pytest.approx([0.1, 0.1])
    assert found.p_value == 2 / 2**8
    alone = summarise(run(rows(0)), LABELS).uar_interval
    assert alone is not None
    assert alone[1] - alone[0] > 0.2


def test_the_other_way_round() -> None:
    there, back = compare(run(BEFORE), run(AFTER)), compare(run(AFTER), run(BEFORE))
    assert there.interval is not None
    assert there.interval[0] < there.difference < there.interval[1]
    assert back.difference == pytest.approx(-there.difference)
    assert back.interval == pytest.approx([-there.interval[1], -there.interval[0]])
    assert back.p_value == there.p_value


def test_a_run_is_as_good_as_itself_in_any_order_folds_and_repeats() -> None:
    found = compare(run(BEFORE), run(BEFORE[::-1], BEFORE, BEFORE, fold=3))
    assert found.difference == pytest.approx(0)
    assert found.interval == pytest.approx([0, 0])
    assert found.p_value == 1
    assert found.num_clips == 60


def test_repeats_are_averaged() -> None:
    one, mixed = compare(run(BEFORE), run(AFTER)), compare(run(BEFORE), run(AFTER, BEFORE))
    assert mixed.difference == pytest.approx(one.difference / 2)
    assert one.interval is not None
    assert mixed.interval == pytest.approx([end / 2 for end in one.interval])
    assert mixed.p_value == one.p_value


def test_one_speaker_says_nothing_of_others() -> None:
    found = compare(run(BEFORE[:12]), run(AFTER[:12]))
    assert found.difference != 0
    assert found.interval is None
    assert found.p_value == 1


def _relabelled(rows: list[Row]) -> list[Row]:
    return [*rows[:-1], (rows[-1][0], rows[-1][1], "anger" if rows[-1][2] != "anger" else "fear", rows[-1][3])]


def _of_someone_else(rows: list[Row]) -> list[Row]:
    return [*rows[:-1], (rows[-1][0], "s00", *rows[-1][2:])]


def _by_window(rows: list[Row]) -> list[Row]:
    return [*rows, *rows[:4]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-2], r"^2 clips are in the first run only and 0 in the second only, such as 4-10,.*train"),
        (lambda rows: [("new", *rows[0][1:]), *rows[1:]], r"^1 clips.* first run only and 1 in the second only"),
        (
            lambda rows: [*rows, ("new", *rows[0][1:])],
            r"^0 clips.* first run only and 1 in the second only, such as new",
        ),
        (_relabelled, r"^1 clips have another speaker or label.*such as 4-11,.*train both again"),
        (_of_someone_else, r"^1 clips have another speaker or label.*such as 4-11,"),
        (_by_window, r"^4 clips have another number of rows a repeat.*such as 0-0,.*finished"),
    ],
)
def test_other_clips_are_not_compared(change: Callable[[list[Row]], list[Row]], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        compare(run(BEFORE), run(change(AFTER)))


def test_an_unfinished_repeat_is_not_compared() -> None:
    with pytest.raises(ConfigurationError, match=r"^30 clips have another number of rows a repeat"):
        compare(run(BEFORE), run(AFTER, AFTER[:30]))
