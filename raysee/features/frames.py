"""Overlapping frames of samples: the input N of Keesing et al. 2020, section 4.2 (Zhang's network).

The first 80,000 samples as 500 frames of 40 ms, one every 10 ms. The last frames reach beyond the 80,000th sample and
have zeros there; so have the last frames of shorter clips. The paper says that raw audio is cut but not padded; its
code (release alta2020) gives this network 500 frames of every clip, and so does `pad`. Without it a clip has as many
frames as begin in it.

The paper's code standardises the samples as one column before it cuts and frames them. Who standardises these arrays
column by column has 640 pairs of statistics instead, almost equal because every sample is in four columns, in which
the zeros of the padding count.
"""

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch.nn import functional

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.frontend import TooShort
from raysee.features.logmel import num_samples


class Frames(Config):
    """Configuration and function: samples (num_samples,) -> frames (500, 640)."""

    kind: Literal["frames"] = "frames"
    version: int = 1  # raised when the numbers change
    sample_rate_hz: int = 16_000
    max_samples: int = Field(80_000, ge=1)
    frame_ms: float = 40.0
    hop_ms: float = 10.0
    pad: bool = True  # to the number of frames of `max_samples`

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 1 <= self._hop <= self.num_columns:
            raise ValueError(f"frames of {self.frame_ms} ms every {self.hop_ms} ms do not cover every sample")
        return self

    @property
    def num_columns(self) -> int:
        """The samples in a frame: 640."""
        return num_samples(self.frame_ms, self.sample_rate_hz)

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return (self.max_samples if self.pad else 4 * self.sample_rate_hz) // self._hop * self.num_columns

    @property
    def _hop(self) -> int:
        return num_samples(self.hop_ms, self.sample_rate_hz)

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Frames (500, 640) of samples (num_samples,). Raises TooShort where there is no sample.

        Without `pad` there are ceil(min(num_samples, 80,000) / 160) frames.
        """
        used = samples[: self.max_samples]
        num_frames, num_padded = self._extent(len(used))
        padded = np.zeros(num_padded, np.float32)
        padded[: len(used)] = used
        hop, item = self._hop * padded.itemsize, padded.itemsize
        # Rows of memory, copied as such: PyTorch's copy of the same view takes half as long again.
        return np.lib.stride_tricks.as_strided(padded, (num_frames, self.num_columns), (hop, item)).copy()

    def batch(self, samples_BN: torch.Tensor) -> torch.Tensor:
        """The same of many clips, (B, num_samples) -> (B, 500, 640), on their device. Raises TooShort."""
        used = samples_BN[:, : self.max_samples]
        _, num_padded = self._extent(used.shape[1])
        padded = functional.pad(used, (0, num_padded - used.shape[1]))
        return padded.unfold(1, self.num_columns, self._hop).contiguous()

    def _extent(self, length: int) -> tuple[int, int]:
        """The number of frames, and of the samples that they reach over."""
        if length == 0:
            raise TooShort("0 samples, one is enough to be filled up with zeros")
        num_frames = -(-(self.max_samples if self.pad else length) // self._hop)
        return num_frames, (num_frames - 1) * self._hop + self.num_columns
