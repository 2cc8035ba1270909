"""Log-mel spectrograms of variable length: the inputs A1 (40 bands) and A2 (240 bands) of Keesing et al. 2020.

The definition is openSMILE's, with which the paper's were made: frames of 25 ms every 10 ms, left-aligned; in each
frame pre-emphasis of 0.97 (its first sample scaled by 0.03, as openSMILE does), a Hamming window and a 512-point power
spectrum; triangles on the scale 1127 ln(1 + f / 700) from 0 to 8000 Hz; the natural logarithm, not below ln(1e-7).
"""

import functools
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.frontend import TooShort


class LogMel(Config):
    """Configuration and function: samples (num_samples,) -> log-mels (num_frames, num_bands)."""

    kind: Literal["logmel"] = "logmel"
    version: int = 1  # raised when the numbers change
    num_bands: int = Field(ge=1)
    sample_rate_hz: int = 16_000
    frame_ms: float = 25.0
    hop_ms: float = 10.0
    preemphasis: float = 0.97
    fft_size: int = 512
    low_hz: float = 0.0
    high_hz: float = 8_000.0
    floor: float = 1e-7

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 1 <= _samples(self.frame_ms, self) <= self.fft_size or _samples(self.hop_ms, self) < 1:
            raise ValueError(
                f"frames of {self.frame_ms} ms every {self.hop_ms} ms do not fit an FFT of {self.fft_size}"
            )
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ValueError(f"a band of {self.low_hz} to {self.high_hz} Hz does not fit {self.sample_rate_hz} Hz")
        return self

    @property
    def num_columns(self) -> int:
        """The number of bands."""
        return self.num_bands

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Log-mels (num_frames, num_bands) of samples (num_samples,) in [-1, 1] at `sample_rate_hz`.

        num_frames is floor((num_samples - 400) / 160) + 1 at 16 kHz. Raises TooShort below one frame.
        """
        tables = _tables(self)
        size = tables.size
        if len(samples) < size:
            raise TooShort(f"{len(samples)} samples at {self.sample_rate_hz} Hz, one frame needs {size}")
        signal = torch.from_numpy(np.require(samples, np.float32, ["C", "W"]))  # PyTorch takes no other kind
        frames = signal.unfold(0, size, tables.hop)
        emphasised = torch.add(signal[1:], signal[:-1], alpha=-self.preemphasis)  # of every sample but the first
        # Padded by hand: torch.fft would copy the frames once more to pad them.
        windowed = torch.zeros(len(frames), self.fft_size)
        torch.mul(emphasised.unfold(0, size - 1, tables.hop)[: len(frames)], tables.window, out=windowed[:, 1:size])
        # Pre-emphasis is by frame: its first sample knows no sample before it.
        torch.mul(frames[:, 0], tables.first_sample, out=windowed[:, 0])
        spectrum = torch.view_as_real(torch.fft.rfft(windowed))
        # Real and imaginary parts stay side by side; the bank has each of its rows twice and adds their squares.
        power = spectrum.view(len(frames), -1).square_()
        return (power @ tables.bank).clamp_(min=self.floor).log_().numpy()


class _Tables(NamedTuple):
    size: int  # of a frame
    hop: int
    window: torch.Tensor  # (size - 1,), of a frame's second to last sample
    first_sample: float  # what its first is multiplied by
    bank: torch.Tensor  # (2 * num_bins, num_bands)


@functools.lru_cache(maxsize=8)
def _tables(config: LogMel) -> _Tables:
    size = _samples(config.frame_ms, config)
    window = np.hamming(size).astype(np.float32)
    bank = mel_bank(config.num_bands, config.fft_size, config.sample_rate_hz, config.low_hz, config.high_hz)
    return _Tables(
        size=size,
        hop=_samples(config.hop_ms, config),
        window=torch.from_numpy(window[1:]),
        first_sample=(1 - config.preemphasis) * float(window[0]),
        bank=torch.from_numpy(np.repeat(bank, 2, axis=0)),
    )


def _samples(duration_ms: float, config: LogMel) -> int:
    return round(duration_ms * config.sample_rate_hz / 1000)


def mel_bank(
    num_bands: int, fft_size: int, sample_rate_hz: int, low_hz: float, high_hz: float
) -> npt.NDArray[np.float32]:
    """Triangles of height 1 that are straight on the mel scale, (fft_size // 2 + 1, num_bands).

    With many bands the lowest triangles can fall between two bins and stay empty: their column is the floor,
    a constant, which standardisation turns into zero.
    """

    def mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 1127.0 * np.log1p(hz / 700.0)

    bins = mel(np.arange(fft_size // 2 + 1) * sample_rate_hz / fft_size)[:, None]
    low, high = mel(np.array([low_hz, high_hz]))
    edges = np.linspace(low, high, num_bands + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    bank: npt.NDArray[np.float32] = np.maximum(np.minimum(rising, falling), 0.0).astype(np.float32)
    return bank
