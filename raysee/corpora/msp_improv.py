"""MSP-IMPROV, an acted corpus of dyadic interactions (Busso et al., IEEE TAC 2017).

8,438 turns of twelve actors in six sessions of two, American English. A turn is called
MSP-IMPROV-SNNE-PPP-C-DDKK: sentence and intended emotion of the scene, speaker, condition, direction of talk, number:
MSP-IMPROV-S01A-F01-P-FM01. What the listeners heard stands in one file, a block a turn: a line that begins with the
turn's name, UTD- in the place of MSP-, and the label, then a line a listener. The file is called Evaluation.txt, or
Evalution.txt in some copies.

Keesing et al. 2020 take the 7,798 turns labelled anger, happiness, sadness and neutral, not the intended emotion.
Most turns do not hold the sentence of their scene, and which do is not written down: `sentence` is left empty.
"""

import functools
import re
from collections.abc import Mapping

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, Outcome, Reading, Tree
from raysee.corpora.labels import read_labels
from raysee.errors import CorpusError

_TAKEN = {"A": "anger", "H": "happiness", "S": "sadness", "N": "neutral"}
_LEFT = {"O": "another emotion", "X": "no agreement of the listeners"}
_SCENE = r"S(?:0[1-9]|1\d|20)[AHSN]"
_PATH = re.compile(
    rf"(?:^|/)session(?P<session>[1-6])/(?P<scene>{_SCENE})/(?P<condition>[A-Z])/"
    r"(?P<id>MSP-IMPROV-(?P=scene)-(?P<speaker>(?P<gender>[FM])0(?P=session))-(?P=condition)-[FM]{2}\d{2,})" + ENDING
)
_VIDEO_PATH = re.compile(r"(?:^|/)(?P<id>UTD-IMPROV-[\w-]+)\.(?i:avi)\Z")
_EVALUATION_PATH = re.compile(r"(?:^|/)Evalua?tion\.txt\Z")
_VALUE = r"\s*(?:-?\d+(?:\.\d+)?|NaN)\s*;"
_HEADER = re.compile(
    rf"UTD-(?P<id>IMPROV-{_SCENE}-[FM]0[1-6]-[A-Z]-[FM]{{2}}\d{{2,}})\.avi;\s*(?P<code>[AHSNOX])\s*;"
    rf"\s*A:{_VALUE}\s*V:{_VALUE}\s*D:{_VALUE}(?:\s*N:{_VALUE})?"
)


def read(tree: Tree, options: Mapping[str, str]) -> Reading:
    """The reading of a tree with its evaluations; CorpusError where they are missing or hold a header that is none."""
    files = [path for path in tree.paths if _EVALUATION_PATH.search(path)]
    if not files:
        raise CorpusError(
            "There is no Evaluation.txt, and only this file labels the turns of MSP-IMPROV: "
            "point at the folder that holds it and session1 to session6."
        )
    codes, named = read_labels(
        tree,
        files,
        is_label=lambda line: "-IMPROV-" in line,  # the rest are what single listeners heard, and empty lines
        pattern=_HEADER,
        form="`UTD-IMPROV-ID.avi; LABEL; A:x; V:x; D:x ; N:x;` with one of the labels A, H, S, N, O, X",
        clip_id=lambda match: f"MSP-{match['id']}",
        taken=_TAKEN,
    )
    return Reading(functools.partial(_parse, codes=codes), named)


def _parse(path: str, codes: Mapping[str, str]) -> Outcome:
    if video := _VIDEO_PATH.search(path):
        return LeftOut(video["id"], "a video: the sound of the turn is a file of its own")
    match = _PATH.search(path)
    if match is None:
        return None
    code = codes.get(match["id"])
    if code is None:
        return LeftOut(match["id"], "Evaluation.txt does not name it")
    if code in _LEFT:
        return LeftOut(match["id"], f"labelled {code} ({_LEFT[code]}), which the paper does not take")
    return Clip(
        clip_id=match["id"],
        speaker=match["speaker"],
        label=_TAKEN[code],
        gender="male" if match["gender"] == "M" else "female",
        session=f"session{match['session']}",
    )


MSP_IMPROV = Corpus(
    name="msp_improv",
    title="MSP-IMPROV",
    language="en-US",
    licence="academic licence, signed by the institution",
    commercial=False,
    source="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
    counts={"anger": 792, "happiness": 2644, "sadness": 885, "neutral": 3477},
    num_speakers=12,
    labels=("anger", "happiness", "sadness", "neutral"),
    layout="sessionN/SNNE/C/MSP-IMPROV-SNNE-PPP-C-DDKK.wav, with Evaluation.txt",
    read=read,
    group="session",
)
