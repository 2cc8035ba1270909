"""The examples of one training as places in the feature store, for values that need not lie in memory together.

An array is what a row of schema.FEATURES holds: of a clip, or behind these of an altered copy. A part is one file of
them.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raysee import lake, schema, storage
from raysee.evaluation.folds import Fold
from raysee.evaluation.moments import Moments, moments
from raysee.evaluation.protocols import protocol
from raysee.evaluation.standardise import Statistics
from raysee.features import front_end
from raysee.features.table import arrays
from raysee.models import network
from raysee.storage import join
from raysee.training.clips import Array, Clips, Examples, Indices, examples, load, with_copies
from raysee.training.inputs import Inputs
from raysee.training.work import Work, prepare


class Part(NamedTuple):
    """A file of features, and what stands before the ids of its clips where the corpora are several."""

    uri: str
    prefix: str
    altered: bool


class Contents(NamedTuple):
    """What a part holds: the id and the number of rows of each of its arrays, and the shape of a row."""

    clip_ids: list[str]
    lengths: list[int]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Store:
    """What the training of the model that is delivered needs to find its examples.

    `seen` has the examples' clips, and as `start` their first row within their array. `part` and `row` say of each
    array where it lies, `length` how many rows it has, and `scaled_by` whose statistics standardise it.
    """

    work: Work  # its clips without their values
    fold: Fold
    seen: Examples
    array: Indices  # of each example
    parts: list[Part]
    part: Indices
    row: Indices
    length: Indices
    scaled_by: list[str] | None

    def read(self, part: int) -> list[tuple[int, Array]]:
        """The numbers and the values (num_rows, *shape) of the arrays in a part that have examples."""
        wanted = np.intersect1d(np.flatnonzero(self.part == part), self.array)
        values = arrays(storage.read_table(self.parts[part].uri, schema.FEATURES, ["clip_id", "shape", "values"]))
        return [(number, values[self.row[number]]) for number in wanted.tolist()]

    def look(self, part: int) -> tuple[dict[str, Moments], list[str]]:
        """The moments of what a part has for each statistic, and the clips whose features are NaN or infinite."""
        pieces: dict[str, list[Array]] = {}
        bad = []
        for number, values in self.read(part):
            if not np.isfinite(values).all():
                bad.append(self.work.clips.clip_ids[number] if number < len(self.work.clips) else f"copy {number}")
            elif self.scaled_by is not None and number < len(self.work.clips):
                pieces.setdefault(self.scaled_by[number], []).append(self._heard(number, values))
        together = {name: np.concatenate(its) for name, its in pieces.items()}
        return {name: moments(its) for name, its in together.items() if len(its)}, bad

    def standardise(self, number: int, values: Array, statistics: dict[str, Statistics]) -> Array:
        """The values of an array as the protocol has them."""
        return values if self.scaled_by is None else statistics[self.scaled_by[number]].apply(values)

    @functools.cached_property
    def _trained_arrays(self) -> Indices:
        """Of each example that is trained on; they ascend as the examples do."""
        return self.array[self.fold.train]

    def _heard(self, number: int, values: Array) -> Array:
        """The rows of an array that its statistic is made of: those that are trained on, or, of a name's own, all."""
        if protocol(self.work.config.protocol).standardise != "train":
            return values
        first, last = np.searchsorted(self._trained_arrays, [number, number + 1])
        train = self.fold.train[first:last]
        heard = np.zeros(len(values), dtype=np.bool_)
        for start, length in zip(self.seen.start[train].tolist(), self.seen.length[train].tolist(), strict=True):
            heard[start : start + length] = True
        return values[heard]


@dataclass(frozen=True)
class _Outlined(Inputs):
    """Inputs whose clips come without their values, so that they are split as ever and fit into memory."""

    outlines: dict[bool, pa.Table]
    shape: tuple[int, ...]

    def clips(self) -> Clips:
        return self._outline(False)

    def altered_clips(self) -> Clips | None:
        return self._outline(True) if self.altered else None

    def _outline(self, altered: bool) -> Clips:
        clips = load(self.utterances(), self.outlines[altered], self.labels)
        return dataclasses.replace(clips, values=np.empty((0, *self.shape), np.float32))


def find_parts(inputs: Inputs) -> list[Part]:
    """The files of features of a run, and behind them those of altered copies."""
    config, several = inputs.config, len(inputs.listed) > 1
    parts = []
    for altered, features in ((False, config.features), (True, config.augmented)):
        for corpus in config.corpora if features else ():
            folder = join(lake.features(inputs.root, corpus, features, front_end(features), config.channel), "clips")
            names = sorted(name for name in storage.names(folder) if name.startswith("part-"))
            parts += [Part(join(folder, name), f"{corpus}/" if several else "", altered) for name in names]
    return parts


def contents(part: Part) -> Contents:
    """What a part holds."""
    table = storage.read_table(part.uri, schema.FEATURES, ["clip_id", "shape"])
    shapes = table["shape"].to_pylist()
    return Contents(
        [part.prefix + clip_id for clip_id in table["clip_id"].to_pylist()],
        [shape[0] for shape in shapes],
        tuple(shapes[0][1:]) if shapes else (),
    )


def prepare_outlined(inputs: Inputs, parts: Sequence[Part], held: Sequence[Contents]) -> tuple[Work, list[Fold]]:
    """What `prepare` gives, but for the values of the clips."""
    outlines: dict[bool, list[pa.Table]] = {False: [], True: []}
    for part, its in zip(parts, held, strict=True):
        outlines[part.altered].append(_without_values(its))
    shape = next((its.shape for its in held if its.clip_ids), ())
    tables = {altered: pa.concat_tables(its) for altered, its in outlines.items() if its}
    return prepare(_Outlined(**vars(inputs), outlines=tables, shape=shape))


def outline(inputs: Inputs, parts: Sequence[Part], held: Sequence[Contents]) -> Store:
    """Where the examples of the model that is delivered lie, of parts and what they hold.

    Raises ConfigurationError as `prepare` does.
    """
    lying: dict[bool, list[tuple[str, int, int, int]]] = {False: [], True: []}
    for number, (part, its) in enumerate(zip(parts, held, strict=True)):
        lying[part.altered] += [
            (clip_id, number, row, length)
            for row, (clip_id, length) in enumerate(zip(its.clip_ids, its.lengths, strict=True))
        ]
    work, folds = prepare_outlined(inputs, parts, held)
    kept = {False: set(work.clips.clip_ids), True: set(work.altered.clip_ids if work.altered else ())}
    found = [
        # In the order of `load`, which sorts what has one of the labels by its id.
        one
        for altered in (False, True)
        for one in sorted((one for one in lying[altered] if one[0] in kept[altered]), key=lambda one: one[0])
    ]
    seen, array, train = _with_altered(work, folds[-1])
    rules, clips = protocol(work.config.protocol), work.clips
    own = {"train": [""] * len(found), "speaker": clips.speakers, "corpus": clips.corpora}
    return Store(
        work=work,
        fold=dataclasses.replace(folds[-1], train=train),
        seen=seen,
        array=array,
        parts=list(parts),
        part=np.array([part for _, part, _, _ in found]),
        row=np.array([row for _, _, row, _ in found]),
        length=np.array([length for _, _, _, length in found]),
        scaled_by=own[rules.standardise] if network(work.config.model).standardise else None,
    )


def _without_values(held: Contents) -> pa.Table:
    columns: dict[str, Any] = {
        "clip_id": pa.array(held.clip_ids, pa.string()),
        "shape": pa.array([[length, 0] for length in held.lengths], schema.FEATURES.field("shape").type),
        "values": pa.array([[]] * len(held.lengths), schema.FEATURES.field("values").type),
    }
    return pa.table(columns)


def _with_altered(work: Work, fold: Fold) -> tuple[Examples, Indices, Indices]:
    """The examples with those of the training clips' altered copies behind them, their arrays, the training part."""
    clips, seen, altered = work.clips, work.seen, work.altered
    array = seen.clip
    own = seen._replace(start=seen.start - clips.offsets[array])
    if altered is None:
        return own, array, fold.train
    more = examples(altered.offsets, clips.shape, network(work.config.model).unit, work.config.hop_ms)
    within = more._replace(start=more.start - altered.offsets[more.clip])
    both, train, copy = with_copies(own, clips.clip_ids, fold.train, within, altered.clip_ids)
    return both, np.concatenate([array, len(clips) + copy]), train


class Share(NamedTuple):
    """What one of N workers has of a batch: examples, what their mean counts for, how many rows clips are padded to.

    The padding is that of the whole batch, because it takes part in what many networks say.
    """

    positions: Indices
    share: float
    num_rows: int


def share_of(positions: Indices, num_rows: int, rank: int, num_workers: int) -> Share:
    """Every N-th example; where there is none, the first one stands in and counts for nothing (see batches.Batch)."""
    mine = positions[rank::num_workers]
    if not len(mine):
        return Share(positions[:1], 0.0, num_rows)
    return Share(mine, num_workers * len(mine) / len(positions), num_rows)


def seed_of(seed: int, epoch: int, rank: int) -> int:
    """Of what is drawn in an epoch on a worker, whatever was before: a training that goes on draws the same."""
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])
