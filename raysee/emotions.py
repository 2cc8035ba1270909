"""The canonical emotions, the map from every corpus's own categories into them, and the classes of cross-corpus work.

All three are data that was reviewed by hand and stands here alone. A category is a noun in English, as the corpora's
parsers write it into `label`; what a file calls it (W, rab, ps, Freude/Erfolg) is the parser's business.
"""

import collections
from collections.abc import Sequence
from typing import Literal, get_args

from raysee.config import fingerprint
from raysee.errors import unknown

Emotion = Literal["anger", "happiness", "sadness", "fear", "surprise", "disgust", "neutral", "other", "unknown"]

EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)

#: A corpus's category -> the canonical emotion; categories with the same name map to themselves.
#: As Keesing et al. 2020, Table 1: each corpus's one category beyond its columns is counted as "oth".
SPECIFIC: dict[str, Emotion] = {
    "boredom": "other",  # EMO-DB
    "calm": "other",  # RAVDESS
    "guilt": "other",  # DEMoS
    "excited": "other",  # JL; IEMOCAP's is merged into happiness by its parser, as Table 1 does
    "pondering": "other",  # SmartKom
    "helplessness": "sadness",  # SmartKom; inferred from its counts: 54 clips are "sad" in Table 1
    # What these corpora publish and Table 1 leaves out.
    "frustration": "other",  # IEMOCAP
    "contempt": "other",  # EmoFilm, where "dis" is read so; Table 1 counts it as disgust
    "anxious": "other",  # JL's secondary emotions
    "apologetic": "other",
    "assertive": "other",
    "concerned": "other",
    "encouraging": "other",
}

#: Twelve hexadecimal digits of the map: an `emotion` column of another fingerprint may say something else.
FINGERPRINT = fingerprint({"emotions": EMOTIONS, "specific": SPECIFIC})

_BIG_SIX = ("anger", "happiness", "sadness", "fear", "surprise", "disgust")

#: The schemes by name: a canonical emotion, or a specific category, -> a class. What is not named is dropped; a
#: specific category has its own class before that of its canonical emotion, or the latter where it is not named.
#:
#: Arousal and valence follow the clusters that Schuller et al. (Acoustic emotion recognition: a benchmark comparison
#: of performances, ASRU 2009) made of EMO-DB, eNTERFACE and SmartKom: disgust low, helplessness high, surprise
#: positive. Different from there:
#: - Valence has neutral as a class of its own, where theirs, of two classes, calls neutral and pondering positive.
#: - What they have not: excited is high and positive and calm is low, by their places in Russell's circumplex (1980).
#:   Calm is neutral in valence: RAVDESS recorded it as a second baseline, perceptually like neutral (Livingstone &
#:   Russo 2018). Guilt is negative, and nothing is agreed on of its arousal: there it is dropped.
#: - SmartKom's unidentifiable rest, "unknown", says nothing and is dropped.
SCHEMES: dict[str, dict[str, str]] = {
    "big6": {one: one for one in _BIG_SIX},
    "big6+neutral": {one: one for one in (*_BIG_SIX, "neutral")},
    # The four classes of IEMOCAP, whose happiness is happy and excited; so another corpus's excited is too.
    "iemocap4": {
        "anger": "anger",
        "happiness": "happiness",
        "excited": "happiness",
        "sadness": "sadness",
        "neutral": "neutral",
    },
    "arousal": {
        "anger": "high",
        "happiness": "high",
        "sadness": "low",
        "fear": "high",
        "surprise": "high",
        "disgust": "low",
        "neutral": "low",
        "boredom": "low",
        "calm": "low",
        "excited": "high",
        "pondering": "low",
        "helplessness": "high",
    },
    "valence": {
        "anger": "negative",
        "happiness": "positive",
        "sadness": "negative",
        "fear": "negative",
        "surprise": "positive",
        "disgust": "negative",
        "neutral": "neutral",
        "boredom": "negative",
        "calm": "neutral",
        "guilt": "negative",
        "excited": "positive",
        "pondering": "neutral",
    },
}


def canonical(label: str) -> Emotion:
    """The canonical emotion of a corpus's category; ValueError for one that nobody has reviewed."""
    for emotion in EMOTIONS:
        if label == emotion:
            return emotion
    if label in SPECIFIC:
        return SPECIFIC[label]
    raise ValueError(f"no canonical emotion is given for {label!r}; add it to emotions.SPECIFIC")


def scheme_classes(scheme: str) -> tuple[str, ...]:
    """The classes of a scheme, in the order of the class indices. ConfigurationError for an unknown scheme."""
    return tuple(dict.fromkeys(_classes(scheme).values()))


def apply_scheme(
    scheme: str, labels: Sequence[str], emotions: Sequence[str] | None = None
) -> tuple[list[str | None], dict[str, int]]:
    """The class of each label, None where the scheme drops it, and how many clips of which label it drops.

    `emotions` are the canonical emotions of the labels, one each (the manifest's column), without which `canonical`
    gives them. Labels that nobody has reviewed, of a corpus in a table, need them: their class is that of the emotion.
    Raises ConfigurationError for an unknown scheme, with the known ones; ValueError for a label without an emotion.
    """
    known = _classes(scheme)
    if emotions is None:
        emotions = [canonical(label) for label in labels]
    classes = [
        # A category is only what was reviewed where the manifest agrees on its emotion.
        known[label] if label in known and SPECIFIC.get(label) == emotion else known.get(emotion)
        for label, emotion in zip(labels, emotions, strict=True)
    ]
    dropped = collections.Counter(label for label, one in zip(labels, classes, strict=True) if one is None)
    return classes, dict(sorted(dropped.items()))


def count_schemes(labels: Sequence[str], emotions: Sequence[str]) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
    """For each scheme, clips by class and, of what it drops, clips by label; arguments as of `apply_scheme`."""
    counted = {}
    for scheme in SCHEMES:
        classes, dropped = apply_scheme(scheme, labels, emotions)
        found = collections.Counter(classes)
        counted[scheme] = ({one: found[one] for one in scheme_classes(scheme) if found[one]}, dropped)
    return counted


def _classes(scheme: str) -> dict[str, str]:
    if scheme not in SCHEMES:
        raise unknown("scheme", scheme, SCHEMES)
    return SCHEMES[scheme]
