"""RAVDESS, the Ryerson audio-visual database of emotional speech and song (Livingstone & Russo, PLoS ONE 2018).

The 1,440 audio-only speech clips of 24 actors. A file is called MM-VV-EE-II-SS-RR-AA: modality (03 audio), channel
(01 speech), emotion, intensity, statement, repetition, actor; odd actors are male.
"""

import itertools
import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, by_name

_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
_INTENSITIES = {"01": "normal", "02": "strong"}
_SENTENCES = {"01": "kids", "02": "dogs"}  # "Kids are talking by the door", "Dogs are sitting by the door"
_PATH = re.compile(
    r"(?:^|/)Actor_(?P<folder>\d\d)/"
    r"(?P<id>03-01-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<sentence>0[12])-(?P<repetition>0[12])"
    r"-(?P<actor>0[1-9]|1\d|2[0-4]))" + ENDING
)


def parse(path: str) -> Clip | None:
    """The clip of a path below the corpus's root, or None: song and video are other parts of the corpus."""
    match = _PATH.search(path)
    if match is None or match["folder"] != match["actor"]:
        return None
    if (match["emotion"], match["intensity"]) == ("01", "02"):  # nobody was recorded strongly neutral
        return None
    return Clip(
        clip_id=match["id"],
        speaker=match["actor"],
        label=_EMOTIONS[match["emotion"]],
        gender="male" if int(match["actor"]) % 2 else "female",
        sentence=_SENTENCES[match["sentence"]],
        intensity=_INTENSITIES[match["intensity"]],
        repetition=match["repetition"],
    )


def expected_ids() -> frozenset[str]:
    """Every combination but the neutral ones of strong intensity, which were not recorded."""
    grid = itertools.product(_EMOTIONS, _INTENSITIES, _SENTENCES, ("01", "02"), range(1, 25))
    return frozenset(
        f"03-01-{emotion}-{intensity}-{sentence}-{repetition}-{actor:02d}"
        for emotion, intensity, sentence, repetition, actor in grid
        if (emotion, intensity) != ("01", "02")
    )


RAVDESS = Corpus(
    name="ravdess",
    title="RAVDESS (speech)",
    language="en-CA",
    licence="CC BY-NC-SA 4.0",
    commercial=False,
    source="https://zenodo.org/record/1188976",
    counts={
        "anger": 192,
        "happiness": 192,
        "sadness": 192,
        "fear": 192,
        "surprise": 192,
        "disgust": 192,
        "neutral": 96,
        "other": 192,
    },
    num_speakers=24,
    labels=("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
    layout="Audio_Speech_Actors_01-24/Actor_NN/03-01-EE-II-SS-RR-NN.wav",
    read=by_name(parse),
    expected_ids=expected_ids,
)
