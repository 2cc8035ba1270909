"""The samples themselves: the input of L and N in Keesing et al. 2020, section 4.2 (Latif's and Zhang's networks).

The paper's code standardises a speaker's whole recordings, as one column, and then cuts them at 80,000 samples: here a
front-end gives all of a clip, and the networks say how much of it they hear (`Network.max_length`).
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
    """Configuration and function: samples (num_samples,) -> one column."""

    kind: Literal["waveform"] = "waveform"
    version: int = 2  # raised when the numbers change
    sample_rate_hz: int = Field(16_000, ge=1)

    @property
    def num_columns(self) -> int:
        """One: a sample."""
        return 1

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return 4 * self.sample_rate_hz

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Samples (num_samples,) -> (num_samples, 1), a copy. Raises TooShort where there is none."""
        if len(samples) == 0:
            raise TooShort("0 samples, a waveform has at least one")
        return np.array(samples, np.float32)[:, None]

    def batch(self, samples_BN: torch.Tensor) -> torch.Tensor:
        """The same of clips of one length, (B, num_samples) -> (B, num_samples, 1), a view."""
        if samples_BN.shape[1] == 0:
            raise TooShort("0 samples, a waveform has at least one")
        return samples_BN[:, :, None]
