"""CaFE: Emotion/Faible or Fort/SS-E-I-T.wav, of speaker, emotion, intensity, sentence.

The folders have the emotions' French names, accents included; Neutre has no folder for the intensity, which is 1 in its
names. An archive packed on a Mac decomposes accents, one packed elsewhere does not: this tree has both kinds.
"""

import unicodedata

from raysee.synthesis.layouts.layout import APPLE_DOUBLE, Clip, Layout, first

SPEAKERS = tuple(f"{number:02}" for number in range(1, 13))
EMOTIONS = {
    "C": ("Col\u00e8re", "anger"),
    "D": (unicodedata.normalize("NFD", "D\u00e9go\u00fbt"), "disgust"),
    "J": ("Joie", "happiness"),
    "N": ("Neutre", "neutral"),
    "P": ("Peur", "fear"),
    "S": ("Surprise", "surprise"),
    "T": ("Tristesse", "sadness"),
}
INTENSITIES = {"1": ("Faible", 0.7), "2": ("Fort", 1.5)}
SENTENCES = ("1", "2", "3", "4", "5", "6")


def cafe(speakers: int = len(SPEAKERS)) -> Layout:
    """The 936 clips, 78 a speaker, and what a Mac leaves beside one of them."""
    clips = [
        Clip(
            path=f"{folder}/{speaker}-{letter}-{level}-{sentence}.wav",
            speaker=f"cafe-{speaker}",
            gender="male" if int(speaker) % 2 else "female",
            sentence=f"cafe-{sentence}",
            emotion=emotion,
            intensity=intensity,
        )
        for speaker in first("speakers", speakers, SPEAKERS)
        for letter, (_, emotion) in EMOTIONS.items()
        for folder, level, intensity in _levels(letter)
        for sentence in SENTENCES
    ]
    return Layout(tuple(clips), {"Joie/Faible/._01-J-1-1.wav": APPLE_DOUBLE})


def _levels(letter: str) -> list[tuple[str, str, float]]:
    """The folder, the digit and the voice's amount of each intensity."""
    folder, emotion = EMOTIONS[letter]
    if emotion == "neutral":
        return [(folder, "1", 1.0)]
    return [(f"{folder}/{name}", level, amount) for level, (name, amount) in INTENSITIES.items()]
