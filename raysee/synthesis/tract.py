"""Source and filter: pulses of the glottis and noise, shaped by the resonances of the vocal tract.

The layout is that of Klatt (1980), "Software for a cascade/parallel formant synthesizer": voice and breath
pass a cascade of second-order resonators, the noise of fricatives goes beside it. Filters stand still for
one frame and are applied to spectra, overlapped and added, so that an utterance is a handful of array
operations.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from raysee.synthesis.phones import FRAME_S

SAMPLE_RATE_HZ = 16_000
HOP = int(FRAME_S * SAMPLE_RATE_HZ)
# Two hops of signal and three for filters to ring: 24 ms, in which a formant 60 Hz wide falls by 39 dB.
HOPS_IN_FFT = 5
FFT = HOPS_IN_FFT * HOP
FREQUENCIES_HZ = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE_HZ).astype(np.float32)
FRICATION_WIDTH_HZ = 900.0

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Spectra = npt.NDArray[np.complexfloating]


@dataclasses.dataclass(frozen=True)
class Score:
    """What larynx and tract do in each of T frames; amplitudes are linear, relative to full voicing."""

    pitch_hz: Float64
    """(T,)"""
    voicing: Float64
    """(T,)"""
    breath: Float64
    """(T,) noise at the glottis, through the tract"""
    frication: Float64
    """(T,) noise at a narrow passage, beside the tract"""
    frication_hz: Float64
    """(T,)"""
    formants_hz: Float64
    """(T, R), below half the sampling rate"""
    bandwidths_hz: Float64
    """(R,)"""
    tilt_db: float
    """Slope of the voice source in dB per octave, lips included; about -6 in a modal voice"""
    jitter: float
    """Standard deviation of a pulse's place in time, in periods"""
    shimmer: float
    """Standard deviation of a pulse's height, relative"""


def render(score: Score, rng: np.random.Generator) -> Float32:
    """Samples of a score: shape (T * HOP,), at SAMPLE_RATE_HZ, of no particular level."""
    samples = len(score.pitch_hz) * HOP
    voice = _spectra(_pulses(score, samples, rng))
    noise = _spectra(rng.standard_normal(samples, dtype=np.float32))

    octaves = np.log2(np.maximum(FREQUENCIES_HZ, 100.0) / 100.0)
    # The last factor keeps the thump below the voice out, as lips that radiate into the open do.
    glottis = 10.0 ** (score.tilt_db * octaves / 20.0) * FREQUENCIES_HZ / (FREQUENCIES_HZ + 50.0)
    passage = 1.0 / (1.0 + ((FREQUENCIES_HZ - _column(score.frication_hz)) / FRICATION_WIDTH_HZ) ** 2)

    voice *= _column(score.voicing) * glottis.astype(np.float32)
    voice += _column(score.breath) * noise
    voice *= _tract(score.formants_hz, score.bandwidths_hz)
    voice += _column(score.frication) * passage * noise
    return _overlap_add(np.fft.irfft(voice, FFT, axis=1))


def _pulses(score: Score, samples: int, rng: np.random.Generator) -> Float32:
    """One pulse a period, each a little out of time and out of size, of unit power whatever the pitch."""
    times = np.arange(samples)
    pitch_hz = np.interp(times, np.arange(len(score.pitch_hz)) * HOP, score.pitch_hz)
    phase = np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    at = np.interp(np.arange(1.0, phase[-1]), phase, times)
    period = SAMPLE_RATE_HZ / np.interp(at, times, pitch_hz)
    at = np.clip(at + score.jitter * period * rng.standard_normal(len(at)), 0, samples - 2)
    height = np.sqrt(period) * (1 + score.shimmer * rng.standard_normal(len(at)))
    # A pulse between two samples is shared out over both: periods of whole samples would sound out of tune.
    left = at.astype(np.intp)
    right_share = at - left
    pulses = np.bincount(left, height * (1 - right_share), samples)
    pulses += np.bincount(left + 1, height * right_share, samples)
    return pulses.astype(np.float32)


def _tract(formants_hz: Float64, bandwidths_hz: Float64) -> Spectra:
    """Responses (T, FFT // 2 + 1) of resonators in a row, each of gain 1 at 0 Hz, as in Klatt (1980)."""
    radius = np.exp(-np.pi * bandwidths_hz / SAMPLE_RATE_HZ)
    first = 2 * radius * np.cos(2 * np.pi * formants_hz / SAMPLE_RATE_HZ)
    frames, resonators = formants_hz.shape
    poles = np.zeros((frames, 2 * resonators + 1))
    poles[:, 0] = 1.0
    for i in range(resonators):
        product = poles.copy()
        product[:, 1:] -= first[:, i, None] * poles[:, :-1]
        product[:, 2:] += radius[i] ** 2 * poles[:, :-2]
        poles = product
    poles /= poles.sum(axis=1, keepdims=True)
    return (1.0 / np.fft.rfft(poles, FFT, axis=1)).astype(np.complex64)


def _spectra(signal: Float32) -> Spectra:
    """Spectra (T, FFT // 2 + 1) of Hann windows, two hops long and centred on the start of each hop."""
    padded = np.concatenate([np.zeros(HOP, np.float32), signal])
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP]
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * HOP, dtype=np.float32) / HOP)
    return np.fft.rfft(frames * window, FFT, axis=1)


def _overlap_add(frames: npt.NDArray[np.floating]) -> Float32:
    """(T, FFT) to (T * HOP,): the inverse of the framing of `_spectra`."""
    count = len(frames)
    hops = np.zeros((count + HOPS_IN_FFT - 1, HOP), np.float32)
    for i in range(HOPS_IN_FFT):
        hops[i : i + count] += frames[:, i * HOP : (i + 1) * HOP]
    return hops[1 : count + 1].ravel()


def _column(track: Float64) -> Float32:
    return track.astype(np.float32)[:, None]
