"""Whether the two channels of a recording are the same sound twice."""

import collections

import numpy as np
import numpy.typing as npt

from raysee.audio.decode import Samples
from raysee.audio.measure import level_dbfs

_EVERY_S = 1.0  # a stretch of half a second in each second is looked at
_STRETCH_S = 0.5
_LONGEST_DELAY_S = 0.02
_SILENCE_DBFS = -55.0  # nobody speaks below this
_BELOW_LOUDEST_DB = 15.0  # in pauses the channels' own noise is as loud as what they share
_LIKENESS = 0.7  # squared correlation; of a delayed copy it was 0.83 at least after Vorbis, of two people 0.03 at most
_HIGHEST_GAIN_DB = 12
_GAIN_BINS = 3  # of 1 dB, side by side: one gain for the whole recording
_UNLIKE_SHARE = 0.02  # of the stretches with sound, and one in any case
_FEWEST = 10


class DualMono:
    """Fed with the blocks of two channels in turn, says whether they are one sound: up to a gain, a sign, a delay.

    Each second's first half second counts where it has sound: above -55 dBFS in the louder channel and less than 15 dB
    below the loudest so far. There the channels are alike where their squared correlation at the best delay, up to 20
    ms, is 0.7 and their levels differ by 12 dB at most. One gain (within 1 dB) must explain all of these stretches but
    2 %, or one: where each side is heard in the other's channel, the gain turns round with who speaks.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._every = round(_EVERY_S * sample_rate_hz)
        self._stretch = round(_STRETCH_S * sample_rate_hz)
        self._longest_delay = round(_LONGEST_DELAY_S * sample_rate_hz)
        # So weighted, a stretch and a delayed copy of it hardly differ in what they lack at the ends.
        self._weights = np.hanning(self._stretch).astype(np.float32)
        self._left = np.empty((0, 2), np.float32)
        self._loudest_dbfs = _SILENCE_DBFS
        self._num_sounding = 0
        self._gains: collections.Counter[int] = collections.Counter()

    def feed(self, samples: Samples) -> None:
        """The next samples, (num_samples, 2), as many as there are: what comes out does not depend on the cuts."""
        samples = np.concatenate([self._left, samples]) if len(self._left) else samples
        num_seconds = len(samples) // self._every
        for start in range(0, num_seconds * self._every, self._every):
            self._look(samples[start : start + self._stretch])
        self._left = samples[num_seconds * self._every :].copy()

    def verdict(self) -> bool:
        """Whether all that was fed so far is one sound twice. False for fewer than 10 stretches with sound.

        Ask at the end: a call may begin with music or an announcement in both channels.
        """
        if self._num_sounding < _FEWEST:
            return False
        explained = max(
            sum(self._gains[gain + step] for step in range(_GAIN_BINS))
            for gain in range(-_HIGHEST_GAIN_DB, _HIGHEST_GAIN_DB - _GAIN_BINS + 2)
        )
        return self._num_sounding - explained <= max(_UNLIKE_SHARE * self._num_sounding, 1)

    def _look(self, stretch: Samples) -> None:
        centred = stretch - stretch.mean(axis=0)  # a constant offset is no sound
        first, second = np.ascontiguousarray(centred.T) * self._weights
        levels_dbfs = float(level_dbfs(first)), float(level_dbfs(second))
        louder_dbfs = max(levels_dbfs)
        self._loudest_dbfs = max(self._loudest_dbfs, louder_dbfs)
        if louder_dbfs < max(_SILENCE_DBFS, self._loudest_dbfs - _BELOW_LOUDEST_DB):
            return
        self._num_sounding += 1
        gain_db = levels_dbfs[1] - levels_dbfs[0]
        if abs(gain_db) <= _HIGHEST_GAIN_DB and self._likeness(first, second) >= _LIKENESS:
            self._gains[round(gain_db)] += 1

    def _likeness(self, first: Samples, second: Samples) -> float:
        """The squared correlation at the best delay; that at none where this is enough, which it nearly always is."""
        power = float(first @ first) * float(second @ second)
        at_once = float(first @ second) ** 2 / power
        if at_once >= _LIKENESS:
            return at_once
        # Longer than the stretch, so that its end never meets its beginning within the delays that are looked at.
        size = 1 << (len(first) + self._longest_delay - 1).bit_length()
        crossed = np.fft.rfft(first, size) * np.fft.rfft(second, size).conj()
        # Four values a sample: between two samples a delay would cost the higher frequencies.
        correlation: npt.NDArray[np.float64] = 4 * np.fft.irfft(crossed, 4 * size)
        reach = 4 * self._longest_delay
        near = np.concatenate([correlation[: reach + 1], correlation[-reach:]])
        return float(np.abs(near).max()) ** 2 / power
