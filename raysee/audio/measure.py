"""What a clip's samples tell before anybody listens: length, level, clipping and silence."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raysee.audio.decode import Audio, Samples, decode
from raysee.errors import AudioError

#: The highest sample of 16-bit sound. What mu-law (0.980) and 8 bits (0.992) can say at most is below it.
FULL_SCALE = 32767 / 32768
#: A frame is silent where it is so far below the loudest frame of its clip: recordings differ in level.
BELOW_LOUDEST_DB = 40.0
_DIGITAL_SILENCE_DBFS = -90.0
_FRAME_S = 0.02

#: The first and the last second of a clip in its file; None: from the beginning, to the end.
Span = tuple[float | None, float | None]
WHOLE: Span = (None, None)


class Measures(NamedTuple):
    """One clip, all of its channels together. Frames are of 20 ms; what does not fill the last one is left out."""

    duration_s: float
    sample_rate_hz: int
    num_channels: int
    level_dbfs: float  # RMS without the channels' constant offsets; digital silence is -100
    peak: float  # the largest magnitude of a sample
    clipped_share: float  # of the samples, at FULL_SCALE or beyond
    longest_clipping: int  # samples of one channel in a row at FULL_SCALE or beyond
    silent_share: float  # of the frames, BELOW_LOUDEST_DB or more below the loudest one, or digital silence
    leading_silence_s: float  # the whole clip where every frame is silent
    trailing_silence_s: float
    content_sha256: str  # of the file's bytes, for a part of a file too


def measure(data: bytes, spans: Sequence[Span] = (WHOLE,)) -> list[Measures | AudioError]:
    """Measure the clips at `spans` of one file, which is decoded once; an error stands for a span outside of it.

    Raises AudioError where the file cannot be decoded.
    """
    audio, content_sha256 = decode(data), hashlib.sha256(data).hexdigest()
    found: list[Measures | AudioError] = []
    for start_s, end_s in spans:
        try:
            found.append(_measure(audio.part(start_s, end_s), content_sha256))
        except AudioError as error:
            found.append(error)
    return found


def level_dbfs(frames: Samples) -> npt.NDArray[np.float32]:
    """RMS level along the last axis in dB relative to full scale; digital silence is -100."""
    power = np.mean(np.square(frames), axis=-1, dtype=np.float32)
    level: npt.NDArray[np.float32] = 10 * np.log10(np.maximum(power, np.float32(1e-10)))
    return level


def _measure(audio: Audio, content_sha256: str) -> Measures:
    samples, rate = audio
    num_samples, num_channels = samples.shape
    magnitudes = np.abs(samples)
    clipped = magnitudes >= np.float32(FULL_SCALE)
    centred = samples - samples.mean(axis=0, dtype=np.float64).astype(np.float32)  # a constant offset is no sound
    size = max(min(round(_FRAME_S * rate), num_samples), 1)
    num_frames = num_samples // size
    levels = level_dbfs(centred[: num_frames * size].reshape(num_frames, size * num_channels))
    silent = levels <= max(float(levels.max()) - BELOW_LOUDEST_DB, _DIGITAL_SILENCE_DBFS)
    sounding = np.flatnonzero(~silent)
    leading, trailing = (sounding[0], num_frames - 1 - sounding[-1]) if len(sounding) else (num_frames, num_frames)
    return Measures(
        duration_s=audio.duration_s,
        sample_rate_hz=rate,
        num_channels=num_channels,
        level_dbfs=float(level_dbfs(centred.reshape(-1))),
        peak=float(magnitudes.max()),
        clipped_share=float(clipped.mean()),
        longest_clipping=max(_longest_run(channel) for channel in clipped.T),
        silent_share=float(silent.mean()),
        leading_silence_s=float(leading * size / rate),
        trailing_silence_s=float(trailing * size / rate),
        content_sha256=content_sha256,
    )


def _longest_run(mask: npt.NDArray[np.bool_]) -> int:
    if not mask.any():
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return int((edges[1::2] - edges[::2]).max())
