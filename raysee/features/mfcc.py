"""Mel-frequency cepstral coefficients with their deltas and delta-deltas.

The usual configuration of speech recognition, as in the HTK Book (Young et al.): 25 ms every 10 ms, pre-emphasis of
0.97, a Hamming window, 26 mel bands, 13 coefficients with the zeroth; deltas by regression over two frames on either
side, the first and last frame repeated beyond the ends, and the deltas of those. The log-mels are those of
raysee.features.logmel, so frame t is the same stretch of sound in both; librosa makes the rest. Coefficients are not
liftered: that scales each by a constant, which standardisation takes out again.
"""

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.features.logmel import LogMel


class Mfcc(Config):
    """Configuration and function: samples (num_samples,) -> coefficients (num_frames, 39)."""

    kind: Literal["mfcc"] = "mfcc"
    version: int = 1  # raised when the numbers change
    num_mfccs: int = Field(13, ge=1)
    delta_reach: int = Field(2, ge=1)  # frames on either side
    logmel: LogMel = LogMel(num_bands=26)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.num_mfccs > self.logmel.num_bands:
            raise ValueError(f"{self.num_mfccs} MFCCs cannot be made of {self.logmel.num_bands} mel bands")
        return self

    @property
    def sample_rate_hz(self) -> int:
        """That of the log-mels."""
        return self.logmel.sample_rate_hz

    @property
    def num_columns(self) -> int:
        """Coefficients, their deltas, and the deltas of those."""
        return 3 * self.num_mfccs

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return self.logmel.typical_values // self.logmel.num_bands * self.num_columns

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """MFCCs (num_frames, num_columns) of samples (num_samples,) in [-1, 1] at `sample_rate_hz`.

        num_frames is floor((num_samples - 400) / 160) + 1 at 16 kHz. Raises TooShort below one frame.
        """
        from librosa.feature import delta, mfcc  # takes a second, which only those who need it shall wait

        coefficients = mfcc(S=self.logmel(samples).T, n_mfcc=self.num_mfccs)
        width = 2 * self.delta_reach + 1
        deltas = delta(coefficients, width=width, mode="nearest")
        columns = [coefficients, deltas, delta(deltas, width=width, mode="nearest")]
        return np.ascontiguousarray(np.concatenate(columns).T, np.float32)
