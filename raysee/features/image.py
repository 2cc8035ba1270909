"""Spectrograms as pictures, 256 x 256 in colour: the input of Badshah et al. 2017.

The paper: several pictures a clip, time along the horizontal axis, frequency along the vertical one, low levels dark
blue and high ones red, made in MATLAB and resized. It gives no lengths, only "more than 3000" pictures: windows of
0.6 s every 0.4 s make 3,193 of EMO-DB. Frames of 25 ms every 10 ms, a Hann window, a 512-point power spectrum, a range
of 80 dB below a picture's maximum and low frequencies at the bottom are chosen here, too.
"""

import functools
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch.nn import functional

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.frontend import TooShort

_LOWEST_POWER = 1e-10  # of a bin: silence is -100 dB, not minus infinity


class Image(Config):
    """Configuration and function: samples (num_samples,) -> pictures (num_images, size, size, 3)."""

    kind: Literal["image"] = "image"
    version: int = 1  # raised when the numbers change
    size: int = Field(256, ge=1)  # pixels in each direction
    sample_rate_hz: int = Field(16_000, ge=1)
    window_ms: float = 600.0
    slide_ms: float = 400.0  # from one window to the next
    frame_ms: float = 25.0
    hop_ms: float = 10.0
    fft_size: int = 512
    range_db: float = Field(80.0, gt=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        frame, hop = self._samples(self.frame_ms), self._samples(self.hop_ms)
        if not 1 <= frame <= self.fft_size or hop < 1:
            raise ValueError(
                f"frames of {self.frame_ms} ms every {self.hop_ms} ms do not fit an FFT of {self.fft_size}"
            )
        if self._samples(self.window_ms) < frame:
            raise ValueError(f"a window of {self.window_ms} ms does not hold a frame of {self.frame_ms} ms")
        slide = self._samples(self.slide_ms)
        if slide < 1 or slide % hop:
            raise ValueError(f"windows every {self.slide_ms} ms are not a whole number of hops of {self.hop_ms} ms")
        return self

    @property
    def num_columns(self) -> int:
        """The last axis: red, green and blue."""
        return 3

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return int(4000 / self.slide_ms) * self.size**2 * self.num_columns

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Pictures (num_images, height, width, 3) in [0, 1] of samples (num_samples,) at `sample_rate_hz`.

        num_images is floor((num_samples - 9600) / 6400) + 1 at 16 kHz: what does not fill a window at the end is left
        out, and a clip shorter than one window is filled up with zeros. The first row of a picture is its highest
        frequency. Raises TooShort without any sample.
        """
        frame, hop, window = (self._samples(each) for each in (self.frame_ms, self.hop_ms, self.window_ms))
        slide = self._samples(self.slide_ms)
        signal = torch.from_numpy(filled(samples, window, self.sample_rate_hz))
        num_images, num_frames = (len(signal) - window) // slide + 1, (window - frame) // hop + 1
        # Each frame is transformed once, in however many windows it lies.
        power_TF = power(signal.unfold(0, frame, hop), self.fft_size)
        power_NFT = power_TF.unfold(0, num_frames, slide // hop)[:num_images].flip(1)
        picture_NFTC = jet(brightness(power_NFT, self.range_db, dim=(1, 2)))
        return resized(picture_NFTC, self.size).clamp_(0, 1).numpy()  # it rounds up to 1 + 1e-7

    def _samples(self, duration_ms: float) -> int:
        return samples_in(duration_ms, self.sample_rate_hz)


# N pictures, T frames, F frequencies, S samples of a frame, C colours or channels.


def samples_in(duration_ms: float, sample_rate_hz: int) -> int:
    """A duration in samples, to the nearest one."""
    return round(duration_ms * sample_rate_hz / 1000)


def filled(samples: Samples, num_samples: int, sample_rate_hz: int) -> Samples:
    """A copy of samples with zeros behind it up to (num_samples,) at least. Raises TooShort without any sample."""
    if len(samples) == 0:
        raise TooShort(f"0 samples at {sample_rate_hz} Hz, at least 1 is needed")
    return np.pad(samples.astype(np.float32, copy=False), (0, max(num_samples - len(samples), 0)))


def power(frames_TS: torch.Tensor, fft_size: int) -> torch.Tensor:
    """Power spectra (T, fft_size // 2 + 1) of frames under a periodic Hann window."""
    windowed = torch.zeros(len(frames_TS), fft_size)
    num_samples = frames_TS.shape[1]
    torch.mul(frames_TS, torch.hann_window(num_samples), out=windowed[:, :num_samples])
    return torch.view_as_real(torch.fft.rfft(windowed)).square_().sum(dim=-1)


def brightness(power: torch.Tensor, range_db: float, dim: tuple[int, ...]) -> torch.Tensor:
    """Decibels, not more than `range_db` below their maximum over `dim`, scaled to [0, 1]; 0 where all are equal."""
    level = power.clamp(min=_LOWEST_POWER).log10_().mul_(10)
    highest = level.amax(dim, keepdim=True)
    lowest = torch.maximum(level.amin(dim, keepdim=True), highest - range_db)
    span = highest - lowest
    return (level - lowest).clamp_(min=0).div_(torch.where(span > 0, span, 1.0))


def jet(brightness: torch.Tensor) -> torch.Tensor:
    """Colours (..., 3) in [0, 1] of values (...) in [0, 1]: MATLAB's jet of 256 steps, from dark blue to dark red."""
    step = brightness.mul(256).int().clamp_(max=255)
    return functional.embedding(step, _jet_table())


def resized(picture_NFTC: torch.Tensor, size: int) -> torch.Tensor:
    """Pictures (N, size, size, C), bilinear; where a picture shrinks the triangle is widened, so nothing aliases."""
    # Copied, because PyTorch is slower at this where channels are last.
    picture_NCFT = picture_NFTC.permute(0, 3, 1, 2).contiguous()
    picture_NCFT = functional.interpolate(picture_NCFT, (size, size), mode="bilinear", antialias=True)
    return picture_NCFT.permute(0, 2, 3, 1).contiguous()


@functools.lru_cache(maxsize=1)
def _jet_table() -> torch.Tensor:
    # Three trapezoids: 64 steps up, 64 of full colour, 64 down; blue begins below the table, red ends above it.
    position = torch.arange(256)[:, None] + torch.tensor([-95, -31, 33])
    return (torch.minimum(position, 192 - position) / 64).clamp(0, 1)
