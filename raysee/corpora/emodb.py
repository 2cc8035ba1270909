"""EMO-DB, the Berlin database of emotional speech (Burkhardt et al., Interspeech 2005).

535 clips, ten actors, ten German sentences, seven emotions, 16 kHz. A file is called SSTTTEv: speaker, text, the first
letter of the emotion's German name, version: 03a01Wa.wav is speaker 03, text a01, Wut (anger), version a.
"""

import importlib.resources
import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, by_name

_EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
_MALE = {"03", "10", "11", "12", "15"}
_PATH = re.compile(
    r"(?:^|(?:^|/)wav(?:_corpus)?/)"  # `wav` in the official archive, `wav_corpus` in a mirror, or straight in it
    r"(?P<id>(?P<speaker>03|08|09|1[0-6])(?P<text>a0[12457]|b0[1239]|b10)(?P<emotion>[WLEAFTN])(?P<version>[a-z]))"
    + ENDING
)


def parse(path: str) -> Clip | None:
    """The clip of a path below the corpus's root, or None."""
    match = _PATH.search(path)
    if match is None:
        return None
    return Clip(
        clip_id=match["id"],
        speaker=match["speaker"],
        label=_EMOTIONS[match["emotion"]],
        gender="male" if match["speaker"] in _MALE else "female",
        sentence=match["text"],
        repetition=match["version"],
    )


def expected_ids() -> frozenset[str]:
    """The 535 names: a selection by listeners, so no rule generates them."""
    return frozenset(importlib.resources.files(__package__).joinpath("emodb.txt").read_text().split())


EMODB = Corpus(
    name="emodb",
    title="EMO-DB",
    language="de",
    licence="free, no explicit licence",
    commercial=None,
    source="http://emodb.bilderbar.info",
    counts={
        "anger": 127,
        "happiness": 71,
        "sadness": 62,
        "fear": 69,
        "disgust": 46,
        "neutral": 79,
        "other": 81,
    },
    num_speakers=10,
    labels=("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"),
    layout="wav/SSTTTEv.wav, e.g. wav/03a01Wa.wav",
    read=by_name(parse),
    expected_ids=expected_ids,
)
