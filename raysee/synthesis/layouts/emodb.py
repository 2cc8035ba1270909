"""EMO-DB: wav/SSTTTEv.wav, of speaker, text, the first letter of the German emotion, version.

The real corpus kept 535 clips, those that listeners recognised, which no rule generates; here every speaker says every
text in every emotion once, 700 clips in all.
"""

from collections.abc import Iterator

from raysee.synthesis.layouts.layout import Clip, Layout, first
from raysee.synthesis.voice import Gender

SPEAKERS: dict[str, Gender] = {
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
TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}


def emodb_clips(speakers: int = len(SPEAKERS)) -> Iterator[Clip]:
    """Every speaker's every text in every emotion, in version "a".

    Raises:
        ConfigurationError: for more speakers than there are.
    """
    for number in first("speakers", speakers, list(SPEAKERS)):
        for text in TEXTS:
            for letter, emotion in EMOTIONS.items():
                yield Clip(
                    path=f"wav/{number}{text}{letter}a.wav",
                    speaker=f"emodb-{number}",
                    gender=SPEAKERS[number],
                    sentence=f"emodb-{text}",
                    emotion=emotion,
                )


def emodb(speakers: int = len(SPEAKERS)) -> Layout:
    """`emodb_clips` and nothing else: 70 clips a speaker."""
    return Layout(tuple(emodb_clips(speakers)))
