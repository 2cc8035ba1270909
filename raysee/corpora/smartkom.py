"""SmartKom Public, people who talk to a system that somebody else played (Schiel et al., LREC 2002).

86 users, German, one recording a session. Beside the sound lies a BAS Partitur file for each speaker, text of a line
an entry, SESSION_SPK.par; that of the speaker SMA is the system's. Read are SAM (samples a second), USH (start and
duration of a stretch of one user state, in samples, and the state) and TRN (start and duration of a turn). A duration
counts from the first to the last sample, so that a stretch ends before sample start + duration + 1.

A clip is a turn, and its label the state that covers most of it; the earlier one where two cover the same. A turn
that no state touches has no label and is no clip. Keesing et al. 2020 count helplessness as sadness, pondering as
other, and train the rest class as unknown: 2,295 clips.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from raysee.corpora.corpus import Clip, Corpus, LeftOut, Outcome, Reading, Tree
from raysee.errors import CorpusError


def _plain(state: str) -> str:
    """A user state without case and umlauts: the files and their copies spell it in several ways."""
    letters = unicodedata.normalize("NFKD", state.casefold())
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    letters = letters.replace('"', "")  # BAS's ASCII for umlauts and sharp s: "A, "s
    return re.sub(r"([aou])e", r"\1", letters).replace("ss", "s").replace("_", "/")


_STATES = {
    _plain("Neutral"): "neutral",
    _plain("Freude/Erfolg"): "happiness",
    _plain("Ratlosigkeit"): "helplessness",
    _plain("Ueberlegen/Nachdenken"): "pondering",
    _plain("Aerger/Misserfolg"): "anger",
    _plain("Ueberraschung/Verwunderung"): "surprise",
    _plain("Restklasse"): "unknown",
}
_SESSION = r"(?P<session>[a-z]\d{3}_[a-z]{2})"
_SOUND_PATH = re.compile(rf"(?P<folder>(?:.*/)?{_SESSION})/(?P<id>(?P=session)[a-z])\.(?i:wav)")
_PAR_PATH = re.compile(rf"(?P<folder>(?:.*/)?{_SESSION})/(?P=session)_(?P<speaker>(?!SMA)[A-Z]{{3}})\.par")
_LINES = {
    "SAM": re.compile(r"SAM:\s+(?P<rate>[1-9]\d*)"),
    "USH": re.compile(r"USH:\s+(?P<start>\d+)\s+(?P<duration>\d+)\s+(?P<state>\S+)(?:\s.*)?"),
    "TRN": re.compile(r"TRN:\s+(?P<start>\d+)\s+(?P<duration>\d+)\s+-?\d+(?:,-?\d+)*\s+\S+"),
}


class _Stretch(NamedTuple):
    start: int  # samples
    end: int  # the first sample after it
    label: str = ""


def read(tree: Tree, options: Mapping[str, str]) -> Reading:
    """The reading of a tree with its Partitur files; CorpusError where there is none, or one that cannot be read."""
    clips: dict[str, list[Clip]] = {}  # by the folder of a session
    named: dict[str, str] = {}
    for path in tree.paths:
        if match := _PAR_PATH.fullmatch(path):
            turns = _turns(tree, path, match["session"], match["speaker"])
            clips.setdefault(match["folder"], []).extend(turns)
            named.update((clip.clip_id, path) for clip in turns)
    if not clips:
        raise CorpusError(
            "There is no SESSION/SESSION_SPK.par, and only these files label the turns of SmartKom: "
            "point at the folder that holds the sessions, and copy the .par files along."
        )
    return Reading(functools.partial(_parse, clips=clips), named)


def _parse(path: str, clips: Mapping[str, list[Clip]]) -> Outcome:
    match = _SOUND_PATH.fullmatch(path)
    if match is None:
        return None
    if match["folder"] not in clips:
        return LeftOut(match["id"], "no .par file of a user beside it names its turns")
    return clips[match["folder"]] or LeftOut(
        match["id"], "the .par file beside it has no USH or no TRN line, or no turn within a user state"
    )


def _turns(tree: Tree, path: str, session: str, speaker: str) -> list[Clip]:
    """The labelled turns of a Partitur file, numbered as they stand in it."""
    rate: int | None = None
    states: list[_Stretch] = []
    turns: list[_Stretch] = []
    for number, line in enumerate(map(str.strip, _text(tree, path).split("\n")), 1):
        tier = line[:4].removesuffix(":")
        if tier not in _LINES:
            continue
        match = _LINES[tier].fullmatch(line)
        if match is None:
            raise CorpusError(
                f"{path}, line {number}: {line!r} is no {tier} line of a BAS Partitur file: "
                "take the file as it was published."
            )
        if tier == "SAM":
            rate = int(match["rate"])
            continue
        start = int(match["start"])
        end = start + int(match["duration"]) + 1
        if tier == "TRN":
            turns.append(_Stretch(start, end))
        elif (state := _plain(match["state"])) in _STATES:
            states.append(_Stretch(start, end, _STATES[state]))
        else:
            raise CorpusError(
                f"{path}, line {number}: the user state {match['state']!r} is none of the seven of SmartKom "
                f"({', '.join(_STATES)}): take the file as it was published."
            )
    if not states or not turns:
        return []
    if rate is None:
        raise CorpusError(
            f"{path} has no SAM line, so that nobody knows its samples a second: take the file as it was published."
        )
    states.sort()
    labels = [_majority(turn, states) for turn in turns]
    return [
        Clip(
            clip_id=f"{session}_{speaker}_{index:03d}",
            speaker=speaker,
            label=label,
            session=session,
            start_s=turn.start / rate,
            end_s=turn.end / rate,
        )
        for index, (turn, label) in enumerate(zip(turns, labels, strict=True))
        if label is not None
    ]


def _majority(turn: _Stretch, states: list[_Stretch]) -> str | None:
    """The state that most samples of the turn are in, the earlier one of two; None where none touches it."""
    samples: dict[str, int] = {}
    for state in states:
        if (overlap := min(turn.end, state.end) - max(turn.start, state.start)) > 0:
            samples[state.label] = samples.get(state.label, 0) + overlap
    return max(samples, key=lambda label: samples[label], default=None)


def _text(tree: Tree, path: str) -> str:
    try:
        return tree.text(path)
    except CorpusError:
        return tree.text(path, "latin-1")  # the encoding of the first copies


SMARTKOM = Corpus(
    name="smartkom",
    title="SmartKom (Public)",
    language="de",
    licence="academic licence of the BAS",
    commercial=False,
    source="https://clarin.phonetik.uni-muenchen.de/BASRepository",
    counts={
        "anger": 99,
        "happiness": 118,
        "sadness": 54,
        "surprise": 9,
        "neutral": 1786,
        "other": 183,
        "unknown": 46,
    },
    num_speakers=86,
    labels=("neutral", "happiness", "helplessness", "pondering", "anger", "surprise", "unknown"),
    layout="SK-Public/SESSION/SESSIONc.wav with SESSION/SESSION_SPK.par, e.g. w001_pk/w001_pkd.wav, w001_pk_AAA.par",
    read=read,
)
