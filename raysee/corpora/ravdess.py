"""RAVDESS, the Ryerson audio-visual database of emotional speech and song (Livingstone & Russo, PLoS ONE 2018).

A file is called MM-VV-EE-II-SS-RR-AA: modality (03 audio), channel (01 speech, 02 song), emotion, intensity, statement,
repetition, actor; odd actors are male. Read are the audio-only clips, 1,440 of speech by 24 actors and 1,012 of song:
actor 18 did not sing, and neither disgust nor surprise was sung. Keesing et al. 2020 use the speech; the counts of the
song are 44 clips an actor.
"""

import functools
import itertools
import re
from dataclasses import dataclass

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
_REPETITIONS = ("01", "02")
_ACTORS = tuple(f"{number:02d}" for number in range(1, 25))
_NOT_RECORDED = ("01", "02")  # emotion and intensity: nobody was asked to be strongly neutral
_PATH = re.compile(
    r"(?:^|/)Actor_(?P<actor>\d\d)/(?P<id>03-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<sentence>0[12])-(?P<repetition>0[12])-(?P=actor))" + ENDING
)


@dataclass(frozen=True)
class _Part:
    channel: str
    emotions: tuple[str, ...]
    actors: tuple[str, ...]


_SPEECH = _Part("01", tuple(_EMOTIONS), _ACTORS)
_SONG = _Part("02", tuple(_EMOTIONS)[:6], tuple(actor for actor in _ACTORS if actor != "18"))


def parse(path: str, part: _Part = _SPEECH) -> Clip | None:
    """The clip of a path below the corpus's root, or None: other channels and video are other parts."""
    match = _PATH.search(path)
    if match is None or match["channel"] != part.channel:
        return None
    if match["emotion"] not in part.emotions or match["actor"] not in part.actors:
        return None
    if (match["emotion"], match["intensity"]) == _NOT_RECORDED:
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


def expected_ids(part: _Part = _SPEECH) -> frozenset[str]:
    """Every combination that was recorded."""
    grid = itertools.product(part.emotions, _INTENSITIES, _SENTENCES, _REPETITIONS, part.actors)
    return frozenset(
        f"03-{part.channel}-{emotion}-{intensity}-{sentence}-{repetition}-{actor}"
        for emotion, intensity, sentence, repetition, actor in grid
        if (emotion, intensity) != _NOT_RECORDED
    )


parse_song = functools.partial(parse, part=_SONG)

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
    labels=tuple(_EMOTIONS[code] for code in _SPEECH.emotions),
    layout="Audio_Speech_Actors_01-24/Actor_NN/03-01-EE-II-SS-RR-NN.wav",
    read=by_name(parse),
    expected_ids=expected_ids,
)

RAVDESS_SONG = Corpus(
    name="ravdess_song",
    title="RAVDESS (song)",
    language="en-CA",
    licence="CC BY-NC-SA 4.0",
    commercial=False,
    source="https://zenodo.org/record/1188976",
    counts={"anger": 184, "happiness": 184, "sadness": 184, "fear": 184, "neutral": 92, "other": 184},
    num_speakers=23,
    labels=tuple(_EMOTIONS[code] for code in _SONG.emotions),
    layout="Audio_Song_Actors_01-24/Actor_NN/03-02-EE-II-SS-RR-NN.wav",
    read=by_name(parse_song),
    expected_ids=functools.partial(expected_ids, _SONG),
    voices="ravdess",
)
