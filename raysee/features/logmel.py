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
        size, hop = (num_samples(duration_ms, self.sample_rate_hz) for duration_ms in (self.frame_ms, self.hop_ms))
        if not 1 <= size <= self.fft_size or hop < 1:
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

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return round(4000 / self.hop_ms) * self.num_bands

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Log-mels (num_frames, num_bands) of samples (num_samples,) in [-1, 1] at `sample_rate_hz`.

        num_frames is floor((num_samples - 400) / 160) + 1 at 16 kHz. Raises TooShort below one frame.
        """
        signal = torch.from_numpy(np.require(samples, np.float32, ["C", "W"]))  # PyTorch takes no other kind
        return self.batch(signal.unsqueeze(0)).squeeze(0).numpy()

    def batch(self, samples_BN: torch.Tensor) -> torch.Tensor:
        """The same of clips of one length, (B, num_samples) -> (B, num_frames, num_bands), on their device.

        float32, without gradients. Raises TooShort below one frame.
        """
        tables = _tables(self, samples_BN.device)
        size, (num_clips, length) = tables.size, samples_BN.shape
        if length < size:
            raise TooShort(f"{length} samples at {self.sample_rate_hz} Hz, one frame needs {size}")
        # narrow and select cost less than indexing, which tells with short clips.
        frames = samples_BN.unfold(1, size, tables.hop)
        num_frames = frames.shape[1]
        before, after = samples_BN.narrow(1, 0, length - 1), samples_BN.narrow(1, 1, length - 1)
        emphasised = torch.add(after, before, alpha=-self.preemphasis)  # of every sample but the first
        # Padded by hand: torch.fft would copy the frames once more to pad them.
        windowed = torch.zeros(num_clips, num_frames, self.fft_size, device=samples_BN.device)
        torch.mul(emphasised.unfold(1, size - 1, tables.hop), tables.window, out=windowed.narrow(2, 1, size - 1))
        # Pre-emphasis is by frame: its first sample knows no sample before it.
        torch.mul(frames.select(2, 0), tables.first_sample, out=windowed.select(2, 0))
        spectrum = torch.view_as_real(torch.fft.rfft(windowed))
        # Real and imaginary parts stay side by side; the bank has each of its rows twice and adds their squares.
        power = spectrum.view(num_clips * num_frames, -1).square_()
        return (power @ tables.bank).clamp_(min=self.floor).log_().view(num_clips, num_frames, -1)


class _Tables(NamedTuple):
    size: int  # of a frame
    hop: int
    window: torch.Tensor  # (size - 1,), of a frame's second to last sample
    first_sample: float  # what its first is multiplied by
    bank: torch.Tensor  # (2 * num_bins, num_bands)


@functools.lru_cache(maxsize=8)
def _tables(config: LogMel, device: torch.device) -> _Tables:
    size = num_samples(config.frame_ms, config.sample_rate_hz)
    window = np.hamming(size).astype(np.float32)
    bank = mel_bank(config.num_bands, config.fft_size, config.sample_rate_hz, config.low_hz, config.high_hz)
    return _Tables(
        size=size,
        hop=num_samples(config.hop_ms, config.sample_rate_hz),
        window=torch.from_numpy(window[1:]).to(device),
        first_sample=(1 - config.preemphasis) * float(window[0]),
        bank=torch.from_numpy(np.repeat(bank, 2, axis=0)).to(device),
    )


def num_samples(duration_ms: float, sample_rate_hz: int) -> int:
    """The nearest number of samples to a duration."""
    return round(duration_ms * sample_rate_hz / 1000)


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
