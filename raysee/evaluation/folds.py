"""The only place that splits clips into training, validation and test parts."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raysee.errors import ConfigurationError
from raysee.evaluation.protocols import Protocol

Indices = npt.NDArray[np.int64]
Names = npt.NDArray[Any]

MOST_LEFT_OUT_SINGLY = 12  # Keesing et al. 2020, section 4.2: above 12 speakers, 6 groups
NUM_GROUPS = 6
BADSHAH_FOLDS = 5  # Badshah et al. 2017, section III.A
FINAL = -1  # the fold of the delivered model: nobody is tested
_NOBODY = np.empty(0, dtype=np.int64)


def _sklearn() -> Any:
    """Its ways to split, imported where they are used: every worker process would wait for them."""
    return importlib.import_module("sklearn.model_selection")


@dataclass(frozen=True)
class Fold:
    """Indices of examples; `validation` is empty where the protocol validates nothing."""

    number: int
    train: Indices
    validation: Indices
    test: Indices


@dataclass(frozen=True)
class Held:
    """What a split looks at: a name for each clip, and the clip of each example.

    `groups` is who is held out together: for some corpora all speakers of a session, or of a language, are one.
    """

    corpora: Sequence[str]
    groups: Sequence[str]
    labels: Sequence[str]
    clip_of: Indices
    genders: Sequence[str | None]
    sentences: Sequence[str | None]
    repetitions: Sequence[str | None]


def num_folds(num_groups: int) -> int:
    """How many folds so many speakers, sessions or languages make."""
    return num_groups if num_groups <= MOST_LEFT_OUT_SINGLY else NUM_GROUPS


def make_folds(protocol: Protocol, held: Held, *, seed: int, tested: Sequence[str] = ()) -> list[Fold]:
    """The folds of a corpus, and last the FINAL one, whose test part is empty.

    Where a protocol has folds every example is tested once. With `validation="next-fold"` the next fold's test part
    validates this one; the FINAL fold is validated by the first one's. Unless the protocol says that it leaks, no two
    parts of a fold share a speaker. Across corpora `tested` says which ones are tested, each by a model of the others;
    without it each is.

    Raises ConfigurationError where there are too few speakers, files or sentences, or a training part lacks a class.
    """
    everything = Fold(FINAL, np.arange(len(held.clip_of)), _NOBODY, _NOBODY)
    if protocol.split == "corpus":
        folds = [*_across(protocol, held, tested), everything]
    elif protocol.split.startswith("conditions"):
        folds = [_conditions(protocol, held, seed), everything]
    elif protocol.test_share is not None:
        folds = [_one_split(protocol, held, protocol.test_share, seed), everything]
    else:
        folds = _in_turn(protocol, held, seed)
    for fold in folds:
        _check(fold, protocol, held)
    return folds


def inner_folds(train: Indices, groups: Names) -> list[tuple[Indices, Indices]]:
    """Training and test parts within a training part, no group in both: groups in turn, or NUM_GROUPS of them.

    Raises ConfigurationError where the training part has one group.
    """
    number = num_folds(len(set(groups[train])))
    if number < 2:
        raise ConfigurationError(
            "The training part of a fold has one speaker, and parameters are searched on speakers who are left out of "
            "it: take a corpus with more speakers, or protocol paper, which searches on the test folds."
        )
    return [(train[fit], train[test]) for fit, test in _sklearn().GroupKFold(number).split(train, groups=groups[train])]


def _in_turn(protocol: Protocol, held: Held, seed: int) -> list[Fold]:
    """Each part is tested once, and FINAL."""
    parts = [
        _examples(held, part) if protocol.split != "example" else part for part in _test_parts(protocol, held, seed)
    ]
    validate = protocol.validation == "next-fold"
    least = 3 if validate else 2
    if len(parts) < least:
        raise ConfigurationError(
            f"Protocol {protocol.name} needs at least {least} speakers, this corpus has {len(parts)}: "
            "take one with more speakers."
        )
    everything = np.arange(len(held.clip_of))
    folds = []
    for number, test in [*enumerate(parts), (FINAL, _NOBODY)]:
        validation = parts[(number + 1) % len(parts)] if validate else _NOBODY
        train = np.setdiff1d(everything, np.concatenate([test, validation]))
        folds.append(Fold(number, train, validation, test))
    return folds


def _test_parts(protocol: Protocol, held: Held, seed: int) -> list[Indices]:
    """Indices of clips, or of examples where the protocol splits these."""
    labels, groups = np.asarray(held.labels), np.asarray(held.groups)
    if protocol.split in ("file", "example"):
        if protocol.split == "example":
            labels = labels[held.clip_of]
        _, counts = np.unique(labels, return_counts=True)
        if counts.min() < BADSHAH_FOLDS:
            raise ConfigurationError(
                f"Protocol {protocol.name} needs at least {BADSHAH_FOLDS} {protocol.split}s of every class, one has "
                f"{counts.min()}: leave it out with --labels."
            )
        splitter = _sklearn().StratifiedKFold(BADSHAH_FOLDS, shuffle=True, random_state=seed)
        return [test for _, test in splitter.split(labels, labels)]
    everybody = sorted(set(held.groups))
    number = min(BADSHAH_FOLDS if protocol.split == "speaker-five" else num_folds(len(everybody)), len(everybody))
    if number == len(everybody):
        return [np.flatnonzero(groups == group) for group in everybody]
    if protocol.split == "speaker-random":
        shuffled = np.random.default_rng(seed).permutation(everybody)
        return [np.flatnonzero(np.isin(groups, part)) for part in np.array_split(shuffled, number)]
    return [test for _, test in _sklearn().GroupKFold(number).split(groups, groups=groups)]


def _across(protocol: Protocol, held: Held, tested: Sequence[str]) -> list[Fold]:
    """A fold a tested corpus; a sixth of the other corpora's speakers validates, or one of fewer than six."""
    corpora, groups = np.asarray(held.corpora), np.asarray(held.groups)
    known = sorted(set(held.corpora))
    if len(known) < 2:
        raise ConfigurationError(f"Protocol {protocol.name} needs at least 2 corpora, not {', '.join(known)} alone.")
    folds = []
    for number, corpus in enumerate(known):
        if tested and corpus not in tested:
            continue
        test = np.flatnonzero(corpora == corpus)
        others = np.flatnonzero(corpora != corpus)
        if both := sorted(set(groups[test]) & set(groups[others])):
            raise ConfigurationError(f"{corpus} and the others share speakers ({both[0]}): leave a corpus out.")
        num_groups = len(set(groups[others]))
        if num_groups < 3:
            raise ConfigurationError(
                f"Protocol {protocol.name} validates on some of the speakers who are trained on, and besides "
                f"{corpus} there are {num_groups} of 3: add a corpus to train on."
            )
        fit, validation = next(_sklearn().GroupKFold(min(NUM_GROUPS, num_groups)).split(others, groups=groups[others]))
        parts = (_examples(held, part) for part in (others[fit], others[validation], test))
        folds.append(Fold(number, *parts))
    return folds


def _one_split(protocol: Protocol, held: Held, test_share: float, seed: int) -> Fold:
    """One random split of files or examples."""
    by_example = protocol.split == "example"
    everything = np.arange(len(held.clip_of) if by_example else len(held.labels))
    if len(everything) < 10:
        raise ConfigurationError(
            f"Protocol {protocol.name} needs 10 {protocol.split}s or more, not {len(everything)}: take a larger corpus."
        )
    train, test = _sklearn().train_test_split(everything, test_size=test_share, random_state=seed)
    validation = _NOBODY
    if protocol.validation == "share":
        share = protocol.validation_share / (1 - test_share)
        train, validation = _sklearn().train_test_split(train, test_size=share, random_state=seed)
    elif protocol.validation == "test":
        validation = test
    parts = (train, validation, test)
    return Fold(0, *(np.sort(part) if by_example else _examples(held, part) for part in parts))


def _conditions(protocol: Protocol, held: Held, seed: int) -> Fold:
    """Some speakers and sentences are trained on; of these a part is tested too, and everything else is tested.

    A quarter of the speakers is unheard, of each gender where the corpus says it, and the earlier half of the
    sentences: of RAVDESS's two the children's is trained on, as in the article on AlexNet.
    """
    sentences = np.asarray([name or "" for name in held.sentences])
    known = sorted(set(sentences) - {""})
    if len(known) < 2:
        raise ConfigurationError(
            f"Protocol {protocol.name} compares sentences, and this corpus has {len(known)} that it names: "
            "take one with two or more, such as ravdess or emodb."
        )
    groups = np.asarray(held.groups)
    unheard = _quarter(held, seed)
    pool = np.flatnonzero(~np.isin(groups, unheard) & np.isin(sentences, known[len(known) // 2 :]))
    labels = np.asarray(held.labels)
    repetitions = np.asarray([name or "" for name in held.repetitions])[pool]
    again = repetitions == max(repetitions, default="")
    if protocol.split == "conditions-example":
        examples = _examples(held, pool)
        train = _four_fifths(examples, labels[held.clip_of[examples]], protocol, seed)
    elif "" not in repetitions and 0.1 < again.mean() < 0.9:  # not one that few clips have
        train = _examples(held, pool[~again])
    else:
        train = _examples(held, _four_fifths(pool, labels[pool], protocol, seed))
    return Fold(0, train, _NOBODY, np.setdiff1d(np.arange(len(held.clip_of)), train))


def _quarter(held: Held, seed: int) -> list[str]:
    """Who is not trained on."""
    gender = dict(zip(held.groups, held.genders, strict=True))
    rng = np.random.default_rng(seed)
    unheard: list[str] = []
    for one in sorted({name or "" for name in gender.values()}):
        its = sorted(group for group, name in gender.items() if (name or "") == one)
        unheard += rng.permutation(its)[: round(len(its) / 4)].tolist()
    if not unheard:
        if len(gender) < 2:
            raise ConfigurationError("This corpus has one speaker, and nobody can be unheard: take one with more.")
        unheard = [sorted(gender)[-1]]
    return unheard


def _four_fifths(everything: Indices, labels: Names, protocol: Protocol, seed: int) -> Indices:
    """Of each class."""
    _, counts = np.unique(labels, return_counts=True)
    if len(counts) == 0 or counts.min() < 2 or len(labels) < 5 * len(counts):
        raise ConfigurationError(
            f"Protocol {protocol.name} tests a fifth of what is heard, and {len(labels)} examples of {len(counts)} "
            "classes are too few for that: take a larger corpus, or leave rare classes out with --labels."
        )
    train, _ = _sklearn().train_test_split(everything, test_size=0.2, random_state=seed, stratify=labels)
    return np.sort(train)


def _examples(held: Held, clips: Indices) -> Indices:
    """The examples of clips."""
    return np.flatnonzero(np.isin(held.clip_of, clips))


def _check(fold: Fold, protocol: Protocol, held: Held) -> None:
    parts = [fold.train, fold.test] if protocol.validation == "test" else [fold.train, fold.validation, fold.test]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together) == len(held.clip_of), "every example is in one part"
    if not protocol.leaks:
        groups = np.asarray(held.groups)[held.clip_of]
        heard = [set(groups[part]) for part in parts]
        assert len(set().union(*heard)) == sum(map(len, heard)), "no speaker is in two parts"
    trained = set(np.asarray(held.labels)[held.clip_of[fold.train]])
    if missing := sorted(set(held.labels) - trained):
        raise ConfigurationError(
            f"The training part of {'the delivered model' if fold.number == FINAL else f'fold {fold.number}'} has no "
            f"clip of {', '.join(missing)}: leave these classes out with --labels, or take a corpus with more speakers."
        )


def outer_folds(protocol: Protocol, held: Held, number: int) -> list[Fold]:
    """Folds around a search, which sees the training and validation parts: `number` parts of the groups are tested.

    Validated is the first of `inner_folds` of the rest. Where the rest had fewer than three groups, each is tested
    by itself. Raises ConfigurationError where there are fewer than four, or a training part lacks a class.
    """
    groups = np.asarray(held.groups)
    num_groups = len(set(held.groups))
    if num_groups < 4:
        raise ConfigurationError(
            f"A nested search tests one speaker and searches on three or more, and this corpus has {num_groups}: "
            "take one with more speakers."
        )
    for parts in (min(number, num_groups), num_groups):
        dealt = list(_sklearn().GroupKFold(parts).split(groups, groups=groups))
        if min(len(set(groups[rest])) for rest, _ in dealt) >= 3:
            break
    folds = []
    for part, (rest, test) in enumerate(dealt):
        folds.append(_three_parts(held, part, rest, inner_folds(rest, groups)[0][1], test))
        _check(folds[-1], protocol, held)
    return folds


def search_folds(held: Held) -> list[Fold]:
    """Folds within what a search sees, each validated by the next one's test part; a rare class may be in one only."""
    groups = np.asarray(held.groups)
    dealt = inner_folds(np.arange(len(groups)), groups)
    return [
        _three_parts(held, number, rest, dealt[(number + 1) % len(dealt)][1], test)
        for number, (rest, test) in enumerate(dealt)
    ]


def _three_parts(held: Held, number: int, rest: Indices, validation: Indices, test: Indices) -> Fold:
    return Fold(number, *(_examples(held, part) for part in (np.setdiff1d(rest, validation), validation, test)))
