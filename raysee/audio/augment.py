"""Nine voices out of one: pitch shifts and time scaling, as a report on CNNs and LSTMs augments its corpus.

The report gives the number and the two effects, not the steps: here a semitone down and up, and a tenth slower and
faster, each with each. Both are librosa's time stretching, a phase vocoder that changes the duration and keeps the
pitch; resampling turns duration into pitch.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import soxr

from raysee.audio.decode import Samples
from raysee.errors import ConfigurationError


class Variant(NamedTuple):
    """How a clip is changed: by how many semitones it is higher, and how many times as fast."""

    pitch_semitones: float
    tempo: float


#: The recording itself first, then its eight changes.
VARIANTS: tuple[Variant, ...] = tuple(itertools.starmap(Variant, itertools.product((0.0, -1.0, 1.0), (1.0, 0.9, 1.1))))

_FRAME_S = 0.064  # of the vocoder: librosa's 2048 samples at 22 kHz are for music


def augment(samples: Samples, sample_rate_hz: int, pitch_semitones: float, tempo: float) -> Samples:
    """Samples (num_samples,) another way: (round(num_samples / tempo),), `pitch_semitones` higher.

    Without any change, or without any sample, they are `samples` itself. Raises ConfigurationError for a tempo that
    is not above 0.
    """
    if not 0 < tempo < math.inf:
        raise ConfigurationError(f"A tempo of {tempo} was asked for; it is a factor above 0, 1.1 is a tenth faster.")
    if len(samples) == 0 or (pitch_semitones, tempo) == VARIANTS[0]:
        return samples
    from librosa.effects import time_stretch
    from librosa.util import fix_length

    frame = 2 ** round(math.log2(_FRAME_S * sample_rate_hz))
    # Shorter than a frame the vocoder has nothing to work on: such a clip has silence behind it while it is changed.
    padded = np.pad(samples, (0, max(frame - len(samples), 0)))
    # What is longer by a ratio of pitches and then resampled to its duration is higher by that ratio. Once through the
    # vocoder does both; a second time would blur the phases more and cost some of the level.
    ratio = 2 ** (pitch_semitones / 12)
    changed = time_stretch(padded, rate=tempo / ratio, n_fft=frame)
    if ratio != 1:
        changed = soxr.resample(changed, sample_rate_hz * ratio, sample_rate_hz, quality="HQ")
    fixed: Samples = fix_length(changed, size=round(len(samples) / tempo)).astype(np.float32, copy=False)
    return fixed
