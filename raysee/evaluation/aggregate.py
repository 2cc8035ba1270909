"""From the windows of a clip to the clip."""

import numpy as np
import numpy.typing as npt

from raysee.config import Pooling

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


def by_clip(probabilities: Array, clip_of: Indices, how: Pooling) -> tuple[Indices, Array]:
    """The clips in ascending order, and their probabilities (num_clips, num_labels) of those of their examples.

    "mean" is Badshah et al. 2017, section II.E: the softmax vectors of a file's spectrograms are averaged. "median" is
    by class, scaled to a sum of 1. "vote" is the share of examples with that class on top.
    """
    clips, number = np.unique(clip_of, return_inverse=True)
    if how == "vote":
        votes = np.zeros_like(probabilities)
        votes[np.arange(len(votes)), probabilities.argmax(axis=1)] = 1.0
        probabilities = votes
    if len(clips) == len(clip_of):
        return clips, probabilities[np.argsort(clip_of)]
    if how == "median":
        order = np.argsort(number, kind="stable")
        parts = np.split(probabilities[order], np.flatnonzero(np.diff(number[order])) + 1)
        middle = np.stack([np.median(part, axis=0) for part in parts])
        # Classes that are nowhere likely have a median of 0, all of them where the examples disagree entirely.
        total = middle.sum(axis=1, keepdims=True)
        return clips, np.where(total > 0, middle / np.where(total > 0, total, 1), 1 / middle.shape[1]).astype(
            np.float32
        )
    sums = np.zeros((len(clips), probabilities.shape[1]))
    np.add.at(sums, number, probabilities)
    return clips, (sums / np.bincount(number)[:, None]).astype(np.float32)
