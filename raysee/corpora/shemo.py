"""ShEMO, the Sharif emotional speech database (Mohamad Nezami et al., 2019).

3,000 clips of Persian radio plays by 87 speakers, cut from 44.1 kHz sound. A file is called GSSENN: gender, speaker
of that gender, letter of the emotion, number: F01A02.wav is an angry clip of the first woman. Keesing et al. 2020 take
all but the 38 clips of fear, 2,962. The later release with shemo.json has fewer sounds and cannot meet their counts.
"""

import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, Outcome, by_name

_EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness", "W": "surprise"}
_PATH = re.compile(
    r"(?:^|/)(?:female/(?=F)|male/(?=M))"
    r"(?P<id>(?P<speaker>F(?:0[1-9]|[12]\d|3[01])|M(?:0[1-9]|[1-4]\d|5[0-6]))(?P<emotion>[AHNSWF])\d\d)" + ENDING
)


def parse(path: str) -> Outcome:
    """The clip of a path below the corpus's root, LeftOut for one of fear, or None."""
    match = _PATH.search(path)
    if match is None:
        return None
    if match["emotion"] == "F":
        return LeftOut(match["id"], "fear: the paper leaves it out")
    return Clip(
        clip_id=match["id"],
        speaker=match["speaker"],
        label=_EMOTIONS[match["emotion"]],
        gender="male" if match["speaker"].startswith("M") else "female",
    )


SHEMO = Corpus(
    name="shemo",
    title="ShEMO",
    language="fa",
    licence="free for academic use; a copy says Apache-2.0",
    commercial=None,
    source="https://github.com/pariajm/sharif-emotional-speech-database",
    counts={"anger": 1059, "happiness": 201, "sadness": 449, "surprise": 225, "neutral": 1028},
    num_speakers=87,
    labels=("anger", "happiness", "neutral", "sadness", "surprise"),
    layout="male/MSSENN.wav and female/FSSENN.wav, e.g. female/F01A02.wav",
    read=by_name(parse),
)
