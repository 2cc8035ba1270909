import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysee.errors import ConfigurationError
from raysee.evaluation.folds import FINAL, Fold, make_folds
from raysee.evaluation.protocols import PROTOCOLS, protocol

SEPARATE = ["code", "paper", "strict"]  # no speaker in two parts


@st.composite
def corpora(draw: st.DrawFn, least: int = 3, most: int = 20) -> tuple[list[str], list[str]]:
    """Speakers and labels of the clips of a corpus in any order; everybody says every class at least once."""
    num_speakers = draw(st.integers(least, most))
    classes = ["anger", "fear", "neutral"][: draw(st.integers(1, 3))]
    clips = [(f"s{speaker}", label) for speaker in range(num_speakers) for label in classes]
    more = st.tuples(st.sampled_from([name for name, _ in clips]), st.sampled_from(classes))
    clips = draw(st.permutations(clips + draw(st.lists(more, max_size=30))))
    return [speaker for speaker, _ in clips], [label for _, label in clips]


def crossed(num_speakers: int, clips_each: int = 4) -> tuple[list[str], list[str]]:
    speakers = [f"s{speaker:02}" for speaker in range(num_speakers) for _ in range(clips_each)]
    return speakers, ["anger", "fear"] * (len(speakers) // 2)


def parts(fold: Fold) -> list[list[int]]:
    return [fold.train.tolist(), fold.validation.tolist(), fold.test.tolist()]


def names(indices: Sequence[int], speakers: list[str]) -> set[str]:
    return {speakers[index] for index in indices}


@settings(deadline=None)
@given(corpus=corpora(), name=st.sampled_from(SEPARATE), seed=st.integers(0, 3))
def test_no_speaker_is_in_two_parts_and_every_clip_is_tested_once(
    corpus: tuple[list[str], list[str]], name: str, seed: int
) -> None:
    speakers, labels = corpus
    folds = make_folds(protocol(name), speakers, labels, seed=seed)
    num_speakers = len(set(speakers))
    assert [fold.number for fold in folds] == [*range(num_speakers if num_speakers <= 12 else 6), FINAL]
    tested = [clip for fold in folds for clip in fold.test.tolist()]
    assert sorted(tested) == list(range(len(speakers)))
    for fold in folds:
        train, validation, test = parts(fold)
        assert sorted(train + validation + test) == list(range(len(speakers)))
        heard = [names(part, speakers) for part in (train, validation, test)]
        assert sum(len(one) for one in heard) == num_speakers  # each of them in one part
        assert bool(validation) is (name == "strict")
        assert bool(test) is (fold.number != FINAL)
        assert {labels[clip] for clip in train} == set(labels)


@pytest.mark.parametrize("name", SEPARATE)
@pytest.mark.parametrize(("num_speakers", "num_folds"), [(10, 10), (12, 12), (13, 6), (24, 6)])
def test_up_to_twelve_speakers_are_left_out_one_by_one(name: str, num_speakers: int, num_folds: int) -> None:
    speakers, labels = crossed(num_speakers)
    *folds, _ = make_folds(protocol(name), speakers, labels, seed=0)
    assert len(folds) == num_folds
    if num_folds == num_speakers:
        assert all(len(names(fold.test.tolist(), speakers)) == 1 for fold in folds)


@pytest.mark.parametrize("name", ["code", "strict"])
def test_above_twelve_each_speaker_joins_the_group_that_is_smallest_so_far(name: str) -> None:
    sizes = [2 + 2 * number for number in range(14)]
    speakers = [f"s{number:02}" for number, size in enumerate(sizes) for _ in range(size)]
    labels = ["anger", "fear"] * (len(speakers) // 2)
    groups: list[list[int]] = [[] for _ in range(6)]
    for number in sorted(range(14), key=lambda number: -sizes[number]):
        min(groups, key=lambda group: sum(sizes[one] for one in group)).append(number)
    expected = {frozenset(f"s{number:02}" for number in group) for group in groups}
    *folds, _ = make_folds(protocol(name), speakers, labels, seed=0)
    assert {frozenset(names(fold.test.tolist(), speakers)) for fold in folds} == expected
    tested = [len(fold.test) for fold in folds]
    assert max(tested) - min(tested) <= max(sizes)


def test_the_groups_of_the_paper_are_random_and_of_like_many_speakers() -> None:
    speakers, labels = crossed(26)
    found = []
    for seed in (0, 0, 1):
        *folds, _ = make_folds(protocol("paper"), speakers, labels, seed=seed)
        groups = [frozenset(names(fold.test.tolist(), speakers)) for fold in folds]
        assert sorted(map(len, groups)) == [4, 4, 4, 4, 5, 5]
        found.append(groups)
    assert found[0] == found[1]
    assert set(found[0]) != set(found[2])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_same_seed_gives_the_same_folds(name: str) -> None:
    speakers, labels = crossed(15)
    one, again = (make_folds(protocol(name), speakers, labels, seed=3) for _ in range(2))
    assert [parts(fold) for fold in one] == [parts(fold) for fold in again]
    other = make_folds(protocol(name), speakers, labels, seed=4)
    depends = [parts(fold) for fold in one] != [parts(fold) for fold in other]
    assert depends is (name in ("paper", "badshah2017"))


@pytest.mark.parametrize("name", ["strict", "badshah2017"])
def test_the_next_folds_test_part_validates_this_fold(name: str) -> None:
    *folds, final = make_folds(protocol(name), *crossed(5), seed=0)
    for fold, following in zip(folds, folds[1:] + folds[:1], strict=True):
        assert fold.validation.tolist() == following.test.tolist()
    assert (final.validation.tolist(), final.test.tolist()) == (folds[0].test.tolist(), [])


@pytest.mark.parametrize("name", ["code", "paper"])
def test_without_validation_the_final_model_hears_everybody(name: str) -> None:
    final = make_folds(protocol(name), *crossed(5), seed=0)[-1]
    assert (final.number, final.train.tolist(), final.test.tolist()) == (FINAL, list(range(20)), [])


def test_badshah2017_leaks_by_design_and_says_so() -> None:
    speakers, labels = crossed(10, clips_each=10)
    *folds, _ = make_folds(protocol("badshah2017"), speakers, labels, seed=0)
    assert len(folds) == 5
    assert sorted(clip for fold in folds for clip in fold.test.tolist()) == list(range(100))
    for fold in folds:
        train, validation, test = parts(fold)
        assert not set(train) & set(test)
        assert not set(train) & set(validation)
        assert names(train, speakers) & names(test, speakers)
        assert collections.Counter(labels[clip] for clip in test) == {"anger": 10, "fear": 10}  # stratified
    assert [name for name in PROTOCOLS if PROTOCOLS[name].leaks] == ["badshah2017"]


@pytest.mark.parametrize(
    ("name", "num_speakers", "least"),
    [("strict", 2, 3), ("strict", 1, 3), ("strict", 0, 3), ("paper", 1, 2), ("code", 1, 2)],
)
def test_too_few_speakers_are_counted(name: str, num_speakers: int, least: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} needs at least {least} speakers.* has {num_speakers}"):
        make_folds(protocol(name), *crossed(num_speakers), seed=0)


@pytest.mark.parametrize(("name", "num_speakers"), [("strict", 3), ("paper", 2), ("code", 2), ("badshah2017", 1)])
def test_the_least_is_enough(name: str, num_speakers: int) -> None:
    folds = make_folds(protocol(name), *crossed(num_speakers, clips_each=10), seed=0)
    assert all(len(fold.train) for fold in folds)


def test_a_class_that_is_missing_from_a_training_part_is_named() -> None:
    speakers, labels = crossed(4)
    labels[0] = "disgust"  # only s00 says it
    with pytest.raises(ConfigurationError, match=r"fold \d has no clip of disgust: .*--labels"):
        make_folds(protocol("paper"), speakers, labels, seed=0)
    labels[4] = "disgust"  # s01, too: with validation that is still not enough
    assert make_folds(protocol("paper"), speakers, labels, seed=0)
    with pytest.raises(ConfigurationError, match="disgust"):
        make_folds(protocol("strict"), speakers, labels, seed=0)


def test_a_file_split_needs_five_clips_of_each_class() -> None:
    speakers, labels = crossed(3)
    with pytest.raises(ConfigurationError, match=r"badshah2017 needs at least 5 clips .* one has 1"):
        make_folds(protocol("badshah2017"), speakers, ["disgust", *labels[1:]], seed=0)


def test_an_unknown_protocol_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'loso'.*badshah2017, code, paper, strict"):
        protocol("loso")


def test_a_protocol_that_breaks_its_word_is_caught() -> None:
    """The check does not trust the splitter: a split by file that calls itself clean is no fold."""
    liar = PROTOCOLS["badshah2017"].model_copy(update={"leaks": ""})
    with pytest.raises(AssertionError, match="no speaker is in two parts"):
        make_folds(liar, *crossed(4, clips_each=10), seed=0)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_knows_its_own_name(name: str) -> None:
    assert PROTOCOLS[name].name == name


def test_strict_sees_nothing_of_the_test_speakers() -> None:
    strict = PROTOCOLS["strict"]
    assert (strict.standardise, strict.class_weights, strict.select) == ("train", "train", "validation")
    assert not strict.leaks


def test_a_fold_cannot_change() -> None:
    fold = make_folds(protocol("strict"), *crossed(4), seed=0)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        fold.test = np.arange(3)  # type: ignore[misc]
