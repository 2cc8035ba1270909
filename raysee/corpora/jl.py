"""The JL corpus of emotional New Zealand English (James, Tian & Watson, Interspeech 2018).

2,400 clips: four actors, fifteen sentences in two variants, two sessions, five primary and five secondary emotions.
Keesing et al. 2020 take the 1,200 of the primary ones. A file is called like male2_excited_10a_1: actor, emotion,
sentence with its variant, session; beside it lies its transcript as .txt.
"""

import itertools
import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, by_name

_PRIMARY = {
    "angry": "anger",
    "sad": "sadness",
    "neutral": "neutral",
    "happy": "happiness",
    "excited": "excited",
}
_SECONDARY = ("anxious", "apologetic", "assertive", "concerned", "encouraging")
_SPEAKERS = ("male1", "male2", "female1", "female2")
_NUM_SENTENCES = 15
_PATH = re.compile(
    rf"(?:^|/)(?P<id>(?P<speaker>(?P<gender>male|female)[12])_(?P<emotion>{'|'.join((*_PRIMARY, *_SECONDARY))})_"
    r"(?P<sentence>(?:[1-9]|1[0-5])[ab])_(?P<session>[12]))" + ENDING
)


def parse(path: str) -> Clip | LeftOut | None:
    """The clip of a path below the corpus's root, one of a secondary emotion as left out, or None."""
    match = _PATH.search(path)
    if match is None:
        return None
    if match["emotion"] in _SECONDARY:
        return LeftOut(match["id"], f"{match['emotion']} is a secondary emotion; the primary ones are taken")
    return Clip(
        clip_id=match["id"],
        speaker=match["speaker"],
        label=_PRIMARY[match["emotion"]],
        gender=match["gender"],
        sentence=match["sentence"],
        repetition=match["session"],
    )


def expected_ids() -> frozenset[str]:
    """Every combination of the primary emotions."""
    grid = itertools.product(_SPEAKERS, _PRIMARY, range(1, _NUM_SENTENCES + 1), "ab", "12")
    return frozenset(
        f"{speaker}_{emotion}_{sentence}{variant}_{session}" for speaker, emotion, sentence, variant, session in grid
    )


JL = Corpus(
    name="jl",
    title="JL corpus",
    language="en-NZ",
    licence="CC0 1.0",
    commercial=True,
    source="https://www.kaggle.com/datasets/tli725/jl-corpus",
    counts={
        "anger": 240,
        "happiness": 240,
        "sadness": 240,
        "neutral": 240,
        "other": 240,
    },
    num_speakers=len(_SPEAKERS),
    labels=tuple(_PRIMARY.values()),
    layout="Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/SPEAKER_EMOTION_Nv_S.wav, e.g. male1_angry_1a_1.wav",
    read=by_name(parse),
    expected_ids=expected_ids,
)
