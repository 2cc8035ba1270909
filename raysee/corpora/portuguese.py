"""Portuguese sentences and pseudo-sentences of Castro & Lima (Behavior Research Methods 42, 2010).

368 clips that listeners recognised, 190 of sentences and 178 of pseudo-sentences, by two speakers in seven emotions. A
file is called like 12sA_angry3: number, s for a sentence or p for a pseudo-sentence, speaker, emotion, number. They
come in two archives, each with a tab-separated table of its stimuli that says which sentence was spoken and how
intense listeners found it (1 to 7): clips have both where a table is there. The speakers' genders are not known.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from raysee.corpora.corpus import ENDING, Clip, Corpus, Reading, Tree

_EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "neutral": "neutral",
    "surprise": "surprise",
}
_PATH = re.compile(
    r"(?:^|/)(?P<id>\d+[sp](?P<speaker>[AB])_(?P<emotion>angry|disgust|fear|happy|sad|neutral|surprise)\d+)" + ENDING
)
_TABLE = re.compile(r"(?:^|/)\s*Castro_2010_AppxB_(?:Sents|Pseudosents)\.txt\Z")


class _Stimulus(NamedTuple):
    sentence: str | None = None
    intensity: str | None = None


def read(tree: Tree, options: Mapping[str, str]) -> Reading:
    """The corpus, with sentences and intensities where its tables are there; it has no options."""
    stimuli = {
        name: stimulus for path in tree.paths if _TABLE.search(path) for name, stimulus in _stimuli(tree, path).items()
    }

    def parse(path: str) -> Clip | None:
        match = _PATH.search(path)
        if match is None:
            return None
        stimulus = stimuli.get(match["id"], _Stimulus())
        return Clip(
            clip_id=match["id"],
            speaker=match["speaker"],
            label=_EMOTIONS[match["emotion"]],
            sentence=stimulus.sentence,
            intensity=stimulus.intensity,
        )

    return Reading(parse)


def _stimuli(tree: Tree, path: str) -> dict[str, _Stimulus]:
    """The stimuli of a table by name: what stands below the line that has a column Stimulus, which is not the first."""
    rows = [[cell.strip() for cell in line.split("\t")] for line in tree.text(path, "latin-1").split("\n")]
    head = next((number for number, row in enumerate(rows) if "Stimulus" in row), len(rows))
    cells = [dict(zip(rows[head], row, strict=False)) for row in rows[head + 1 :]]
    return {
        stimulus["Stimulus"]: _Stimulus(stimulus.get("Content") or None, stimulus.get("Intensity (1-7)") or None)
        for stimulus in cells
        if stimulus.get("Stimulus")
    }


PORTUGUESE = Corpus(
    name="portuguese",
    title="Portuguese (Castro & Lima)",
    language="pt-PT",
    licence="supplementary material of the journal, no explicit licence",
    commercial=None,
    source="https://doi.org/10.3758/BRM.42.1.74",
    counts={
        "anger": 63,
        "happiness": 46,
        "sadness": 59,
        "fear": 41,
        "surprise": 64,
        "disgust": 35,
        "neutral": 60,
    },
    num_speakers=2,
    labels=tuple(_EMOTIONS.values()),
    layout="NNsA_emotionN.wav or NNpB_emotionN.wav, e.g. 12sA_angry3.wav",
    read=read,
)
