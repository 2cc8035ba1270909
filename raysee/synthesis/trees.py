"""Corpora of the synthetic voice, in the directories and under the file names of the real ones.

The names follow the corpora's published grammars and are made here, without `raysee.corpora`, so that a
mistake in a parser there cannot hide behind the same mistake in here.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator

import soundfile

from raysee.errors import ConfigurationError
from raysee.synthesis.marker import mark
from raysee.synthesis.tract import SAMPLE_RATE_HZ
from raysee.synthesis.voice import Gender, sentence, speak, speaker

RAVDESS_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
RAVDESS_INTENSITIES = {"01": 1.0, "02": 1.5}
RAVDESS_STATEMENTS = ("01", "02")

EMODB_SPEAKERS: dict[str, Gender] = {
    "03": "male",
    "08": "female",
    "09": "female",
    "10": "male",
    "11": "male",
    "12": "male",
    "13": "female",
    "14": "female",
    "15": "male",
    "16": "female",
}
EMODB_TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
EMODB_EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}


@dataclasses.dataclass(frozen=True)
class Clip:
    """One file of a tree, before it is spoken."""

    path: str
    """Relative to the root of the tree"""
    speaker: str
    gender: Gender
    sentence: str
    emotion: str
    intensity: float = 1.0
    take: int = 0


def ravdess_clips(actors: int = 24, repetitions: int = 2) -> Iterator[Clip]:
    """The speech clips of RAVDESS: modality, channel, emotion, intensity, statement, repetition, actor.

    Raises:
        ConfigurationError: for more actors or repetitions than there are.
    """
    _at_most("actors", actors, 24)
    _at_most("repetitions", repetitions, 2)
    for actor in range(1, actors + 1):
        for code, emotion in RAVDESS_EMOTIONS.items():
            for level, intensity in RAVDESS_INTENSITIES.items():
                if emotion == "neutral" and level == "02":
                    continue  # nobody was asked to be strongly neutral
                for statement in RAVDESS_STATEMENTS:
                    for take in range(1, repetitions + 1):
                        name = f"03-01-{code}-{level}-{statement}-{take:02}-{actor:02}.wav"
                        yield Clip(
                            path=f"Audio_Speech_Actors_01-24/Actor_{actor:02}/{name}",
                            speaker=f"ravdess-{actor:02}",
                            gender="male" if actor % 2 else "female",
                            sentence=f"ravdess-{statement}",
                            emotion=emotion,
                            intensity=intensity,
                            take=take,
                        )


def emodb_clips(speakers: int = 10) -> Iterator[Clip]:
    """Every speaker's every text in every emotion, once (version "a"): speaker, text, emotion, version.

    The real corpus kept 535 of such clips, those that listeners recognised, a few in several versions.

    Raises:
        ConfigurationError: for more speakers than there are.
    """
    _at_most("speakers", speakers, len(EMODB_SPEAKERS))
    for number, gender in list(EMODB_SPEAKERS.items())[:speakers]:
        for text in EMODB_TEXTS:
            for letter, emotion in EMODB_EMOTIONS.items():
                yield Clip(
                    path=f"wav/{number}{text}{letter}a.wav",
                    speaker=f"emodb-{number}",
                    gender=gender,
                    sentence=f"emodb-{text}",
                    emotion=emotion,
                )


def write_ravdess(root: pathlib.Path, actors: int = 24, *, repetitions: int = 2, seed: int = 0) -> int:
    """Write `ravdess_clips` below `root`, at 60 clips an actor in full, and return how many there are."""
    return _write(root, ravdess_clips(actors, repetitions), seed)


def write_emodb(root: pathlib.Path, speakers: int = 10, *, seed: int = 0) -> int:
    """Write `emodb_clips` below `root`, at 70 clips a speaker, and return how many there are.

    One version of everything is enough at this size: 700 clips in full, not the official selection of 535.
    """
    return _write(root, emodb_clips(speakers), seed)


TREES: dict[str, Callable[..., int]] = {"emodb": write_emodb, "ravdess": write_ravdess}


def _write(root: pathlib.Path, clips: Iterable[Clip], seed: int) -> int:
    clips = list(clips)
    for clip in clips:
        samples = speak(
            speaker(clip.speaker, clip.gender, seed),
            sentence(clip.sentence, seed),
            clip.emotion,
            intensity=clip.intensity,
            take=clip.take,
            seed=seed,
        )
        path = root / clip.path
        mark(path.parent)
        soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    return len(clips)


def _at_most(what: str, wanted: int, there_are: int) -> None:
    if not 1 <= wanted <= there_are:
        raise ConfigurationError(f"There can be 1 to {there_are} {what}, not {wanted}.")
