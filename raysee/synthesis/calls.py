"""Recorded telephone calls: an agent on the left channel, a customer on the right, whose mood moves."""

import dataclasses
import datetime
import pathlib

import numpy as np
import numpy.typing as npt
import soundfile

from raysee.synthesis.marker import mark
from raysee.synthesis.tract import SAMPLE_RATE_HZ
from raysee.synthesis.voice import Gender, seeded, sentence, speak, speaker

AGENT, CUSTOMER = 0, 1
FIRST_DAY = datetime.date(2026, 11, 19)
CALLS_A_DAY = 100
AGENTS = 8
NARROW_BAND_HZ = (300.0, 3400.0)  # the classical telephone, up to 8 kHz
WIDE_BAND_HZ = (50.0, 7000.0)  # ITU-T G.722, above
LINE_NOISE_DBFS = -60.0

# What the customer goes through, in equal parts of the call.
MOODS = (
    ("neutral",),
    ("neutral", "anger"),
    ("anger", "neutral", "happiness"),
    ("neutral", "happiness"),
    ("fear", "sadness", "calm"),
    ("neutral", "boredom", "anger"),
)


@dataclasses.dataclass(frozen=True)
class Turn:
    """One side speaks, from `start_s` to `end_s` of the call."""

    channel: int
    start_s: float
    end_s: float
    emotion: str


def call(
    name: str, *, seconds: float = 40.0, seed: int = 0, sample_rate_hz: int = 8000
) -> tuple[npt.NDArray[np.float32], list[Turn]]:
    """One call and what is true about it.

    Returns:
        Samples of shape (round(seconds * sample_rate_hz), 2) within [-1, 1], and the turns in order of time.
        Between two turns lies a pause, or a moment in which both speak; the recording may stop within a word.
    """
    rng = seeded("call", seed, name)
    genders: tuple[Gender, Gender] = ("female", "male")
    agent = int(rng.integers(AGENTS))
    sides = (
        speaker(f"agent-{agent}", genders[agent % 2], seed),
        speaker(f"customer-{name}", genders[int(rng.integers(2))], seed),
    )
    moods = MOODS[int(rng.integers(len(MOODS)))]

    channels = np.zeros((2, round(seconds * SAMPLE_RATE_HZ)), np.float32)
    length = channels.shape[1]
    turns: list[Turn] = []
    start = round(rng.uniform(0.2, 0.8) * SAMPLE_RATE_HZ)
    while start < length:
        side = len(turns) % 2  # the agent answers the telephone, hence speaks first
        emotion = moods[int(start / length * len(moods))] if side == CUSTOMER else _agent_mood(rng)
        said = sentence(f"{name}-{len(turns)}", seed, syllables=int(rng.integers(5, 17)))
        samples = speak(sides[side], said, emotion, intensity=rng.uniform(0.9, 1.5), seed=seed)
        samples = samples[: length - start]
        channels[side, start : start + len(samples)] += samples
        end = start + len(samples)
        turns.append(Turn(side, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, emotion))
        start = end + round(rng.uniform(-0.15, 0.8) * SAMPLE_RATE_HZ)
    return _telephone(channels, round(seconds * sample_rate_hz), sample_rate_hz, rng), turns


def write_calls(
    root: pathlib.Path, *, calls: int, seconds: float = 40.0, seed: int = 0, sample_rate_hz: int = 8000
) -> list[pathlib.Path]:
    """Write an archive of calls below `root` as stereo 16-bit WAV, and return its paths in order.

    A folder holds the calls of one day, up to CALLS_A_DAY of them: `2026-11-19/call-0001.wav`. Numbers run on
    from day to day. Call 7 is the same call in archives of ten and of a thousand.
    """
    paths = []
    for number in range(calls):
        day = FIRST_DAY + datetime.timedelta(days=number // CALLS_A_DAY)
        path = root / day.isoformat() / f"call-{number + 1:04}.wav"
        mark(path.parent)
        samples, _ = call(path.stem, seconds=seconds, seed=seed, sample_rate_hz=sample_rate_hz)
        soundfile.write(path, samples, sample_rate_hz, subtype="PCM_16")
        paths.append(path)
    return paths


def _agent_mood(rng: np.random.Generator) -> str:
    """Mostly neutral, as agents are trained to be."""
    return str(rng.choice(["neutral", "calm", "happiness"], p=[0.85, 0.1, 0.05]))


def _telephone(
    channels: npt.NDArray[np.float32], length: int, sample_rate_hz: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Channels (2, N) as a recording (length, 2): band-limited, resampled, with the noise of the line."""
    # All at once on the spectrum of the whole call: several times as fast as filters that run through time.
    spectra = np.fft.rfft(channels, axis=1)
    hz = np.maximum(np.fft.rfftfreq(channels.shape[1], 1 / SAMPLE_RATE_HZ), 1.0)
    low_hz, high_hz = NARROW_BAND_HZ if sample_rate_hz <= 8000 else WIDE_BAND_HZ
    spectra /= np.sqrt((1 + (low_hz / hz) ** 16) * (1 + (hz / high_hz) ** 40))
    # An inverse transform of another length is a resampling; its scale is that of the length it came from.
    recording: npt.NDArray[np.float64] = np.fft.irfft(spectra, length, axis=1).T * (length / channels.shape[1])
    recording += 10 ** (LINE_NOISE_DBFS / 20) * rng.standard_normal(recording.shape)
    return np.clip(recording, -1.0, 1.0).astype(np.float32)
