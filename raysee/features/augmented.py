"""Altered copies of a clip as one array: what a network is trained on besides the clips themselves.

Source: a student report of 2015 on CNNs and LSTMs (section 3.1) augments its corpus ninefold by pitch shifts and
time scaling; audio.augment says which ones these are here.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from raysee.audio.augment import VARIANTS, augment
from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.chunks import Chunks


class Augmented(Config):
    """Configuration and function: samples (num_samples,) -> the chunks of eight altered copies, one after another."""

    kind: Literal["augmented"] = "augmented"
    version: int = 1  # raised when the numbers change
    front_end: Chunks = Chunks()

    @property
    def sample_rate_hz(self) -> int:
        """The rate that `samples` must have."""
        return self.front_end.sample_rate_hz

    @property
    def num_columns(self) -> int:
        """The last axis."""
        return self.front_end.num_columns

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return len(VARIANTS[1:]) * self.front_end.typical_values

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Samples (num_samples,) -> (chunks of all copies, size, size, channels). Raises TooShort without a sample."""
        if len(samples) == 0:
            return self.front_end(samples)
        copies = [augment(samples, self.sample_rate_hz, *variant) for variant in VARIANTS[1:]]
        return np.concatenate([self.front_end(copy) for copy in copies])
