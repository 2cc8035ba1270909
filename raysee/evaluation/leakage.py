"""What a split leaks: what training and test parts share, and which clips hold one recording.

T frames of 10 ms, B mel bands, M modulation frequencies, N clips, K neighbours.
"""

import collections
import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysee.errors import ConfigurationError
from raysee.features.table import arrays

Array = npt.NDArray[np.float32]

#: What may be shared, and the column that names it; `with_twins` makes the last two.
COMPARED = {
    "clips": "clip_id",
    "files": "uri",
    "speakers": "speaker",
    "sessions": "session",
    "sentences": "sentence",
    "identical clips": "identical",
    "near-identical clips": "near_identical",
}
#: Of near-identical clips. Between different takes of a speaker, a sentence and an emotion it is up to 0.62 in RAVDESS
#: and 0.42 in EMO-DB; between a clip and its copy at another level (-20 dB), shifted (by 5 or 103 ms), trimmed, through
#: MP3, Vorbis or mu-law at 8 kHz, or with noise 20 dB below it, it is 0.76 or more.
LEAST_CORRELATION = 0.7
_NUM_BANDS = 40
_LOW_BANDS = 30  # up to 3.8 kHz: what a telephone and a coder at a low rate leave of the 40
_RANGE = 6.0  # nats below the loudest, 26 dB: noise and what a coder drops lie deeper
_LAG = 2  # frames: over longer ones takes resemble each other more, over one a shift by half a frame hides a copy
_SHORTEST = 50  # frames: sounds of 0.3 s that have nothing in common correlate by up to 0.7
_HOP_MS = 10
_MODULATIONS_HZ = np.arange(0, 8, 0.25)  # where speech has its syllables, finer than the resolution of a clip of 3 s
_NEIGHBOURS = 4  # an altered copy was the nearest of all clips in each of 1,560 trials
_BLOCK = 1024  # rows of the N x N similarities that are in memory at a time


class Shared(NamedTuple):
    """How many values of a column are in both parts, and how many test clips have one of them."""

    what: str
    num_values: int
    num_test_clips: int


class Pair(NamedTuple):
    """Two clips that sound alike, `second` the same `shift_ms` later, by a correlation in [LEAST_CORRELATION, 1]."""

    first: str
    second: str
    correlation: float
    shift_ms: int


def shared(train: pa.Table, test: pa.Table) -> list[Shared]:
    """What the test part shares with the training part, for each of COMPARED whose column both have.

    Both are rows of schema.UTTERANCES, with the columns of `with_twins` where these are asked for. A null is no value:
    it is never shared.
    """
    found = []
    for what, column in COMPARED.items():
        if column in train.column_names and column in test.column_names:
            heard = test[column].filter(pc.is_in(test[column], value_set=pc.drop_null(pc.unique(train[column]))))
            found.append(Shared(what, pc.count_distinct(heard).as_py(), len(heard)))
    return found


def identical(features: pa.Table) -> list[list[str]]:
    """The clips of schema.FEATURES whose files have the same bytes, in groups of two or more.

    A file may hold many clips, and all of them have its hash: clips are identical where their arrays are equal too.
    """
    same: dict[tuple[str, tuple[int, ...], str], list[str]] = collections.defaultdict(list)
    described = zip(features["clip_id"].to_pylist(), features["content_sha256"].to_pylist(), strict=True)
    for (clip_id, content_sha256), array in zip(described, arrays(features), strict=True):
        same[content_sha256, array.shape, hashlib.sha256(array.tobytes()).hexdigest()].append(clip_id)
    return sorted(sorted(clips) for clips in same.values() if len(clips) > 1)


def near_identical(clip_ids: Sequence[str], log_mels: Sequence[Array]) -> list[Pair]:
    """Pairs of clips that hold one recording, be it at another level, re-encoded, shifted or with silence trimmed.

    `log_mels` are arrays (T, 40) of the front-end logmel40. Its lower bands, floored below the loudest, are compared in
    two steps. Candidates are each clip's nearest by the magnitudes of the bands' modulation spectra, which no shift
    changes. Of these remain pairs whose normalised cross-correlation at the best shift is LEAST_CORRELATION or more; it
    is of the change of the log-mels over 20 ms less its mean over bands, so that neither level nor a common envelope
    counts. It is normalised by the whole of both sounds: one that is a piece of the other correlates less, and is not
    found where it is half of it or shorter.

    Clips with less than half a second of sound are not compared. Pairs are in descending order of correlation.
    Raises ConfigurationError for other features.
    """
    if wrong := {array.shape[1:] for array in log_mels} - {(_NUM_BANDS,)}:
        raise ConfigurationError(
            f"Clips are compared by arrays (num_frames, {_NUM_BANDS}), and these have rows of shape {min(wrong)}: "
            "take the features logmel40."
        )
    floored = [_floored(mel_TB) for mel_TB in log_mels]
    kept = [number for number, sound_TB in enumerate(floored) if sound_TB.any(axis=1).sum() >= _SHORTEST]
    sounds = [floored[number] for number in kept]
    found = []
    for first, second in _candidates(sounds):
        correlation, shift = _correlation(_changes(sounds[first]), _changes(sounds[second]))
        if correlation >= LEAST_CORRELATION:
            names = clip_ids[kept[first]], clip_ids[kept[second]]
            found.append(Pair(*names, correlation, shift * _HOP_MS))
    return sorted(found, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def with_twins(utterances: pa.Table, groups: Iterable[Sequence[str]], pairs: Iterable[Pair]) -> pa.Table:
    """Columns that name the group of a clip that has identical or near-identical ones, null for all others.

    What is near-identical to one clip of a group is in this group, whatever it is to the others.
    """
    group_of = {clip_id: group[0] for group in groups for clip_id in group}
    together: dict[str, set[str]] = {}
    for first, second, *_ in pairs:
        joined = together.get(first, {first}) | together.get(second, {second})
        together.update(dict.fromkeys(joined, joined))
    clip_ids = utterances["clip_id"].to_pylist()
    near = [min(together[clip_id]) if clip_id in together else None for clip_id in clip_ids]
    named = pa.array([group_of.get(clip_id) for clip_id in clip_ids], pa.string())
    return utterances.append_column("identical", named).append_column("near_identical", pa.array(near, pa.string()))


def _floored(mel_TB: Array) -> Array:
    """The lower bands above a floor that follows the loudest, at 0: silence is 0 at any level."""
    low_TB = mel_TB[:, :_LOW_BANDS]
    floored: Array = np.maximum(low_TB - (low_TB.max(initial=-np.inf) - _RANGE), 0).astype(np.float32)
    return floored


def _changes(sound_TB: Array) -> Array:
    """How the sound changes over _LAG frames, (T - _LAG, B), with a Euclidean norm of 1."""
    change_TB = sound_TB[_LAG:] - sound_TB[:-_LAG]
    change_TB -= change_TB.mean(axis=1, keepdims=True)
    scaled: Array = change_TB / max(float(np.linalg.norm(change_TB)), 1e-9)
    return scaled


def _correlation(first_TB: Array, second_TB: Array) -> tuple[float, int]:
    """The largest correlation over all shifts, and by how many frames `second` is later."""
    size = 1 << (len(first_TB) + len(second_TB) - 1).bit_length()  # so that the ends do not meet
    spectra = [np.fft.rfft(change_TB, size, axis=0) for change_TB in (first_TB, second_TB)]
    by_shift = np.fft.irfft((spectra[0].conj() * spectra[1]).sum(axis=1), size)
    best = int(by_shift.argmax())
    return min(float(by_shift[best]), 1.0), best if best < size // 2 else best - size


def _candidates(sounds: Sequence[Array]) -> list[tuple[int, int]]:
    """Pairs of which one is among the nearest of the other, by the cosine of what differs from the mean of all."""
    if len(sounds) < 2:
        return []
    time_T = np.arange(max(len(sound_TB) for sound_TB in sounds)) * _HOP_MS / 1000
    turns_MT = np.exp(-2j * np.pi * np.outer(_MODULATIONS_HZ, time_T)).astype(np.complex64)
    embedded = np.stack([np.sqrt(np.abs(turns_MT[:, : len(sound)] @ sound)).ravel() for sound in sounds])
    embedded -= embedded.mean(axis=0)
    embedded /= np.maximum(np.linalg.norm(embedded, axis=1, keepdims=True), 1e-9)
    num_neighbours = min(_NEIGHBOURS, len(sounds) - 1)
    pairs = set()
    for start in range(0, len(embedded), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(embedded)))
        similar = embedded[rows] @ embedded.T
        similar[rows - start, rows] = -np.inf
        nearest_NK = np.argpartition(-similar, num_neighbours - 1, axis=1)[:, :num_neighbours]
        for row, neighbours in zip(rows.tolist(), nearest_NK.tolist(), strict=True):
            pairs |= {(min(row, other), max(row, other)) for other in neighbours}
    return sorted(pairs)
