"""TESS, the Toronto emotional speech set (Dupuis & Pichora-Fuller, 2011).

2,800 clips: two women, OAF of 64 and YAF of 26 years, say "Say the word ..." with 200 words in seven emotions, at
24,414 Hz. A file is called SPEAKER_word_emotion, where `ps` is pleasant surprise. Mirrors may hold every file twice, in
a folder within the folder, and some say OA for OAF: the clip_id is that of the right name, so that the second file is
a duplicate.
"""

import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, by_name

_EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
_PATH = re.compile(rf"(?:^|/)(?P<speaker>OAF?|YAF)_(?P<word>[a-z]+)_(?P<emotion>{'|'.join(_EMOTIONS)}){ENDING}")


def parse(path: str) -> Clip | None:
    """The clip of a path below the corpus's root, in whatever folder, or None."""
    match = _PATH.search(path)
    if match is None:
        return None
    speaker = "OAF" if match["speaker"] == "OA" else match["speaker"]
    return Clip(
        clip_id=f"{speaker}_{match['word']}_{match['emotion']}",
        speaker=speaker,
        label=_EMOTIONS[match["emotion"]],
        gender="female",
        sentence=match["word"],
    )


TESS = Corpus(
    name="tess",
    title="TESS",
    language="en-CA",
    licence="CC BY-NC-ND 4.0",
    commercial=False,
    source="https://tspace.library.utoronto.ca/handle/1807/24487",
    counts={
        "anger": 400,
        "happiness": 400,
        "sadness": 400,
        "fear": 400,
        "surprise": 400,
        "disgust": 400,
        "neutral": 400,
    },
    num_speakers=2,
    labels=("anger", "disgust", "fear", "happiness", "neutral", "surprise", "sadness"),
    layout="SPEAKER_word_emotion.wav in any folder, e.g. OAF_angry/OAF_back_angry.wav",
    read=by_name(parse),
)
