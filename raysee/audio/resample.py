"""Mixing and resampling."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from raysee.audio.decode import Audio, Samples

_QUALITY = "HQ"


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
    resampled: Samples = soxr.resample(samples, from_hz, to_hz, quality=_QUALITY).astype(np.float32, copy=False)
    return resampled


def resample_blocks(blocks: Iterable[Audio], to_hz: int) -> Iterator[Samples]:
    """Consecutive blocks of one recording at another rate, (num_samples, num_channels).

    Wherever the blocks begin and end, together they are what `resample` makes of each channel's whole.
    """
    stream = None
    for samples, from_hz in blocks:
        if from_hz == to_hz:
            yield samples
            continue
        if stream is None:
            stream = soxr.ResampleStream(from_hz, to_hz, samples.shape[1], dtype="float32", quality=_QUALITY)
        yield stream.resample_chunk(samples)
    if stream is not None:
        yield stream.resample_chunk(samples[:0], last=True)
