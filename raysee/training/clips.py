"""The clips of a corpus in memory, and the batches that a network is fed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from raysee.errors import ConfigurationError
from raysee.features.table import arrays

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clips:
    """Features of all clips end to end, which Ray shares between processes without a copy.

    `values` is (num_frames of all clips, num_columns); clip i is values[offsets[i]:offsets[i + 1]].
    """

    values: Array
    offsets: Indices
    clip_ids: list[str]
    speakers: list[str]
    groups: list[str]  # what cross-validation holds out together; a speaker is in one
    labels: list[str]

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def num_columns(self) -> int:
        return int(self.values.shape[1])

    def array(self, clip: int) -> Array:
        """The features of one clip, (num_frames, num_columns), a view."""
        return self.values[self.offsets[clip] : self.offsets[clip + 1]]


def load(utterances: pa.Table, features: pa.Table, labels: Sequence[str]) -> Clips:
    """The clips that have features and one of `labels`, by clip_id.

    Raises ConfigurationError where no clip is left.
    """
    known = {row["clip_id"]: row for row in utterances.select(["clip_id", "speaker", "group", "label"]).to_pylist()}
    clip_ids = features["clip_id"].to_pylist()
    kept = [
        (clip_id, array)
        for clip_id, array in zip(clip_ids, arrays(features), strict=True)
        if clip_id in known and known[clip_id]["label"] in labels
    ]
    if not kept:
        raise ConfigurationError(
            f"None of {features.num_rows} clips with features is one of {', '.join(labels)}: see its rejects."
        )
    if kept[0][1].ndim != 2:
        raise ConfigurationError(
            f"These features are arrays of shape {kept[0][1].shape} by clip, and the networks that there are take "
            "(num_frames, num_columns): train on others, such as logmel40."
        )
    kept.sort(key=lambda clip: clip[0])
    return Clips(
        values=np.concatenate([array for _, array in kept]),
        offsets=np.cumsum([0, *(len(array) for _, array in kept)], dtype=np.int64),
        clip_ids=[clip_id for clip_id, _ in kept],
        speakers=[known[clip_id]["speaker"] for clip_id, _ in kept],
        groups=[known[clip_id]["group"] for clip_id, _ in kept],
        labels=[known[clip_id]["label"] for clip_id, _ in kept],
    )


def batches_by_length(clips: Sequence[Array], batch_size: int) -> list[Indices]:
    """Positions of clips of like length together: fixed batches, as Keesing et al.'s code makes them.

    Sorting wastes little on padding; which clips share a batch never changes, only the order of the batches does.
    """
    order = np.argsort([len(clip) for clip in clips], kind="stable")
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def pad(clips: Sequence[Array], length_multiple: int) -> torch.Tensor:
    """A batch (B, T, F): zeros behind each clip up to the longest, rounded up to a multiple of `length_multiple`."""
    longest = max(len(clip) for clip in clips)
    num_frames = -(-longest // length_multiple) * length_multiple
    batch = np.zeros((len(clips), num_frames, clips[0].shape[1]), dtype=np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return torch.from_numpy(batch)


def padded_batches(
    clips: Sequence[Array], batch_size: int, length_multiple: int
) -> Iterator[tuple[Indices, torch.Tensor]]:
    """Positions and batch (B, T, F) of clips of like length together."""
    for positions in batches_by_length(clips, batch_size):
        yield positions, pad([clips[position] for position in positions], length_multiple)
