"""Where somebody speaks, by energy, and the windows that are worth scoring."""

import numpy as np
import numpy.typing as npt

from raysee.audio.decode import Samples

FRAME_S = 0.02
_ABOVE_FLOOR_DB = 12.0  # speech is at least this much above the line's own noise
_HIGHEST_FLOOR_DBFS = -45.0  # where a channel has no break, its tenth percentile is speech itself
_SILENCE_DBFS = -55.0  # nothing below this is speech, however quiet the line
_DIGITAL_SILENCE_DBFS = -90.0
_HANGOVER_FRAMES = 10  # 0.2 s: closures of stops and short pauses belong to the speech around them

Mask = npt.NDArray[np.bool_]


def find_speech(samples: Samples, sample_rate_hz: int) -> Mask:
    """For each 20 ms frame of `samples` (num_samples,), whether it holds speech, (num_frames,).

    A frame is speech where its level is 12 dB above the channel's noise floor (the tenth percentile of the levels
    above digital silence) and above -55 dBFS; each stretch is widened by 0.2 s on both sides.
    """
    size = round(FRAME_S * sample_rate_hz)
    num_frames = len(samples) // size
    if num_frames == 0:
        return np.zeros(0, dtype=np.bool_)
    centred = samples[: num_frames * size] - samples.mean()  # a constant offset is no sound
    level = level_dbfs(centred.reshape(num_frames, size))
    sounding = level[level > _DIGITAL_SILENCE_DBFS]
    floor = min(float(np.percentile(sounding, 10)), _HIGHEST_FLOOR_DBFS) if len(sounding) else _HIGHEST_FLOOR_DBFS
    loud = level > max(floor + _ABOVE_FLOOR_DB, _SILENCE_DBFS)
    around = np.ones(2 * _HANGOVER_FRAMES + 1)
    widened: Mask = np.convolve(loud, around)[_HANGOVER_FRAMES:][:num_frames] > 0
    return widened


def windows(is_speech: Mask, *, window_s: float, hop_s: float, min_speech: float) -> list[tuple[float, float]]:
    """Start and end in seconds of the windows in which at least `min_speech` of the frames are speech.

    `is_speech` is (num_frames,), of 20 ms each. There is a window every `hop_s`; the last one ends with the recording,
    and a recording shorter than `window_s` is one window. A window without any speech is never kept.
    """
    size, hop = max(round(window_s / FRAME_S), 1), max(round(hop_s / FRAME_S), 1)
    last = max(len(is_speech) - size, 0)
    found = []
    for start in [*range(0, last, hop), last]:
        inside = is_speech[start : start + size]
        if inside.any() and inside.mean() >= min_speech:
            found.append((start * FRAME_S, (start + len(inside)) * FRAME_S))
    return found


def level_dbfs(frames: Samples) -> npt.NDArray[np.float32]:
    """RMS level along the last axis in dB relative to full scale; digital silence is -100."""
    power = np.mean(np.square(frames), axis=-1, dtype=np.float32)
    level: npt.NDArray[np.float32] = 10 * np.log10(np.maximum(power, np.float32(1e-10)))
    return level
