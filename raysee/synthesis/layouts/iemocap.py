"""IEMOCAP: SessionN/sentences/wav/DIALOG/TURN.wav, labelled in SessionN/dialog/EmoEvaluation/DIALOG.txt.

A dialog is Ses0NG_improNN or Ses0NG_scriptNN_N; G is who wears the markers of the motion capture. A turn is
DIALOG_GNNN; G is who speaks, and a few have XX0 for a number. Both talkers are in every dialog. The paper takes
anger, happiness with excitement, sadness and neutral, 5,531 turns; of the 4,508 others this tree has some 500.
What lies in the folders of EmoEvaluation is each annotator's view, not the label.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

from raysee.synthesis.layouts.layout import APPLE_DOUBLE, Clip, Layout, first, in_order, mixed

EMOTIONS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "excited",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "anger",
    "xxx": "neutral",
    "sur": "surprise",
    "fea": "fear",
    "oth": "boredom",
    "dis": "disgust",
}
#: Where the category is another word than the voice's; the paper takes excitement for happiness.
CATEGORIES = {"exc": "happiness", "fru": "frustration", "xxx": "no agreement", "oth": "other"}
WORDS = {
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "sad": "Sadness",
    "neu": "Neutral state",
    "fru": "Frustration",
    "xxx": "Neutral state; Sadness",
    "sur": "Surprise",
    "fea": "Fear",
    "oth": "Other",
    "dis": "Disgust",
}
TAKEN = {"ang": 1103, "hap": 595, "exc": 1041, "sad": 1084, "neu": 1708}
LEFT_OUT = {"fru": 185, "xxx": 251, "sur": 51, "fea": 20, "oth": 3, "dis": 2}
#: Turns that are taken: by session and who speaks, and by session and who wears the markers.
SPOKEN = {
    "1F": 528, "1M": 557, "2F": 481, "2M": 542, "3F": 522, "3M": 629, "4F": 528, "4M": 503, "5F": 590, "5M": 651,
}  # fmt: skip
WORN = {"1": (507, 578), "2": (505, 518), "3": (536, 615), "4": (553, 478), "5": (644, 597)}
SPEAKERS = tuple(f"0{name}" for name in SPOKEN)
DIALOGS = (
    *(f"impro{number:02}" for number in range(1, 9)),
    *("script01_1", "script01_2", "script01_3", "script02_1", "script02_2", "script03_1", "script03_2"),
)
WITHOUT_NUMBER = "script03_2"  # its first turn of each talker is XX0


@dataclasses.dataclass(frozen=True)
class Turn:
    """A turn of a dialog: its name, its label, and who speaks."""

    name: str
    code: str
    speaker: str


def iemocap(speakers: int = len(SPEAKERS)) -> Layout:
    """The 5,531 turns of the paper, 512 that it leaves out, and the annotations of both."""
    chosen = set(first("speakers", speakers, SPEAKERS))
    clips: list[Clip] = []
    files: dict[str, bytes] = {}
    for dialog, all_turns in sorted(_dialogs().items()):
        turns = [turn for turn in all_turns if turn.speaker in chosen]
        if not turns:
            continue
        session = f"Session{dialog[4]}"
        clips += [_clip(session, dialog, turn) for turn in turns]
        evaluation = f"{session}/dialog/EmoEvaluation"
        files[f"{evaluation}/{dialog}.txt"] = _evaluation(turns)
        files[f"{evaluation}/._{dialog}.txt"] = APPLE_DOUBLE
        files[f"{evaluation}/Categorical/{dialog}_e2_cat.txt"] = _lines(f"{turn.name} :Other; ()" for turn in turns)
        files[f"{evaluation}/Attribute/{dialog}_e2_atr.txt"] = _lines(
            f"{turn.name} :act  3; :val  2; :dom  3; ()" for turn in turns
        )
        files[f"{session}/dialog/transcriptions/{dialog}.txt"] = _lines(
            f"{turn.name} [{start:08.4f}-{end:08.4f}]: Words of a made-up language."
            for turn, (start, end) in zip(turns, _times(turns), strict=True)
        )
    return Layout(tuple(clips), files)


def _dialogs() -> dict[str, list[Turn]]:
    """Every dialog and its turns."""
    dialogs: dict[str, list[Turn]] = {}
    dealt: collections.Counter[str] = collections.Counter()
    counted: collections.Counter[str] = collections.Counter()
    for code, session, talker, wearer in [*_taken(), *_left_out()]:
        names = [*DIALOGS, "script01_1b"] if session + wearer == "5M" else DIALOGS
        name = names[dealt[session + wearer] % len(names)]
        dealt[session + wearer] += 1
        dialog = f"Ses0{session}{wearer}_{name}"
        number = counted[dialog + talker]
        counted[dialog + talker] += 1
        numbered = "XX0" if number == 0 and name == WITHOUT_NUMBER else f"{number:03}"
        turn = Turn(f"{dialog}_{talker}{numbered}", code, f"0{session}{talker}")
        dialogs.setdefault(dialog, []).append(turn)
    return dialogs


def _taken() -> Iterator[tuple[str, str, str, str]]:
    """Label, session, who speaks, who wears the markers, of the turns that the paper takes."""
    counted: collections.Counter[str] = collections.Counter()
    for code, name in zip(in_order(TAKEN), mixed(SPOKEN), strict=True):
        session, talker = name[0], name[1]
        in_all = sum(WORN[session])
        # A stride that has no factor in common with any session goes through all of it, in another order.
        place = counted[session] * 397 % in_all
        counted[session] += 1
        yield code, session, talker, "F" if place < WORN[session][0] else "M"


def _left_out() -> Iterator[tuple[str, str, str, str]]:
    codes = in_order(LEFT_OUT)
    talkers = [(session, talker) for session in WORN for talker in "FM"]
    for index, (code, (session, talker)) in enumerate(zip(codes, itertools.cycle(talkers), strict=False)):
        yield code, session, talker, "FM"[index // len(talkers) % 2]


def _clip(session: str, dialog: str, turn: Turn) -> Clip:
    return Clip(
        path=f"{session}/sentences/wav/{dialog}/{turn.name}.wav",
        speaker=f"iemocap-{turn.speaker}",
        gender="female" if turn.speaker.endswith("F") else "male",
        sentence=f"iemocap-{turn.name}",
        emotion=EMOTIONS[turn.code],
        category=CATEGORIES.get(turn.code),
        left_out=turn.code in LEFT_OUT,
    )


def _evaluation(turns: Sequence[Turn]) -> bytes:
    """The label of each turn and the mean of its attributes, then what each annotator and the talker said of it."""
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for index, (turn, (start, end)) in enumerate(zip(turns, _times(turns), strict=True)):
        values = ", ".join(f"{2 + (index + shift) % 5 / 2:.4f}" for shift in range(3))
        lines.append(f"[{start:.4f} - {end:.4f}]\t{turn.name}\t{turn.code}\t[{values}]")
        word = WORDS[turn.code]
        # The label is the majority's: one in three sees something else.
        lines += [f"C-E2:\t{word};\t()", f"C-E3:\t{word};\t()", "C-E4:\tOther;\t(tired)"]
        lines += [f"C-{turn.speaker[-1]}1:\tNeutral state; Frustration;\t()"]
        lines += [f"A-E{annotator}:\tval 2; act 3; dom  {annotator};\t()" for annotator in (3, 4)]
        lines += [f"A-{turn.speaker[-1]}1:\tval 3; act 2; dom  ;\t()", ""]
    return _lines(lines)


def _times(turns: Sequence[Turn]) -> list[tuple[float, float]]:
    """Start and end in seconds of the dialog, which is not recorded here: a made-up one."""
    return [(6.2901 + 4.5 * index, 6.2901 + 4.5 * index + 1.5 + index % 7 * 0.4) for index in range(len(turns))]


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
