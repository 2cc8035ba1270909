"""SAVEE, the Surrey audio-visual expressed emotion database (Haq et al., 2008).

480 clips of four British men, 44.1 kHz: 15 sentences for each of six emotions, 30 for neutral. A file is called ENN
in its speaker's folder, DC/sa07.wav, or SS_ENN without folders, DC_sa07.wav: the emotion's letters and the number of
the sentence, which counts from 1 for each emotion. The clip_id has the speaker in both cases.
"""

import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, by_name

_EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
_SPEAKERS = ("DC", "JE", "JK", "KL")
_PATH = re.compile(
    rf"(?:^|/)(?P<speaker>{'|'.join(_SPEAKERS)})[/_]"
    r"(?P<sentence>(?:sa|su|[adfh])(?:0[1-9]|1[0-5])|n(?:0[1-9]|[12]\d|30))" + ENDING
)


def parse(path: str) -> Clip | None:
    """The clip of a path below the corpus's root, or None."""
    match = _PATH.search(path)
    if match is None:
        return None
    return Clip(
        clip_id=f"{match['speaker']}_{match['sentence']}",
        speaker=match["speaker"],
        label=_EMOTIONS[match["sentence"][:-2]],
        gender="male",
        sentence=match["sentence"],
    )


def expected_ids() -> frozenset[str]:
    """Four speakers, 15 sentences an emotion, 30 for neutral."""
    return frozenset(
        f"{speaker}_{code}{number:02d}"
        for speaker in _SPEAKERS
        for code in _EMOTIONS
        for number in range(1, 31 if code == "n" else 16)
    )


SAVEE = Corpus(
    name="savee",
    title="SAVEE",
    language="en-GB",
    licence="free for research, by registration",
    commercial=False,
    source="http://kahlan.eps.surrey.ac.uk/savee",
    counts={
        "anger": 60,
        "happiness": 60,
        "sadness": 60,
        "fear": 60,
        "surprise": 60,
        "disgust": 60,
        "neutral": 120,
    },
    num_speakers=4,
    labels=("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
    layout="AudioData/SS/ENN.wav or SS_ENN.wav, e.g. AudioData/DC/a01.wav",
    read=by_name(parse),
    expected_ids=expected_ids,
)
