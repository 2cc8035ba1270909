"""Mixing and resampling."""

import numpy as np
import soxr

from raysee.audio.decode import Audio, Samples


def mono(audio: Audio) -> Samples:
    """The mean of the channels, (num_samples,): what the source documents' systems listen to."""
    if audio.samples.shape[1] == 1:
        return audio.samples[:, 0]
    mixed: Samples = audio.samples.mean(axis=1, dtype=np.float32)
    return mixed


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Samples (num_samples,) at another rate, band-limited (soxr, high quality)."""
    if from_hz == to_hz:
        return samples
    resampled: Samples = soxr.resample(samples, from_hz, to_hz, quality="HQ").astype(np.float32, copy=False)
    return resampled
