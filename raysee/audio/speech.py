"""Where somebody speaks: by Silero's detector, or where that is not installed, by energy.

B: channels of a call, T: samples, F: frames of 32 ms.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from raysee.audio import segments, silero
from raysee.audio.decode import Samples
from raysee.audio.measure import level_dbfs
from raysee.audio.segments import Probabilities
from raysee.errors import ConfigurationError

_ABOVE_FLOOR_DB = 12.0  # speech is at least this much above the line's own noise
_HIGHEST_FLOOR_DBFS = -45.0  # where a channel has no break, its tenth percentile is speech itself
_SILENCE_DBFS = -55.0  # nothing below this is speech, however quiet the line
_DIGITAL_SILENCE_DBFS = -90.0

Mask = npt.NDArray[np.bool_]

ENERGY = "energy-v1"
NONE = "none"  # recordings that are utterances already: nothing is looked for, each is heard whole
_FLOOR_PERCENTILE = 10
_LEVELS_DB = np.arange(_DIGITAL_SILENCE_DBFS, 1.0)  # as finely as the floor is known
_SLOPE_DB = 5.0  # 3 dB from a probability of 0.5 to one of 0.35
_TONE_SHARE = 0.985  # of a frame's power in two peaks; 2 to 8 % of the speech in real calls has as much
_PEAK_BINS = 2  # a sine behind a Hann window spreads over so many bins on both sides
_FRAME_SIZE = round(segments.FRAME_S * silero.SAMPLE_RATE_HZ)


class Detector(Protocol):
    """A pass over the channels of a recording of 16 kHz, whose state goes on from block to block."""

    def push(self, samples_BT: Samples) -> Probabilities:
        """Go on by these samples; (B, F), the probability of speech in each frame of 32 ms that they fill."""


def detector() -> str:
    """The best detector that is installed here; the name changes with whatever it could find otherwise."""
    return silero.name() if silero.is_installed() else ENERGY


def listener(name: str, num_channels: int) -> Detector:
    """The detector of that name before its first sample. ConfigurationError where another one is installed here."""
    if name == ENERGY:
        return Energy(num_channels)
    if name != detector():
        raise ConfigurationError(
            f"Speech is to be found by {name}, and {detector()} is what is installed here: "
            'pip install "raysee[speech]" in the same versions on every machine.'
        )
    return silero.Silero(num_channels)


class Energy:
    """Speech is what is 12 dB above the noise of the line, above -55 dBFS, and neither a tone nor a click.

    The noise of the line is the tenth percentile of the levels so far that are above digital silence; a channel without
    a break has its tenth percentile in speech, so it is -45 dBFS at most. A tone, of a line or of two keys, has its
    power in two peaks. What lasts for one frame between silence or tones is a click, such as a tone's beginning.
    Music is none of these: it is taken for speech.
    """

    def __init__(self, num_channels: int) -> None:
        self._waiting_BT = np.zeros((num_channels, 0), np.float32)
        self._counts = np.zeros((num_channels, len(_LEVELS_DB)), np.int64)
        self._last = np.zeros((num_channels, 1), np.float32)

    def push(self, samples_BT: Samples) -> Probabilities:
        """See Detector."""
        waiting_BT = np.concatenate([self._waiting_BT, samples_BT], axis=1)
        num_frames = waiting_BT.shape[1] // _FRAME_SIZE
        self._waiting_BT = waiting_BT[:, num_frames * _FRAME_SIZE :].copy()
        frames_BFT = waiting_BT[:, : num_frames * _FRAME_SIZE].reshape(len(samples_BT), num_frames, _FRAME_SIZE)
        frames_BFT = frames_BFT - frames_BFT.mean(axis=-1, keepdims=True)  # a constant offset is no sound
        level_BF = level_dbfs(frames_BFT)
        floor_BF = np.stack([self._floor(row, level_F) for row, level_F in enumerate(level_BF)])
        above_BF = level_BF - np.maximum(np.minimum(floor_BF, _HIGHEST_FLOOR_DBFS) + _ABOVE_FLOOR_DB, _SILENCE_DBFS)
        speech_BF = np.where(_is_tone(frames_BFT), 0.0, 1 / (1 + np.exp(-above_BF / _SLOPE_DB))).astype(np.float32)
        with_last_BF = np.concatenate([self._last, speech_BF], axis=1)
        self._last = with_last_BF[:, -1:].copy()
        probabilities_BF: Probabilities = np.minimum(with_last_BF[:, :-1], with_last_BF[:, 1:])
        return probabilities_BF

    def _floor(self, row: int, level_F: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The tenth percentile of all levels of a recording up to each of these frames, in dB."""
        is_level = np.round(level_F)[:, None] == _LEVELS_DB
        counts = self._counts[row] + np.cumsum(is_level, axis=0)
        if len(counts):
            self._counts[row] = counts[-1]
        below = np.cumsum(counts, axis=1)
        floor_F: npt.NDArray[np.float64] = _LEVELS_DB[
            np.argmax(below * 100 >= below[:, -1:] * _FLOOR_PERCENTILE, axis=1)
        ]
        return floor_F


def _is_tone(frames_BFT: Samples) -> Mask:
    power = np.abs(np.fft.rfft(frames_BFT * np.hanning(frames_BFT.shape[-1]).astype(np.float32))) ** 2
    total = power.sum(axis=-1)
    bins = np.arange(power.shape[-1])
    rest = power
    for _ in range(2):
        peak = rest.argmax(axis=-1)
        rest = np.where(np.abs(bins - peak[..., None]) <= _PEAK_BINS, 0.0, rest)
    is_tone: Mask = rest.sum(axis=-1) <= (1 - _TONE_SHARE) * total
    return is_tone
