"""A corpus or a run, and its splits -> one HTML page that says what they leak."""

import collections
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysee import storage
from raysee.errors import ConfigurationError
from raysee.evaluation.leakage import COMPARED, LEAST_CORRELATION, Pair, identical, near_identical, shared, with_twins
from raysee.features.table import arrays
from raysee.report.look import MOST_ROWS
from raysee.report.template import render

_SAID = ("label", "speaker", "session", "sentence", "intensity", "repetition")
_NAMED = {"speakers": "speaker", "sessions": "session", "sentences": "sentence"}


class Split(NamedTuple):
    """The clips of each fold's training and test part, by clip_id.

    `leaks` says in words what the split is known to share between them, or, where there are no folds, why not.
    """

    name: str
    leaks: str
    train: Sequence[Sequence[str]]
    test: Sequence[Sequence[str]]


class Price(NamedTuple):
    """What a model reaches where a test clip's speaker and sentence were heard in training, or not; UAR in [0, 1]."""

    condition: str
    uar: float
    clips: int


class Twins(NamedTuple):
    """Rows of schema.UTTERANCES that hold one recording, and what they say differently of it."""

    rows: list[dict[str, Any]]
    differ: list[str]
    pair: Pair | None  # None where the bytes are the same


class Names(NamedTuple):
    """How many speakers, sessions or sentences there are; of one of them fewest, median and most clips or speakers."""

    what: str
    number: int
    clips: tuple[float, ...]
    speakers: tuple[float, ...]
    num_unnamed: int


class Cell(NamedTuple):
    """How many of a split's test clips have a speaker, say, that is trained on, and how many speakers in one fold."""

    num_clips: int
    share: float  # of all test clips
    most_values: int


@dataclass(frozen=True)
class SplitRow:
    """A split over all its folds."""

    name: str
    leaks: str
    num_folds: int
    num_test_clips: int
    cells: list[Cell]


def write_audit(
    uri: str,
    title: str,
    utterances: pa.Table,
    features: pa.Table | None,
    splits: Sequence[Split],
    *,
    price: Sequence[Price] = (),
    synthetic: bool = False,
    provenance: Sequence[tuple[str, str]] = (),
) -> str:
    """Draw what the clips of `utterances` (schema.UTTERANCES) and their `splits` leak, and return the page's URI.

    With `features` (schema.FEATURES of logmel40) clips that hold one recording are searched; without, the page says
    that they were not. Raises ConfigurationError for other features, and where there is no clip.
    """
    if not utterances.num_rows:
        raise ConfigurationError(f"{title} has no clips, and an audit needs some: list the corpus again.")
    if features is not None:
        features = features.filter(pc.is_in(features["clip_id"], value_set=utterances["clip_id"].combine_chunks()))
    groups, pairs = ([], []) if features is None else _twins(features)
    known = with_twins(utterances, groups, pairs)
    kinds = _kinds(known)
    rows = {row["clip_id"]: row for row in utterances.to_pylist()}
    page = render(
        "audit.html",
        title=title,
        synthetic=synthetic,
        num_clips=utterances.num_rows,
        num_files=pc.count_distinct(utterances["uri"]).as_py(),
        named=[_names(what, column, utterances) for what, column in _NAMED.items()],
        compared=features.num_rows if features is not None else None,
        identical=[_told([rows[clip_id] for clip_id in group]) for group in groups],
        near=[_told([rows[pair.first], rows[pair.second]], pair) for pair in pairs],
        least_correlation=LEAST_CORRELATION,
        kinds=kinds,
        splits=[_row(split, known, kinds) for split in splits],
        price=price,
        most_rows=MOST_ROWS,
        provenance=provenance,
    )
    storage.write_bytes(uri, page.encode())
    return uri


def _twins(features: pa.Table) -> tuple[list[list[str]], list[Pair]]:
    """Groups of the same bytes, and pairs of the same recording that are in none of them."""
    groups = identical(features)
    group_of = {clip_id: number for number, group in enumerate(groups) for clip_id in group}
    pairs = near_identical(features["clip_id"].to_pylist(), arrays(features))
    return groups, [
        pair for pair in pairs if pair.first not in group_of or group_of[pair.first] != group_of.get(pair.second)
    ]


def _told(rows: list[dict[str, Any]], pair: Pair | None = None) -> Twins:
    return Twins(rows, [name for name in _SAID if len({row[name] for row in rows}) > 1], pair)


def _kinds(known: pa.Table) -> list[str]:
    """What of COMPARED there is to share; files that hold one clip each say nothing that the clips do not."""
    found = [what for what, column in COMPARED.items() if known[column].null_count < known.num_rows]
    one_each = pc.count_distinct(known["uri"]).as_py() == known.num_rows
    return [what for what in found if not (what == "files" and one_each)]


def _names(what: str, column: str, utterances: pa.Table) -> Names:
    clips: collections.Counter[str] = collections.Counter()
    speakers: dict[str, set[str]] = collections.defaultdict(set)
    for name, speaker in zip(utterances[column].to_pylist(), utterances["speaker"].to_pylist(), strict=True):
        if name is not None:
            clips[name] += 1
            speakers[name].add(speaker)
    return Names(
        what,
        len(clips),
        _three(list(clips.values())),
        _three([len(names) for names in speakers.values()]),
        utterances.num_rows - sum(clips.values()),
    )


def _three(counts: list[int]) -> tuple[float, ...]:
    return tuple(np.quantile(counts, [0, 0.5, 1]).tolist()) if counts else ()


def _row(split: Split, known: pa.Table, kinds: Sequence[str]) -> SplitRow:
    number = {clip_id: row for row, clip_id in enumerate(known["clip_id"].to_pylist())}
    compared = known.select(list(COMPARED.values()))
    num_shared: collections.Counter[str] = collections.Counter()
    most: collections.Counter[str] = collections.Counter()
    for parts in zip(split.train, split.test, strict=True):
        # A clip of which several windows are in a part is there once.
        train, test = (compared.take(sorted({number[clip_id] for clip_id in part})) for part in parts)
        for found in shared(train, test):
            num_shared[found.what] += found.num_test_clips
            most[found.what] = max(most[found.what], found.num_values)
    num_test_clips = sum(len(set(part)) for part in split.test)
    return SplitRow(
        name=split.name,
        leaks=split.leaks,
        num_folds=len(split.test),
        num_test_clips=num_test_clips,
        cells=[Cell(num_shared[what], num_shared[what] / max(num_test_clips, 1), most[what]) for what in kinds],
    )
