"""The samples themselves: the input L of Keesing et al. 2020, section 4.2 (Latif's network), at most 5 s long.

The paper's code standardises a speaker's whole recordings, as one column, and then cuts them at 80,000 samples. Here
the cut comes first, because a front-end sees one clip and what is standardised is what it gives: the statistics of a
speaker leave out what lies beyond the 5th second of a clip. A `max_samples` beyond the longest clip restores the
paper's statistics, and then the cut is up to whoever feeds the network.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.frontend import TooShort


class Waveform(Config):
    """Configuration and function: samples (num_samples,) -> their beginning, as one column."""

    kind: Literal["waveform"] = "waveform"
    version: int = 1  # raised when the numbers change
    sample_rate_hz: int = Field(16_000, ge=1)
    max_samples: int = Field(80_000, ge=1)

    @property
    def num_columns(self) -> int:
        """One: a sample."""
        return 1

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return min(4 * self.sample_rate_hz, self.max_samples)

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Samples (num_samples,) -> (min(num_samples, max_samples), 1), a copy. Raises TooShort where there is none."""
        if len(samples) == 0:
            raise TooShort("0 samples, a waveform has at least one")
        return np.array(samples[: self.max_samples], np.float32)[:, None]

    def batch(self, samples_BN: torch.Tensor) -> torch.Tensor:
        """The same of clips of one length, (B, num_samples) -> (B, min(num_samples, max_samples), 1), a view."""
        if samples_BN.shape[1] == 0:
            raise TooShort("0 samples, a waveform has at least one")
        return samples_BN[:, : self.max_samples, None]
