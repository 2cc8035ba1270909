"""Who speaks, and in which mood: speakers, emotions, and `speak`, which makes samples of both.

An emotion is a displacement from the speaker's neutral voice, in units that add up (semitones, octaves,
decibels). To the displacement that everybody shares comes one of the speaker's own, drawn once for each of
their emotions: people differ in how they sound angry as much as in how they sound. A model that has heard a
speaker's anger in training therefore finds it again far more easily than a stranger's, and a split that
lets speakers leak shows as it should.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from raysee.synthesis.phones import FRAME_S, PHONES, Sentence, articulate, compose
from raysee.synthesis.tract import Score, render

Gender = Literal["female", "male"]

# Mean pitch of Peterson & Barney's (1952) men and women, and the ratio of their formants.
PITCH_HZ: dict[Gender, float] = {"female": 223.0, "male": 132.0}
FORMANT_SCALE: dict[Gender, float] = {"female": 1.16, "male": 1.0}
# Of the order of the defaults in Klatt (1980).
BANDWIDTHS_HZ = (60.0, 90.0, 150.0, 200.0, 250.0)
NEUTRAL_LEVEL_DBFS = -28.0
ROOM_LEVEL_DBFS = -72.0
TREMOR_HZ = 6.0


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How far a way of speaking lies from the speaker's neutral one; all zeros is neutral."""

    pitch_st: float = 0.0
    """Level of pitch, semitones"""
    range_oct: float = 0.0
    """Excursions of pitch around it, octaves: 1 doubles them"""
    rise_st: float = 0.0
    """Rise of pitch from the first word to the last, semitones"""
    energy_db: float = 0.0
    """Level of the clip, dB"""
    tempo_oct: float = 0.0
    """Speed, octaves: 1 halves every duration"""
    tilt_db: float = 0.0
    """Spectral slope of the voice, dB per octave: positive is brighter, a pressed voice"""
    breath_db: float = 0.0
    """Breath in the voice, dB"""
    rough_oct: float = 0.0
    """Jitter and shimmer, octaves"""
    tremor_st: float = 0.0
    """Depth of a tremor of pitch, semitones"""
    spread_st: float = 0.0
    """Shift of the formants, semitones: positive where lips are spread, as in a smile"""

    def __add__(self, other: "Delivery") -> "Delivery":
        return Delivery(*np.add(dataclasses.astuple(self), dataclasses.astuple(other)).tolist())

    def __mul__(self, factor: float) -> "Delivery":
        return Delivery(*np.multiply(dataclasses.astuple(self), factor).tolist())


# Directions for anger, fear, sadness, joy and boredom largely after the review in Scherer (2003), "Vocal
# communication of emotion"; those of the others, and every amount, are this module's choice. What is added goes to the
# end: a speaker's own ways are drawn in this order.
EMOTIONS = {
    # pitch, range, rise, energy, tempo, tilt, breath, roughness, tremor, spread
    "neutral": Delivery(),
    "calm": Delivery(-1.0, -0.2, -0.5, -2.5, -0.15, -0.8, 4.0, -0.3, 0.0, 0.2),
    "happiness": Delivery(3.5, 0.7, 1.5, 4.0, 0.12, 0.7, -1.0, 0.2, 0.1, 0.8),
    "sadness": Delivery(-1.0, -0.6, -1.5, -5.0, -0.25, -1.5, 5.0, 0.4, 0.2, -0.4),
    "anger": Delivery(3.0, 0.5, -2.0, 7.0, 0.15, 1.6, -2.0, 1.0, 0.0, 0.0),
    "fear": Delivery(5.0, -0.2, 0.5, 1.0, 0.30, 0.5, 4.0, 0.8, 0.6, 0.2),
    "disgust": Delivery(-2.0, 0.1, -2.5, 0.5, -0.20, 0.6, 1.0, 1.2, 0.0, -0.9),
    "surprise": Delivery(5.0, 0.9, 6.0, 3.0, -0.05, 0.2, 2.0, 0.0, 0.0, 0.4),
    "boredom": Delivery(-2.0, -1.0, -1.0, -3.0, -0.30, -0.8, 0.0, 0.1, 0.0, -0.3),
    "excited": Delivery(5.0, 0.9, 0.5, 6.0, 0.30, 1.2, 0.0, 0.4, 0.2, 0.5),
    "guilt": Delivery(-0.5, -0.4, -2.5, -4.0, -0.10, -1.0, 3.0, 0.6, 0.4, -0.2),
    "helplessness": Delivery(1.0, -0.2, 2.0, -3.0, -0.20, -1.0, 3.5, 0.3, 0.3, 0.0),
    "pondering": Delivery(-1.5, -0.5, 1.0, -2.0, -0.30, -0.5, 1.0, 0.3, 0.0, 0.0),
}
# Standard deviations: of one speaker's way with one emotion from everybody's, and of one take from the next.
OWN_WAY = Delivery(1.6, 0.25, 1.3, 2.0, 0.10, 0.65, 2.2, 0.35, 0.10, 0.35)
TAKE = Delivery(0.7, 0.15, 0.7, 1.0, 0.05, 0.25, 0.8, 0.2, 0.05, 0.1)


@dataclasses.dataclass(frozen=True)
class Speaker:
    """A neutral voice, and what each emotion does to it."""

    name: str
    gender: Gender
    pitch_hz: float
    formant_scale: float
    """Formants relative to those in `phones`: the inverse of the length of the vocal tract"""
    upper_formants_hz: tuple[float, float]
    bandwidth_scale: float
    tilt_db: float
    """Slope of the voice source, dB per octave"""
    breath_db: float
    """Breath relative to the voice"""
    level_dbfs: float
    tempo: float
    """Speed relative to that of `phones`"""
    deliveries: Mapping[str, Delivery]
    """By emotion, own way included"""


def seeded(*key: str | int | float) -> np.random.Generator:
    """A generator that depends on the key alone, in every process (Python's `hash` of a string does not)."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def speaker(name: str, gender: Gender, seed: int) -> Speaker:
    """The speaker of that name: same name, gender and seed, same voice.

    Raises:
        ValueError: for a gender that no voice is known for.
    """
    if gender not in PITCH_HZ:
        raise ValueError(f"gender is {gender!r}, but voices are known for {', '.join(PITCH_HZ)}")
    rng = seeded("speaker", seed, name, gender)

    def around(mean: float, sd: float) -> float:
        """Normal, cut at two standard deviations: the lowest woman's voice stays above the highest man's."""
        return mean + sd * float(np.clip(rng.standard_normal(), -2, 2))

    scale = around(FORMANT_SCALE[gender], 0.045)
    # The fourth and fifth resonance hardly move: those of a tube of 17.5 cm, closed at the glottis.
    upper_hz = (around(3500, 120) * scale, around(4500, 150) * scale)
    return Speaker(
        name=name,
        gender=gender,
        pitch_hz=PITCH_HZ[gender] * 2 ** (around(0, 2.0) / 12),
        formant_scale=scale,
        upper_formants_hz=upper_hz,
        bandwidth_scale=2 ** around(0, 0.3),
        tilt_db=around(-5.5, 0.8),
        breath_db=around(-32, 3.0),
        level_dbfs=around(NEUTRAL_LEVEL_DBFS, 2.0),
        tempo=2 ** around(0, 0.12),
        deliveries={
            # Neutral has no way of its own: that is the rest of the speaker.
            emotion: shared if emotion == "neutral" else shared + _scatter(OWN_WAY, rng)
            for emotion, shared in EMOTIONS.items()
        },
    )


def sentence(name: str, seed: int, *, syllables: int = 7) -> Sentence:
    """The sentence of that name: same name, seed and length, same words."""
    return compose(name, syllables, seeded("sentence", seed, name, syllables))


def speak(
    speaker: Speaker,
    sentence: Sentence,
    emotion: str,
    *,
    intensity: float = 1.0,
    take: int = 0,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Say the sentence.

    Args:
        speaker: who.
        sentence: what.
        emotion: how; one of EMOTIONS.
        intensity: 1 is normal, 1.5 strong, 0 neutral whatever the emotion.
        take: another take is the same performance, a little different in everything.
        seed: of what differs between takes.

    Returns:
        Mono samples within [-1, 1], shape (N,), at SAMPLE_RATE_HZ, with 0.1 s of room before and after.

    Raises:
        ValueError: for an unknown emotion.
    """
    if emotion not in EMOTIONS:
        raise ValueError(f"emotion is {emotion!r}, but known are {', '.join(EMOTIONS)}")
    rng = seeded("speak", seed, speaker.name, sentence.name, emotion, float(intensity), take)
    delivery = speaker.deliveries[emotion] * intensity + _scatter(TAKE, rng)

    durations_s = np.array([PHONES[phone].duration_s for phone in sentence.phones])
    durations_s *= 1 + 0.3 * np.array(sentence.stress)
    durations_s *= 2 ** rng.normal(0, 0.1, len(durations_s)) / (speaker.tempo * 2**delivery.tempo_oct)
    tracks = articulate(sentence, durations_s)

    frames = len(tracks.stress)
    progress = np.linspace(-0.5, 0.5, frames)
    # Neutral speech falls by three semitones from beginning to end, and stress lifts pitch by up to four.
    pitch_st = delivery.pitch_st + (delivery.rise_st - 3.0) * progress
    pitch_st += 4.0 * 2**delivery.range_oct * (tracks.stress - tracks.stress.mean())
    tremor = np.sin(2 * np.pi * (TREMOR_HZ * FRAME_S * np.arange(frames) + rng.random()))
    pitch_st += max(0.0, delivery.tremor_st) * tremor

    scale = speaker.formant_scale * 2 ** (delivery.spread_st / 12)
    upper_hz = np.broadcast_to(speaker.upper_formants_hz, (frames, 2))
    roughness = 2**delivery.rough_oct
    loudness = tracks.voicing * _amplitude(4.0 * tracks.stress)
    score = Score(
        pitch_hz=speaker.pitch_hz * 2 ** (pitch_st / 12),
        voicing=loudness,
        breath=loudness * _amplitude(speaker.breath_db + delivery.breath_db),
        frication=tracks.frication,
        frication_hz=tracks.frication_hz * speaker.formant_scale,
        formants_hz=np.hstack([tracks.formants_hz * scale, upper_hz]),
        bandwidths_hz=np.array(BANDWIDTHS_HZ) * speaker.bandwidth_scale,
        tilt_db=speaker.tilt_db + delivery.tilt_db,
        jitter=0.008 * roughness,
        shimmer=0.06 * roughness,
    )
    samples = render(score, rng)
    samples *= _amplitude(speaker.level_dbfs + delivery.energy_db) / math.sqrt(float(np.mean(samples**2)))
    samples += _amplitude(ROOM_LEVEL_DBFS) * rng.standard_normal(len(samples), dtype=np.float32)
    # A microphone's gain is set for the loudest: a clip that would clip is turned down as a whole.
    return samples / max(1.0, float(np.abs(samples).max()))


def _scatter(spread: Delivery, rng: np.random.Generator) -> Delivery:
    """A delivery at random around neutral, with those standard deviations."""
    return Delivery(*rng.normal(0.0, dataclasses.astuple(spread)).tolist())


def _amplitude(level_db: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return (10.0 ** (np.asarray(level_db) / 20.0)).astype(np.float32)
