"""CREMA-D, crowd-sourced emotional multimodal actors (Cao et al., IEEE Trans. Affective Computing 2014).

7,442 clips, 91 actors, twelve sentences, six emotions, of which one has no sound and is left out. A file is called
AAAA_SSS_EEE_LL: actor, sentence, acted emotion, level. The same clips are published as wav at 16 kHz and as mp3 at
44.1 kHz; where a clip has both, the wav is taken.

Keesing et al. 2020 take the acted emotion. The option `label` takes what the raters voted for instead, from the voice,
the face or both, as processedResults/summaryTable.csv has it; a tie of the votes is the label "unknown". The actors'
genders are in VideoDemographics.csv.
"""

import csv
import io
import re
from collections.abc import Mapping

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, Outcome, Reading, Tree
from raysee.errors import CorpusError

_EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_VOTED = {acted[0]: label for acted, label in _EMOTIONS.items()}  # a vote is the first letter; a tie is "A:D"
_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}
_COLUMNS = {"voice": "VoiceVote", "face": "FaceVote", "multimodal": "MultiModalVote"}
_SILENT = "1076_MTI_SAD_XX"
_VOTES = "summaryTable.csv"
_ACTORS = "VideoDemographics.csv"
_PATH = re.compile(
    r"(?:^|(?:^|/)Audio(?P<tree>WAV|MP3)/)(?P<clip>(?P<actor>10(?:0[1-9]|[1-8]\d|9[01]))_"
    r"(?:(?P<graded>IEO)|(?P<plain>TIE|IOM|IWW|TAI|MTI|IWL|ITH|DFA|ITS|TSI|WSI))_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_)"
    r"(?P<level>XX?|(?(graded)(?:LO|MD|HI)|(?!)))" + ENDING
)


def read(tree: Tree, options: Mapping[str, str]) -> Reading:
    """The corpus with the label that `options` choose.

    Raises CorpusError where a table lacks a column, or where votes are chosen and their table is missing.
    """
    genders = {row["ActorID"]: row["Sex"].lower() for row in _rows(tree, _ACTORS, ("ActorID", "Sex"))[1]}
    wavs = {_clip_id(match) for path in tree.paths if (match := _PATH.search(path)) and match["tree"] != "MP3"}
    column = _COLUMNS.get(options["label"])
    place, labels = _votes(tree, column) if column else ("", None)

    def parse(path: str) -> Outcome:
        match = _PATH.search(path)
        if match is None:
            return None
        clip_id = _clip_id(match)
        if clip_id == _SILENT:
            return LeftOut(clip_id, "it has no audio signal")
        if match["tree"] == "MP3" and clip_id in wavs:
            return LeftOut(clip_id, "the same clip is there as wav")
        if labels is not None and clip_id not in labels:
            return LeftOut(clip_id, f"{place} has no votes on it")
        return Clip(
            clip_id=clip_id,
            speaker=match["actor"],
            label=_EMOTIONS[match["emotion"]] if labels is None else labels[clip_id],
            gender=genders.get(match["actor"]),
            sentence=match["graded"] or match["plain"],
            intensity=_INTENSITIES.get(match["level"]),
        )

    return Reading(parse, dict.fromkeys(labels or (), place))


def _clip_id(match: re.Match[str]) -> str:
    """The name as the tables have it: one file, 1040_ITH_SAD_X, lacks the last letter."""
    return match["clip"] + ("XX" if match["level"] == "X" else match["level"])


def _votes(tree: Tree, column: str) -> tuple[str, dict[str, str]]:
    """Where the votes are, and clip_id -> label of every clip that is not left out."""
    place, rows = _rows(tree, _VOTES, ("FileName", column))
    if not place:
        raise CorpusError(
            f"The votes of CREMA-D are in processedResults/{_VOTES}, and no such file is there: take the repository's "
            "whole tree, or the acted emotions by label=acted."
        )
    return place, {row["FileName"]: _VOTED.get(row[column], "unknown") for row in rows if row["FileName"] != _SILENT}


def _rows(tree: Tree, name: str, columns: tuple[str, ...]) -> tuple[str, list[dict[str, str]]]:
    """The path and the rows of the table of that name, "" and none where there is no such file."""
    place = next((path for path in tree.paths if path.rpartition("/")[2] == name), "")
    if not place:
        return "", []
    table = csv.DictReader(io.StringIO(tree.text(place), newline=""), restval="")
    if missing := set(columns) - set(table.fieldnames or ()):
        raise CorpusError(
            f"{place} has no column {', '.join(sorted(missing))}: take the file as it was published, with `git lfs "
            "pull` where it is a Git LFS pointer."
        )
    return place, [{column: row[column].strip() for column in columns} for row in table]


CREMAD = Corpus(
    name="cremad",
    title="CREMA-D",
    language="en-US",
    licence="Open Database License and Database Contents License",
    commercial=True,
    source="https://github.com/CheyneyComputerScience/CREMA-D",
    counts={
        "anger": 1271,
        "happiness": 1271,
        "sadness": 1270,
        "fear": 1271,
        "disgust": 1271,
        "neutral": 1087,
    },
    num_speakers=91,
    labels=tuple(_EMOTIONS.values()),
    layout="AudioWAV/AAAA_SSS_EEE_LL.wav, e.g. AudioWAV/1001_IEO_ANG_MD.wav",
    read=read,
    options={"label": ("acted", *_COLUMNS)},
)
