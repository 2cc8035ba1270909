"""The clips of a corpus in memory, and the examples that a network sees of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysee.errors import ConfigurationError
from raysee.evaluation.folds import Held
from raysee.features.sliding import window_starts
from raysee.features.table import arrays

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clips:
    """Features of all clips end to end, which Ray shares between processes without a copy.

    `values` is (num_rows of all clips, *shape); clip i is values[offsets[i]:offsets[i + 1]].
    """

    values: Array
    offsets: Indices
    clip_ids: list[str]
    corpora: list[str]
    speakers: list[str]
    groups: list[str]  # what cross-validation holds out together; a speaker is in one
    labels: list[str]
    genders: list[str | None]
    sentences: list[str | None]
    repetitions: list[str | None]

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return self.values.shape[1:]

    def array(self, clip: int) -> Array:
        """The features of one clip, (num_rows, *shape), a view."""
        return self.values[self.offsets[clip] : self.offsets[clip + 1]]

    def held(self, clip_of: Indices) -> Held:
        """What a split looks at, where example i is of clip `clip_of[i]`."""
        return Held(self.corpora, self.groups, self.labels, clip_of, self.genders, self.sentences, self.repetitions)


class Examples(NamedTuple):
    """What a network sees one at a time: rows `start` to `start + length` of all clips end to end."""

    clip: Indices
    start: Indices
    length: Indices


def load(utterances: pa.Table, features: pa.Table, labels: Sequence[str]) -> Clips:
    """The clips that have features and one of `labels`, by clip_id.

    Raises ConfigurationError where no clip is left.
    """
    columns = ["clip_id", "corpus", "speaker", "group", "label", "gender", "sentence", "repetition"]
    known = {row["clip_id"]: row for row in utterances.select(columns).to_pylist() if row["label"] in labels}
    kept = [
        (known[clip_id], array)
        for clip_id, array in zip(features["clip_id"].to_pylist(), arrays(features), strict=True)
        if clip_id in known
    ]
    if not kept:
        raise ConfigurationError(
            f"Of {utterances.num_rows} clips {features.num_rows} have features, and none of these is one of "
            f"{', '.join(labels)}: see the rejects beside the features, or choose other labels."
        )
    kept.sort(key=lambda clip: clip[0]["clip_id"])

    def column(name: str) -> list[Any]:
        return [row[name] for row, _ in kept]

    return Clips(
        values=np.concatenate([array for _, array in kept]),
        offsets=np.cumsum([0, *(len(array) for _, array in kept)], dtype=np.int64),
        clip_ids=column("clip_id"),
        corpora=column("corpus"),
        speakers=column("speaker"),
        groups=column("group"),
        labels=column("label"),
        genders=column("gender"),
        sentences=column("sentence"),
        repetitions=column("repetition"),
    )


def with_copies(
    seen: Examples, clip_ids: Sequence[str], train: Indices, copies: Examples, copied: Sequence[str]
) -> tuple[Examples, Indices, Indices]:
    """Examples with those behind them that copies of the training part have, all of which are trained on.

    `copies` are the examples of altered copies whose clips have the ids `copied`. An example of a copy is trained on
    where the one at the same place of its clip is: where clips are split, no copy of what is tested is heard. Returns
    also the training part, and the copy that each added example is of.
    """
    number = {clip_id: clip for clip, clip_id in enumerate(clip_ids)}
    original = np.array([number.get(clip_id, -1) for clip_id in copied])[copies.clip]
    first, count = _first_and_count(seen.clip, len(clip_ids))
    copy_first, copy_count = _first_and_count(copies.clip, len(copied))
    # The middle of an example, in a clip that is spoken faster or slower.
    middle = (np.arange(len(copies.clip)) - copy_first[copies.clip] + 0.5) / copy_count[copies.clip]
    alike = first[original] + (middle * count[original]).astype(np.int64)
    trained = (original >= 0) & np.isin(alike, train)
    both = Examples(
        np.concatenate([seen.clip, original[trained]]),
        np.concatenate([seen.start, copies.start[trained]]),
        np.concatenate([seen.length, copies.length[trained]]),
    )
    added = np.arange(len(seen.clip), len(both.clip))
    return both, np.concatenate([train, added]), copies.clip[trained]


def _first_and_count(clip_of: Indices, num_clips: int) -> tuple[Indices, Indices]:
    """Of each clip's examples, which lie together."""
    count = np.bincount(clip_of, minlength=num_clips)
    return np.cumsum(count) - count, count


def examples(offsets: Indices, shape: tuple[int, ...], unit: str, hop_ms: int) -> Examples:
    """The examples of clips that lie end to end, clip i in rows offsets[i] to offsets[i + 1]; see models.Network."""
    lengths = np.diff(offsets)
    everybody = np.arange(len(lengths))
    if unit == "clip":
        return Examples(everybody, offsets[:-1], lengths)
    if unit == "row":
        return Examples(np.repeat(everybody, lengths), np.arange(offsets[-1]), np.ones(offsets[-1], dtype=np.int64))
    size = shape[0]
    starts = [window_starts(length, size, hop_ms) for length in lengths.tolist()]
    clip = np.repeat(everybody, [len(found) for found in starts])
    start = np.concatenate(starts) + offsets[clip]
    return Examples(clip, start, np.full(len(start), size, dtype=np.int64))
