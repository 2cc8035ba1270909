"""The canonical emotions, and the map from every corpus's own categories into them."""

from typing import Literal, get_args

Emotion = Literal["anger", "happiness", "sadness", "fear", "surprise", "disgust", "neutral", "other", "unknown"]

EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)

#: A corpus's category -> the canonical emotion; categories with the same name map to themselves.
#: Boredom and calm are "other" in Table 1 (corpus-specific classes), and nothing better is canonical.
SPECIFIC: dict[str, Emotion] = {
    "boredom": "other",
    "calm": "other",
}


def canonical(label: str) -> Emotion:
    """The canonical emotion of a corpus's category; ValueError for one that nobody has reviewed."""
    for emotion in EMOTIONS:
        if label == emotion:
            return emotion
    if label in SPECIFIC:
        return SPECIFIC[label]
    raise ValueError(f"no canonical emotion is given for {label!r}; add it to emotions.SPECIFIC")
