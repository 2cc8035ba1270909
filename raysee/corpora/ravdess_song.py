"""RAVDESS, its song part (Livingstone & Russo, PLoS ONE 2018).

The 1,012 audio-only song clips of 23 actors; actor 18 did not sing. Names are those of the speech part, MM-VV-EE-II-
SS-RR-AA, with channel 02, and six emotions: neither disgust nor surprise was sung. Keesing et al. 2020 do not use it;
the counts are 44 clips an actor: four of neutral, eight of every other emotion.
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
}
_INTENSITIES = {"01": "normal", "02": "strong"}
_SENTENCES = {"01": "kids", "02": "dogs"}  # "Kids are talking by the door", "Dogs are sitting by the door"
_ACTORS = tuple(f"{number:02d}" for number in range(1, 25) if number != 18)
_PATH = re.compile(
    rf"(?:^|/)Actor_(?P<actor>{'|'.join(_ACTORS)})/"
    r"(?P<id>03-02-(?P<emotion>0[1-6])-(?P<intensity>0[12])-(?P<sentence>0[12])-(?P<repetition>0[12])-(?P=actor))"
    + ENDING
)


def parse(path: str) -> Clip | None:
    """The clip of a path below the corpus's root, or None: speech and video are other parts of the corpus."""
    match = _PATH.search(path)
    if match is None or (match["emotion"], match["intensity"]) == ("01", "02"):  # nobody sang strongly neutral
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
    grid = itertools.product(_EMOTIONS, _INTENSITIES, _SENTENCES, ("01", "02"), _ACTORS)
    return frozenset(
        f"03-02-{emotion}-{intensity}-{sentence}-{repetition}-{actor}"
        for emotion, intensity, sentence, repetition, actor in grid
        if (emotion, intensity) != ("01", "02")
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
    labels=("neutral", "calm", "happiness", "sadness", "anger", "fear"),
    layout="Audio_Song_Actors_01-24/Actor_NN/03-02-EE-II-SS-RR-NN.wav",
    read=by_name(parse),
    expected_ids=expected_ids,
)
