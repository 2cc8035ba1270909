"""A long spectrogram in colour by clip, along which windows of one second slide: input of AlexNet on RAVDESS.

Source: S. de Gosson de Varennes and M. Starck, "Using CNN for Speech Emotion Recognition - What's wrong with it?".
It has RGB spectrograms on a linear, logarithmic or mel scale; windows of 1 s every 10 ms; AlexNet, whose input is
227 x 227. It leaves the rest open. Here one second is 227 columns from the start: column j is the frame of 25 ms (Hann,
512 points) around (j + 1/2) / 227 s, so no column is ever interpolated and a window is a slice. Windows begin at the
column nearest to their time, at most 2.2 ms away. Levels and colours are scaled by clip, not by window, as in a picture
along which a window slides. Silence before and after the speech, 30 dB below the loudest frame, is cut off:
RAVDESS has 389,747 windows with it and 124,531 without; the article speaks of 75,000.
"""

import functools
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.image import brightness, filled, jet, power, samples_in

Array = npt.NDArray[np.float32]


class Sliding(Config):
    """Configuration and function: samples (num_samples,) -> a long picture (num_frames, size, 3)."""

    kind: Literal["sliding"] = "sliding"
    version: int = 1  # raised when the numbers change
    scale: Literal["mel", "linear", "log"] = "mel"
    size: int = Field(227, ge=1)  # pixels in each direction of a window
    sample_rate_hz: int = Field(16_000, ge=1)
    window_ms: int = Field(1_000, ge=1)  # of `size` columns
    frame_ms: float = 25.0
    fft_size: int = 512
    low_hz: float = Field(50.0, gt=0)
    high_hz: float = 8_000.0
    range_db: float = Field(80.0, gt=0)
    trim_db: float = Field(30.0, gt=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 1 <= self._frame <= self.fft_size:
            raise ValueError(f"frames of {self.frame_ms} ms do not fit an FFT of {self.fft_size}")
        if not self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ValueError(f"a band of {self.low_hz} to {self.high_hz} Hz does not fit {self.sample_rate_hz} Hz")
        return self

    @property
    def num_columns(self) -> int:
        """The last axis: red, green and blue."""
        return 3

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return round(4000 / self.window_ms * self.size) * self.size * self.num_columns

    def __call__(self, samples: Samples) -> Array:
        """The picture (num_frames, size, 3) in [0, 1] of samples (num_samples,) at `sample_rate_hz`, time first.

        num_frames is 227 for each second of speech, rounded; a clip with less than a window of speech keeps some of
        the silence around it, and one shorter than a window is filled up with zeros. The first of the `size`
        frequencies is the highest. Raises TooShort without any sample.
        """
        per_window = self.sample_rate_hz * self.window_ms  # in thousandths of a sample
        signal = filled(samples, -(-per_window // 1000), self.sample_rate_hz)
        signal[: len(samples)] -= samples.mean()  # a constant offset would begin and end with a click
        num_frames = (2000 * len(signal) * self.size + per_window) // (2 * per_window)
        # A frame begins half its length before its column's middle; so many zeros stand before the signal.
        starts = (2 * np.arange(num_frames) + 1) * per_window // (2000 * self.size)
        before = self._frame // 2
        padded = np.pad(signal, (before, self._frame))
        frames_TS = np.lib.stride_tricks.sliding_window_view(padded, self._frame)[starts]
        power_TF = self._without_silence(power(torch.from_numpy(frames_TS), self.fft_size))
        return jet(brightness(power_TF @ _bank(self), self.range_db, dim=(0, 1))).numpy()

    def _without_silence(self, power_TF: torch.Tensor) -> torch.Tensor:
        energy_T = power_TF.sum(dim=1)
        speech = torch.nonzero(energy_T >= energy_T.max() * 10 ** (-self.trim_db / 10))
        first, last = int(speech[0]), int(speech[-1]) + 1
        missing = max(self.size - (last - first), 0)
        first = min(max(first - missing // 2, 0), len(power_TF) - self.size)
        return power_TF[first : max(last, first + self.size)]

    @property
    def _frame(self) -> int:
        return samples_in(self.frame_ms, self.sample_rate_hz)


def window_starts(num_frames: int, size: int, hop_ms: int) -> npt.NDArray[np.int64]:
    """The first frame of each window of `size` frames = 1 s: the frame nearest to every `hop_ms`, while it fits."""
    last = num_frames - size
    number = np.arange(max(1000 * (last + 1) // (size * hop_ms) + 1, 0))
    starts = (2 * size * hop_ms * number + 1000) // 2000
    return starts[starts <= last]


@functools.lru_cache(maxsize=8)
def _bank(config: Sliding) -> torch.Tensor:
    """Weighted means over bins, (num_bins, size), highest frequency first.

    Triangles from one centre to the next, but never narrower than the bins are apart: there a triangle is the linear
    interpolation between two bins, and no frequency stays empty.
    """
    edges = _spaced(config.scale, config.low_hz, config.high_hz, config.size + 2)
    bin_hz = config.sample_rate_hz / config.fft_size
    distance = np.arange(config.fft_size // 2 + 1)[:, None] * bin_hz - edges[1:-1]
    below, above = np.maximum(np.diff(edges), bin_hz)[:-1], np.maximum(np.diff(edges), bin_hz)[1:]
    weights = np.maximum(np.minimum(1 + distance / below, 1 - distance / above), 0.0)
    weights /= weights.sum(axis=0)
    return torch.from_numpy(weights[:, ::-1].astype(np.float32))


def _spaced(scale: str, low_hz: float, high_hz: float, num: int) -> npt.NDArray[np.float64]:
    """Frequencies in Hz that are equally far from each other on the scale."""
    if scale == "linear":
        return np.linspace(low_hz, high_hz, num)
    if scale == "log":
        return np.geomspace(low_hz, high_hz, num)
    low, high = np.log1p(np.array([low_hz, high_hz]) / 700.0)
    hz: npt.NDArray[np.float64] = 700.0 * np.expm1(np.linspace(low, high, num))
    return hz
