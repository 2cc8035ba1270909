"""DEMoS, the database of elicited mood in speech (Parada-Cabaleiro et al., Language Resources and Evaluation 2020).

9,365 Italian clips of 68 speakers whose moods were elicited, and 332 neutral ones. A file is called PP_g_SS_eeeNNx: PR
for the prototypical clips that listeners selected or NP for the rest, gender, speaker, the first letters of the
emotion's Italian name, number. Keesing et al. 2020 take the prototypical clips without the neutral ones: 1,564 of 59
speakers.
"""

import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, by_name

_EMOTIONS = {
    "rab": "anger",  # rabbia
    "tri": "sadness",  # tristezza
    "gio": "happiness",  # gioia
    "pau": "fear",  # paura
    "dis": "disgust",  # disgusto
    "col": "guilt",  # colpa
    "sor": "surprise",  # sorpresa
}
_GENDERS = {"f": "female", "m": "male"}
_WITHOUT_PROTOTYPICAL = {6, 7, 13, 20, 32, 35, 42, 44, 48, 62}
_SPEAKERS = frozenset(f"{number:02d}" for number in range(1, 70) if number not in _WITHOUT_PROTOTYPICAL)
_PATH = re.compile(
    r"(?:^|/)(?P<id>(?:(?P<kind>PR|NP)_)?"
    r"(?P<gender>[fm])_(?P<speaker>\d\d)_(?P<emotion>rab|tri|gio|pau|dis|col|sor|neu)\d\d[a-z])" + ENDING
)


def parse(path: str) -> Clip | LeftOut | None:
    """The clip of a path below the corpus's root, what the paper leaves out, or None."""
    match = _PATH.search(path)
    if match is None:
        return None
    if match["emotion"] == "neu":
        return LeftOut(match["id"], "the neutral clips are not taken")
    if match["kind"] == "NP":
        return LeftOut(match["id"], "not prototypical: only what listeners selected (PR_) is taken")
    if match["kind"] is None or match["speaker"] not in _SPEAKERS:
        return None
    return Clip(
        clip_id=match["id"],
        speaker=match["speaker"],
        label=_EMOTIONS[match["emotion"]],
        gender=_GENDERS[match["gender"]],
    )


DEMOS = Corpus(
    name="demos",
    title="DEMoS",
    language="it",
    licence="end-user licence agreement, to be signed by an academic in permanent position",
    commercial=None,
    source="https://zenodo.org/record/2544829",
    counts={
        "anger": 246,
        "happiness": 167,
        "sadness": 422,
        "fear": 177,
        "surprise": 203,
        "disgust": 140,
        "other": 209,
    },
    num_speakers=len(_SPEAKERS),
    labels=tuple(_EMOTIONS.values()),
    layout="DEMOS/PR_g_SS_eeeNNx.wav, e.g. DEMOS/PR_f_01_rab01a.wav",
    read=by_name(parse),
)
