"""The only place that splits clips into training, validation and test parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, StratifiedKFold

from raysee.errors import ConfigurationError
from raysee.evaluation.protocols import Protocol

Indices = npt.NDArray[np.int64]

MOST_LEFT_OUT_SINGLY = 12  # Keesing et al. 2020, section 4.2: above 12 speakers, 6 groups
NUM_GROUPS = 6
NUM_FILE_FOLDS = 5
FINAL = -1  # the fold of the delivered model: nobody is tested


@dataclass(frozen=True)
class Fold:
    """Indices of clips; `validation` is empty where the protocol keeps the last epoch."""

    number: int
    train: Indices
    validation: Indices
    test: Indices


def num_folds(num_groups: int) -> int:
    """How many folds so many speakers, sessions or languages make."""
    return num_groups if num_groups <= MOST_LEFT_OUT_SINGLY else NUM_GROUPS


def make_folds(protocol: Protocol, speakers: Sequence[str], labels: Sequence[str], *, seed: int) -> list[Fold]:
    """The folds of a corpus of len(speakers) clips, and last the FINAL one, whose test part is empty.

    `speakers` is who is held out together: for some corpora all speakers of a session, or of a language, are one.
    Every clip is tested once. With `select="validation"` the next fold's test part validates this one; the FINAL
    fold is validated by the first one's. Unless the protocol says that it leaks, no two parts of a fold share a
    speaker.

    Raises ConfigurationError where there are too few speakers, or where a training part lacks a class.
    """
    names, classes = np.asarray(speakers), np.asarray(labels)
    groups = _test_parts(protocol, names, classes, seed)
    validate = protocol.select == "validation"
    least = 3 if validate else 2
    if len(groups) < least:
        raise ConfigurationError(
            f"Protocol {protocol.name} needs at least {least} speakers, this corpus has {len(groups)}: "
            "take one with more speakers."
        )
    everything = np.arange(len(names))
    nobody = np.empty(0, dtype=np.int64)
    folds = []
    for number, test in [*enumerate(groups), (FINAL, nobody)]:
        validation = groups[(number + 1) % len(groups)] if validate else nobody
        train = np.setdiff1d(everything, np.concatenate([test, validation]))
        folds.append(Fold(number, train, validation, test))
    for fold in folds:
        _check(fold, protocol, names, classes)
    return folds


def _test_parts(
    protocol: Protocol, speakers: npt.NDArray[np.str_], labels: npt.NDArray[np.str_], seed: int
) -> list[Indices]:
    clips = np.arange(len(speakers))
    if protocol.split == "file":
        _, smallest = np.unique(labels, return_counts=True)
        if smallest.min() < NUM_FILE_FOLDS:
            raise ConfigurationError(
                f"Protocol {protocol.name} needs at least {NUM_FILE_FOLDS} clips of every class, one has "
                f"{smallest.min()}: leave it out with --labels."
            )
        splitter = StratifiedKFold(NUM_FILE_FOLDS, shuffle=True, random_state=seed)
        return [test for _, test in splitter.split(clips, labels)]
    everybody = sorted(set(speakers))
    if num_folds(len(everybody)) == len(everybody):
        return [np.flatnonzero(speakers == speaker) for speaker in everybody]
    if protocol.split == "speaker-balanced":
        return [test for _, test in GroupKFold(NUM_GROUPS).split(clips, groups=speakers)]
    shuffled = np.random.default_rng(seed).permutation(everybody)
    return [np.flatnonzero(np.isin(speakers, group)) for group in np.array_split(shuffled, NUM_GROUPS)]


def _check(fold: Fold, protocol: Protocol, speakers: npt.NDArray[np.str_], labels: npt.NDArray[np.str_]) -> None:
    parts = {"train": fold.train, "validation": fold.validation, "test": fold.test}
    together = np.concatenate(list(parts.values()))
    assert len(np.unique(together)) == len(together) == len(speakers), "every clip is in one part"
    if not protocol.leaks:
        heard = [set(speakers[part]) for part in parts.values()]
        assert len(set().union(*heard)) == sum(map(len, heard)), "no speaker is in two parts"
    if missing := sorted(set(labels) - set(labels[fold.train])):
        raise ConfigurationError(
            f"The training part of fold {fold.number} has no clip of {', '.join(missing)}: "
            "leave these classes out with --labels, or take a corpus with more speakers."
        )
