"""What every front-end is."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from raysee.audio.decode import Samples
from raysee.errors import AudioError


class TooShort(AudioError):
    """A clip that does not fill one frame."""


class FrontEnd(Protocol):
    """A frozen configuration that turns samples into an array."""

    @property
    def sample_rate_hz(self) -> int:
        """The rate that `samples` must have."""

    @property
    def num_columns(self) -> int:
        """The width of the array: what is standardised column by column."""

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about: a shard holds fewer clips of larger arrays."""

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Samples (num_samples,) -> (num_frames, num_columns). Raises TooShort."""

    def fingerprint(self) -> str:
        """Changes with every number that the front-end could give otherwise."""

    def model_dump(self) -> dict[str, object]:
        """Its parameters, for receipts and model cards."""
