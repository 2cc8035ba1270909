"""SmartKom Public: SK-Public/SESSION/SESSIONd.wav, a whole session, and SESSION_SPK.par, what is said and felt in it.

A .par is a BAS Partitur file: a header (SAM is the sampling rate), then tiers. ORT is a word, TRN a turn (first sample,
samples, words, number), USH a state of the user (first sample, samples, label). The last sample of a segment is the
first plus their number. States do not keep to turns: some turns lie in two or three, and the one that covers most is
the label. SESSION_SMA.par is the machine's part. Labels are ASCII, with a quote before what was an umlaut or a sharp s:
`"Arger/Mi"serfolg`. That is the way of the BAS, and inferred: public readers strip quotes and look for Arger/Miserfolg.
"""

import dataclasses
from collections.abc import Sequence

from raysee.synthesis.layouts.layout import Clip, Layout, dealt, first, in_order
from raysee.synthesis.tract import SAMPLE_RATE_HZ
from raysee.synthesis.voice import Gender

STATES = {
    "anger": '"Arger/Mi"serfolg',
    "happiness": "Freude/Erfolg",
    "helplessness": "Ratlosigkeit",
    "surprise": '"Uberraschung/Verwunderung',
    "neutral": "Neutral",
    "pondering": '"Uberlegen/Nachdenken',
    "unknown": "Restklasse",
}
COUNTS = {
    "anger": 99,
    "happiness": 118,
    "helplessness": 54,
    "surprise": 9,
    "neutral": 1786,
    "pondering": 183,
    "unknown": 46,
}
SPEAKERS = tuple(
    f"A{second}{third}"
    for second in "ABCDEFGHIJK"
    for third in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if "AA" <= second + third <= "BS" or "IS" <= second + third <= "KG"
)
WORDS = ("<A>", "guten", "Tag")  # of every turn; what is in brackets is no word
GENDERS: tuple[Gender, Gender] = ("female", "male")
SESSIONS_A_SPEAKER = 2
UNLABELLED = "w200_pk"  # a session that nobody labelled
PAUSE = SAMPLE_RATE_HZ // 2


@dataclasses.dataclass(frozen=True)
class Turn:
    """A turn of a session: first sample, the one after the last, and the state that covers most of it."""

    start: int
    end: int
    state: str


def smartkom(speakers: int = len(SPEAKERS)) -> Layout:
    """The 2,295 turns of the paper in 172 sessions, and one session without labels, whose turns are left out."""
    chosen = first("speakers", speakers, SPEAKERS)
    states: dict[str, list[str]] = {}
    sessions = [f"w{number:03}_pk" for number in range(1, SESSIONS_A_SPEAKER * len(SPEAKERS) + 1)]
    in_all = in_order(COUNTS)
    # A stride without a factor of 2,295: a session's states come in no order.
    shuffled = [in_all[index * 1009 % len(in_all)] for index in range(len(in_all))]
    for state, session in zip(shuffled, dealt(len(shuffled), sessions), strict=True):
        states.setdefault(session, []).append(state)
    clips: list[Clip] = []
    files: dict[str, bytes] = {}
    for index, speaker in enumerate(chosen):
        own = sessions[SESSIONS_A_SPEAKER * index : SESSIONS_A_SPEAKER * (index + 1)]
        for session in [*own, UNLABELLED] if index == 0 else own:
            labelled = session != UNLABELLED
            turns = _turns(states[session] if labelled else ["neutral", "neutral"])
            clips += [_clip(session, speaker, GENDERS[index % 2], number, turn) for number, turn in enumerate(turns)]
            tiers = [*_turn_tier(turns), *(_state_tier(turns) if labelled else [])]
            folder = f"SK-Public/{session}/{session}"
            files[f"{folder}_{speaker}.par"] = _par(session, speaker, tiers)
            files[f"{folder}_SMA.par"] = _par(session, "SMA", ["TRN:\t0\t8000\t0\t000", "USH:\t0\t8000\tNeutral"])
    return Layout(tuple(clips), files)


def _turns(states: Sequence[str]) -> list[Turn]:
    turns, end = [], 0
    for number, state in enumerate(states):
        start = end + PAUSE
        end = start + SAMPLE_RATE_HZ + SAMPLE_RATE_HZ // 10 * (number % 6)
        turns.append(Turn(start, end, state))
    return turns


def _clip(session: str, speaker: str, gender: Gender, number: int, turn: Turn) -> Clip:
    unknown = turn.state == "unknown"
    return Clip(
        path=f"SK-Public/{session}/{session}d.wav",
        speaker=f"smartkom-{speaker}",
        gender=gender,
        sentence=f"smartkom-{session}-{number:03}",
        emotion="neutral" if unknown else turn.state,
        category="unknown" if unknown else None,
        left_out=session == UNLABELLED,
        span=(turn.start, turn.end),
    )


def _turn_tier(turns: Sequence[Turn]) -> list[str]:
    """The words, then the turns."""
    words = [f"ORT:\t{3 * turn + word}\t{text}" for turn in range(len(turns)) for word, text in enumerate(WORDS)]
    return words + [
        f"TRN:\t{turn.start}\t{turn.end - turn.start - 1}\t{3 * number},{3 * number + 1},{3 * number + 2}\t{number:03}"
        for number, turn in enumerate(turns)
    ]


def _state_tier(turns: Sequence[Turn]) -> list[str]:
    """States one after the other, from the first sample to the last.

    Of every four turns one lies in two states, the first of which is the shorter; of every twelve one has a state
    before and after another, longer than either and shorter than both.
    """
    borders: list[tuple[int, str]] = []  # where a state ends, and which
    for number, turn in enumerate(turns):
        length = turn.end - turn.start
        other = "neutral" if turn.state != "neutral" else "pondering"
        if number % 4 == 1:
            borders += [(turn.start + length * 3 // 10, other)]
        elif number % 12 == 3:
            borders += [(turn.start + length * 3 // 10, turn.state), (turn.start + length * 7 // 10, other)]
        borders.append((turn.end + PAUSE // 2, turn.state))
    lines, start = [], 0
    for end, state in borders:
        lines.append(f"USH:\t{start}\t{end - start - 1}\t{STATES[state]}")
        start = end
    return lines


def _par(session: str, speaker: str, tiers: Sequence[str]) -> bytes:
    header = [
        "LHD: Partitur 1.3",
        "REP: Muenchen",
        "SNB: 2",
        f"SAM: {SAMPLE_RATE_HZ}",
        "SBF: 01",
        "SSB: 16",
        "NCH: 1",
        f"SRC: {session}d.wav",
        f"SPN: {speaker}",
        "LBD:",
    ]
    return "".join(f"{line}\n" for line in [*header, *tiers]).encode()
