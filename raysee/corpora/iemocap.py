"""IEMOCAP, the interactive emotional dyadic motion capture database (Busso et al., 2008).

Ten actors in five sessions of two, improvised and scripted dialogs, American English, 16 kHz. A turn is called
SesSSW_DIALOG_TNNN: session, who wears the motion-capture markers (F or M), dialog, who talks (F or M), number:
Ses01F_impro01_M000 is the man of session 1, while the woman wears the markers. The listeners' label of a turn stands
only in SessionN/dialog/EmoEvaluation/*.txt; the folders below that one hold single ratings.

Of the 10,039 turns Keesing et al. 2020 take those labelled anger, sadness, neutral, happiness and excitement, with
excitement counted as happiness. Their code took the wearer of the markers for the speaker: `speaker_rule=paper` does
so too, and mixes the two talkers of a session; `real`, the default, takes who talks. Folds are by session either way.
"""

import functools
import re
from collections.abc import Mapping

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, Outcome, Reading, Tree
from raysee.corpora.labels import read_labels
from raysee.errors import CorpusError

_TAKEN = {"ang": "anger", "hap": "happiness", "exc": "happiness", "sad": "sadness", "neu": "neutral"}
_LEFT = {
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "another emotion",
    "xxx": "no agreement of the listeners",
}
# A letter behind the number tells two recordings of a dialog apart: impro08a, script01_1b.
_DIALOG = r"Ses0(?P<session>[1-5])(?P<wearer>[FM])_(?:impro0[1-9][ab]?|(?P<script>script0[1-3]_[1-3])b?)"
_TALKER = r"_(?P<talker>[FM])(?:\d{3}|XX\d)"
_TURN_PATH = re.compile(
    rf"(?:^|/)Session(?P<folder>[1-5])/sentences/wav/(?P<dialog>\w+)/(?P<id>{_DIALOG}{_TALKER}){ENDING}"
)
_DIALOG_PATH = re.compile(rf"(?:^|/)Session[1-5]/dialog/(?:.+/)?(?P<id>{_DIALOG}){ENDING}")
_EVALUATION_PATH = re.compile(r"(?:^|/)Session[1-5]/dialog/EmoEvaluation/[^/]+\.txt\Z")
_NUMBER = r"\d+\.\d+"
_LABEL_LINE = re.compile(
    rf"\[{_NUMBER} - {_NUMBER}\]\t(?P<id>{_DIALOG}{_TALKER})\t(?P<code>{'|'.join([*_TAKEN, *_LEFT])})"
    rf"\t\[{_NUMBER}, {_NUMBER}, {_NUMBER}\]"
)


def read(tree: Tree, options: Mapping[str, str]) -> Reading:
    """The reading of a tree with its label files; CorpusError where there is none, or a label line that is none."""
    files = [path for path in tree.paths if _EVALUATION_PATH.search(path)]
    if not files:
        raise CorpusError(
            "There is no SessionN/dialog/EmoEvaluation/*.txt, and only these files label the turns of IEMOCAP: "
            "point at the folder that holds Session1 to Session5, and copy their dialog folders along."
        )
    codes, named = read_labels(
        tree,
        files,
        is_label=lambda line: line.startswith("["),  # the rest are the header, single ratings, empty lines
        pattern=_LABEL_LINE,
        form=f"label line `[start - end] turn label [V, A, D]` with one of the labels {', '.join([*_TAKEN, *_LEFT])}",
        clip_id=lambda match: match["id"],
        taken=_TAKEN,
    )
    return Reading(functools.partial(_parse, codes=codes, rule=options["speaker_rule"]), named)


def _parse(path: str, codes: Mapping[str, str], rule: str) -> Outcome:
    if dialog := _DIALOG_PATH.search(path):
        return LeftOut(dialog["id"], "a whole dialog: the paper takes its turns")
    match = _TURN_PATH.search(path)
    if match is None or match["folder"] != match["session"] or match["dialog"] != match["id"].rpartition("_")[0]:
        return None
    code = codes.get(match["id"])
    if code is None:
        return LeftOut(match["id"], "no label line of dialog/EmoEvaluation names it")
    if code in _LEFT:
        return LeftOut(match["id"], f"labelled {code} ({_LEFT[code]}), which the paper does not take")
    return Clip(
        clip_id=match["id"],
        speaker=f"0{match['session']}{match['wearer' if rule == 'paper' else 'talker']}",
        label=_TAKEN[code],
        gender="male" if match["talker"] == "M" else "female",
        session=f"Ses0{match['session']}",
        sentence=match["script"],  # every session plays the same scripts
    )


IEMOCAP = Corpus(
    name="iemocap",
    title="IEMOCAP",
    language="en-US",
    licence="academic licence, by a release form",
    commercial=False,
    source="https://sail.usc.edu/iemocap",
    counts={"anger": 1103, "happiness": 1636, "sadness": 1084, "neutral": 1708},
    num_speakers=10,
    labels=("anger", "happiness", "sadness", "neutral"),
    layout="SessionN/sentences/wav/DIALOG/TURN.wav, with SessionN/dialog/EmoEvaluation/*.txt",
    read=read,
    group="session",
    options={"speaker_rule": ("real", "paper")},
)
