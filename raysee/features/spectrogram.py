"""Log-mel spectrograms of fixed length: the inputs A3 (240 bands) and O (40 bands) of Keesing et al. 2020.

The definition is that of the paper's code (release alta2020), which made auDeep's spectrograms. In this order: the
first 5 s, shorter clips with zeros behind them; pre-emphasis of 0.97 over the whole of it (the first sample kept);
frames of 25 ms every 10 ms, left-aligned, in a periodic Hann window, all but the last one; the magnitudes of a
512-point spectrum, summed by triangles on the scale 1127 ln(1 + f / 700) from 0 to 8000 Hz, and only then squared;
decibels below the clip's own highest value, not below -60; and these stretched to reach from -1 to 1. The paper tells
the 5 s, the frames, the bands and the -60 dB; the pre-emphasis, the squares and the stretching are in the code alone.

The code pads A3 to a multiple of 64 frames and O to 512, and loses what it padded: both networks were fed 497.
"""

import functools
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch.nn import functional

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.frontend import TooShort
from raysee.features.logmel import mel_bank, num_samples

#: In dB. A clip whose values differ by less is not stretched: it becomes its values less the lowest, so almost 0.
_NARROWEST = 1e-4


class Spectrogram(Config):
    """Configuration and function: samples (num_samples,) -> spectrogram (497, num_bands) in [-1, 1]."""

    kind: Literal["spectrogram"] = "spectrogram"
    version: int = 1  # raised when the numbers change
    num_bands: int = Field(ge=1)
    sample_rate_hz: int = 16_000
    duration_s: float = 5.0
    frame_ms: float = 25.0
    hop_ms: float = 10.0
    preemphasis: float = 0.97
    fft_size: int = 512
    low_hz: float = 0.0
    high_hz: float = 8_000.0
    range_db: float = Field(60.0, gt=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        size, hop, length = _sizes(self)
        if not 1 <= size <= self.fft_size or hop < 1:
            raise ValueError(
                f"frames of {self.frame_ms} ms every {self.hop_ms} ms do not fit an FFT of {self.fft_size}"
            )
        if length < size + hop:
            raise ValueError(f"{self.duration_s} s do not hold two frames, and the last is left out")
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
        return self.num_frames * self.num_bands

    @property
    def num_frames(self) -> int:
        """The length of every spectrogram: 497 of the 498 frames that fit into 5 s."""
        size, hop, length = _sizes(self)
        return (length - size) // hop

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Spectrogram (num_frames, num_bands) of samples (num_samples,) at `sample_rate_hz`.

        Its level does not depend on theirs. Silence is 0 everywhere. Raises TooShort where there is no sample.
        """
        signal = torch.from_numpy(np.require(samples, np.float32, ["C", "W"]))  # PyTorch takes no other kind
        return self.batch(signal.unsqueeze(0)).squeeze(0).numpy()

    def batch(self, samples_BN: torch.Tensor) -> torch.Tensor:
        """The same of many clips, (B, num_samples) -> (B, num_frames, num_bands), on their device.

        Zeros behind a clip do not change its spectrogram. float32, without gradients. Raises TooShort.
        """
        if samples_BN.shape[1] == 0:
            raise TooShort("0 samples, one is enough to be filled up with zeros")
        size, hop, length = _sizes(self)
        tables = _tables(self, samples_BN.device)
        # Cut where the number of zeros behind is negative. The one before leaves the first sample as it is.
        padded = functional.pad(samples_BN, (1, length - samples_BN.shape[1]))
        emphasised = torch.add(padded[:, 1:], padded[:, :-1], alpha=-self.preemphasis)
        frames = emphasised.unfold(1, size, hop)[:, : self.num_frames]
        magnitudes = torch.fft.rfft(frames * tables.window, self.fft_size).abs()
        mel_BTF = magnitudes @ tables.bank
        highest = mel_BTF.amax(dim=(1, 2), keepdim=True)
        # 20 log10 of a magnitude is 10 log10 of its square, which very quiet clips would lose. Silence stays 0.
        relative = mel_BTF / torch.where(highest > 0, highest, 1.0)
        db = relative.log10_().mul_(20.0).clamp_(min=-self.range_db)
        above = db - db.amin(dim=(1, 2), keepdim=True)
        span = above.amax(dim=(1, 2), keepdim=True)
        return torch.where(span < _NARROWEST, above, 2.0 * above / span - 1.0)


class _Tables(NamedTuple):
    window: torch.Tensor  # (size of a frame,)
    bank: torch.Tensor  # (num_bins, num_bands)


@functools.lru_cache(maxsize=8)
def _tables(config: Spectrogram, device: torch.device) -> _Tables:
    bank = mel_bank(config.num_bands, config.fft_size, config.sample_rate_hz, config.low_hz, config.high_hz)
    return _Tables(
        window=torch.hann_window(_sizes(config)[0], periodic=True, dtype=torch.float64).to(device, torch.float32),
        bank=torch.from_numpy(bank).to(device),
    )


def _sizes(config: Spectrogram) -> tuple[int, int, int]:
    """Samples in a frame, from one frame to the next, and in all."""
    rate_hz = config.sample_rate_hz
    return (
        num_samples(config.frame_ms, rate_hz),
        num_samples(config.hop_ms, rate_hz),
        num_samples(1_000 * config.duration_s, rate_hz),
    )
