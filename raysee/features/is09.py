"""The INTERSPEECH 2009 emotion set: 384 numbers of a whole clip, as openSMILE's own configuration defines them.

Sixteen contours in frames of 25 ms every 10 ms (RMS energy, MFCC 1 to 12, zero-crossing rate, probability of voicing,
F0), smoothed over three frames, and their first differences; of each of the 32 twelve functionals: maximum, minimum,
range, the frames of the maximum and the minimum, mean, slope, offset and squared error of a straight line, standard
deviation, skewness, kurtosis. Source: Schuller, Steidl and Batliner, Interspeech 2009; openSMILE's
is09-13/IS09_emotion.conf, which has the probability of voicing where the paper says harmonics-to-noise ratio. As
opensmile 2.6 computes them, the functionals leave out a clip's last two frames, whose differences would need more.
"""

import functools
import importlib.resources
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.errors import ConfigurationError
from raysee.features.frontend import TooShort

_FRAME = 400  # samples
_HIGHEST = 32767 / 32768


class IS09(Config):
    """Configuration and function: samples (num_samples,) -> functionals (1, 384). Needs the extra raysee[is09]."""

    kind: Literal["is09"] = "is09"
    version: int = 1  # raised when the numbers change
    sample_rate_hz: Literal[16_000] = 16_000

    @property
    def num_columns(self) -> int:
        """The number of functionals."""
        return 384

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return self.num_columns

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Functionals (1, 384) of samples (num_samples,) in [-1, 1] at 16 kHz, as of a file of 16 bits.

        Raises TooShort below one frame, ConfigurationError where openSMILE is not installed.
        """
        if len(samples) < _FRAME:
            raise TooShort(f"{len(samples)} samples at {self.sample_rate_hz} Hz, one frame needs {_FRAME}")
        # opensmile makes 16 bits of them, in which 1.0 would become -1.0.
        values = _opensmile()(np.clip(samples, -1.0, _HIGHEST), self.sample_rate_hz)
        functionals: npt.NDArray[np.float32] = np.asarray(values, np.float32).reshape(1, self.num_columns)
        return functionals


@functools.lru_cache(maxsize=1)
def _opensmile() -> Any:
    """opensmile.Smile for the set; it reads its configuration once a process."""
    try:
        import opensmile
    except ImportError as error:
        raise ConfigurationError(
            'The features is09 are made by openSMILE, which is not installed: pip install "raysee[is09]". Its licence '
            "allows research and other non-commercial use only."
        ) from error
    configuration = importlib.resources.files(opensmile) / "core" / "config" / "is09-13" / "IS09_emotion.conf"
    return opensmile.Smile(feature_set=str(configuration), feature_level="func", loglevel=0)
