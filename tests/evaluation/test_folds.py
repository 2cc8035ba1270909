import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee.errors import ConfigurationError
from raysee.evaluation.folds import FINAL, Fold, Held, inner_folds
from raysee.evaluation.folds import make_folds as make
from raysee.evaluation.protocols import PROTOCOLS, Protocol, protocol

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


def make_folds(rules: Protocol, speakers: list[str], labels: list[str], *, seed: int) -> list[Fold]:
    """Of clips that are one example each, in sentences and repetitions that go round."""
    numbers = np.arange(len(speakers))
    held = Held(
        corpora=["a"] * len(speakers),
        groups=speakers,
        labels=labels,
        clip_of=numbers,
        genders=["female" if int(name[1:]) % 2 else "male" for name in speakers],
        sentences=[f"{number // 2 % 2}" for number in numbers],
        repetitions=[f"{number // 4 % 2}" for number in numbers],
    )
    return make(rules, held, seed=seed)


def crossed(num_speakers: int, clips_each: int = 4) -> tuple[list[str], list[str]]:
    speakers = [f"s{speaker:02}" for speaker in range(num_speakers) for _ in range(clips_each)]
    return speakers, ["anger", "fear"] * (len(speakers) // 2)


def parts(fold: Fold) -> list[list[int]]:
    return [fold.train.tolist(), fold.validation.tolist(), fold.test.tolist()]


def names(indices: Sequence[int], speakers: list[str]) -> set[str]:
    return {speakers[index] for index in indices}


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


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if PROTOCOLS[name].split != "corpus"])
def test_the_same_seed_gives_the_same_folds(name: str) -> None:
    speakers, labels = crossed(15, clips_each=16)
    one, again = (make_folds(protocol(name), speakers, labels, seed=3) for _ in range(2))
    assert [parts(fold) for fold in one] == [parts(fold) for fold in again]
    other = make_folds(protocol(name), speakers, labels, seed=4)
    depends = [parts(fold) for fold in one] != [parts(fold) for fold in other]
    assert depends is (name not in ("strict", "code", "badshah2017-speaker"))


@pytest.mark.parametrize("name", ["strict"])
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
    clean = [name for name, one in PROTOCOLS.items() if not one.leaks and one.split != "corpus"]
    assert clean == ["strict", "paper", "paper-nested", "code", "badshah2017-speaker"]


@pytest.mark.parametrize(("num_speakers", "num_folds"), [(10, 5), (24, 5), (3, 3)])
def test_badshah2017_by_speaker_differs_in_the_split_alone(num_speakers: int, num_folds: int) -> None:
    speakers, labels = crossed(num_speakers, clips_each=10)
    *folds, _ = make_folds(protocol("badshah2017-speaker"), speakers, labels, seed=0)
    assert len(folds) == num_folds
    for fold in folds:
        train, validation, test = parts(fold)
        assert (len(train) + len(test), validation) == (len(speakers), [])
        assert not names(train, speakers) & names(test, speakers)
    described = {"name", "split", "leaks", "note"}
    fields = [one.model_dump(exclude=described) for name, one in PROTOCOLS.items() if "badshah" in name]
    assert len(fields) == 3
    assert all(one == fields[0] for one in fields)


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
    with pytest.raises(ConfigurationError, match=r"badshah2017 needs at least 5 files .* one has 1"):
        make_folds(protocol("badshah2017"), speakers, ["disgust", *labels[1:]], seed=0)


def test_an_unknown_protocol_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'loso'.*badshah2017, .*code, .*paper, .*strict"):
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


def chunked(num_speakers: int, clips_each: int, chunks: int) -> Held:
    """A corpus whose clips have several examples each."""
    speakers, labels = crossed(num_speakers, clips_each)
    nothing = [None] * len(speakers)
    return Held(
        ["a"] * len(speakers), speakers, labels, np.repeat(np.arange(len(speakers)), chunks), nothing, nothing, nothing
    )


@pytest.mark.parametrize("name", ["strict", "paper", "badshah2017", "mlp-vs-cnn"])
def test_the_examples_of_a_clip_stay_together(name: str) -> None:
    held = chunked(5, 10, chunks=3)
    for fold in make(protocol(name), held, seed=0):
        for part in parts(fold):
            clips = collections.Counter(held.clip_of[part].tolist())
            assert set(clips.values()) <= {3}


@pytest.mark.parametrize("name", ["badshah2017-spectrogram", "stanford2015"])
def test_split_by_example_pieces_of_a_clip_are_on_both_sides(name: str) -> None:
    held = chunked(5, 10, chunks=4)
    fold = make(protocol(name), held, seed=0)[0]
    assert set(held.clip_of[fold.train]) & set(held.clip_of[fold.test])
    assert "files" in protocol(name).leaks


def test_the_shares_of_the_single_splits() -> None:
    *_, final = folds = make(protocol("stanford2015"), chunked(5, 20, chunks=5), seed=0)
    assert [len(part) for part in parts(folds[0])] == [300, 100, 100]
    assert [len(part) for part in parts(final)] == [500, 0, 0]
    fold, _ = make(protocol("mlp-vs-cnn"), chunked(5, 20, chunks=1), seed=0)
    assert [len(part) for part in parts(fold)] == [75, 25, 25]
    assert fold.validation.tolist() == fold.test.tolist(), "which its note says"


def ravdess(repetitions: bool = True) -> Held:
    """24 actors, two sentences, two repetitions, two labels."""
    rows = [
        (f"{actor:02}", sentence, take, label)
        for actor in range(24)
        for sentence in "12"
        for take in "12"
        for label in ("calm", "fear")
    ]
    return Held(
        corpora=["ravdess"] * len(rows),
        groups=[row[0] for row in rows],
        labels=[row[3] for row in rows],
        clip_of=np.repeat(np.arange(len(rows)), 5),
        genders=["female" if int(row[0]) % 2 else "male" for row in rows],
        sentences=[row[1] for row in rows],
        repetitions=[row[2] if repetitions else None for row in rows],
    )


@pytest.mark.parametrize("name", ["conditions", "alexnet-ravdess"])
def test_conditions_train_on_three_quarters_of_the_actors_and_one_sentence(name: str) -> None:
    held = ravdess()
    fold = make(protocol(name), held, seed=0)[0]
    trained = held.clip_of[fold.train]
    heard = {held.groups[clip] for clip in trained}
    assert len(heard) == 18
    assert sum(int(actor) % 2 for actor in heard) == 9, "three women and three men are unheard"
    assert {held.sentences[clip] for clip in trained} == {"2"}
    assert len(fold.train) + len(fold.test) == len(held.clip_of), "all else is tested"
    if name == "conditions":
        assert {held.repetitions[clip] for clip in trained} == {"1"}
        assert len(fold.train) == 18 * 2 * 5
        assert not set(trained) & set(held.clip_of[fold.test])
    else:
        assert len(fold.train) == 0.8 * 18 * 2 * 2 * 5
        assert set(trained) & set(held.clip_of[fold.test]), "windows of one file on both sides"


def test_without_repetitions_a_fifth_of_the_files_is_tested() -> None:
    held = ravdess(repetitions=False)
    fold = make(protocol("conditions"), held, seed=0)[0]
    assert len(set(held.clip_of[fold.train])) == 57  # of 72
    assert not set(held.clip_of[fold.train]) & set(held.clip_of[fold.test])


def test_conditions_need_sentences() -> None:
    with pytest.raises(ConfigurationError, match="compares sentences, and this corpus has 0 that it names"):
        make(protocol("conditions"), chunked(4, 10, chunks=1), seed=0)


def test_inner_folds_stay_in_the_training_part_and_tear_no_group_apart() -> None:
    groups = np.array([f"s{number % 5}" for number in range(40)])
    train = np.flatnonzero(groups != "s2")
    found = inner_folds(train, groups)
    assert len(found) == 4
    assert sorted(np.concatenate([test for _, test in found]).tolist()) == train.tolist()
    for fit, test in found:
        assert set(fit) | set(test) == set(train)
        assert not set(groups[fit]) & set(groups[test])
    with pytest.raises(ConfigurationError, match="has one speaker"):
        inner_folds(np.flatnonzero(groups == "s2"), groups)


def corpora_of(**speakers: int) -> Held:
    """Corpora of so many speakers each, who say four clips of two labels."""
    rows = [
        (corpus, f"{corpus}/{one}", label)
        for corpus, number in speakers.items()
        for one in range(number)
        for label in ("anger", "fear") * 2
    ]
    nothing = [None] * len(rows)
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Held(*columns, np.arange(len(rows)), nothing, nothing, nothing)


def test_across_corpora_each_is_tested_by_the_others() -> None:
    held = corpora_of(a=8, b=3, c=9)
    *folds, final = make(protocol("cross-corpus"), held, seed=0)
    corpora = np.array(held.corpora)
    for fold, name in zip(folds, "abc", strict=True):
        assert set(corpora[fold.test]) == {name}
        assert len(fold.test) == (corpora == name).sum()
        assert name not in {*corpora[fold.train], *corpora[fold.validation]}
        groups = np.array(held.groups)
        assert not set(groups[fold.train]) & set(groups[fold.validation])
        assert len(fold.validation) >= 4
    assert len(final.train) == len(corpora)
    (fold, _) = make(protocol("cross-corpus"), held, seed=0, tested=["c"])
    assert (fold.number, set(corpora[fold.test])) == (2, {"c"})


def test_one_corpus_is_none_to_cross() -> None:
    with pytest.raises(ConfigurationError, match="needs at least 2 corpora, not a alone"):
        make(protocol("cross-corpus"), corpora_of(a=8), seed=0)
    with pytest.raises(ConfigurationError, match="besides a there are 2 of 3: add a corpus"):
        make(protocol("cross-corpus"), corpora_of(a=8, b=2), seed=0)


def test_one_of_few_speakers_validates() -> None:
    """As of IEMOCAP, which has five sessions."""
    held = corpora_of(a=8, b=5)
    (fold, _) = make(protocol("cross-corpus"), held, seed=0, tested=["a"])
    groups = np.array(held.groups)
    assert len(set(groups[fold.train])) == 4
    assert len(set(groups[fold.validation])) == 1
