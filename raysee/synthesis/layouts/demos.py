"""DEMoS: DEMOS/PP_g_SS_eeeNNx.wav, of kind, gender, speaker, emotion, number, letter.

PR is prototypical, which the paper takes; NP is not, and NEU/ has the neutral speech. Those are thousands in the real
corpus, and here some of each speaker's.
"""

import collections
from collections.abc import Iterator, Sequence

from raysee.synthesis.layouts.layout import Clip, Layout, dealt, first, in_order
from raysee.synthesis.voice import Gender

MALE = (
    "02 03 04 05 08 09 10 11 12 14 15 16 18 19 23 24 25 26 27 28 30 33 34 39 41 50 51 52 53 58 59 63 64 65 66 67 68 69"
)
FEMALE = "01 17 21 22 29 31 36 37 38 40 43 45 46 47 49 54 55 56 57 60 61"
SPEAKERS = tuple(sorted([*MALE.split(), *FEMALE.split()]))
EMOTIONS = {
    "rab": "anger",
    "gio": "happiness",
    "tri": "sadness",
    "pau": "fear",
    "sor": "surprise",
    "dis": "disgust",
    "col": "guilt",
}
PROTOTYPICAL = {"rab": 246, "gio": 167, "tri": 422, "pau": 177, "sor": 203, "dis": 140, "col": 209}
OTHER_A_SPEAKER = 7
NEUTRAL_A_SPEAKER = 2


def demos(speakers: int = len(SPEAKERS)) -> Layout:
    """The 1,564 prototypical clips of the paper, and 59 x 9 that it leaves out."""
    chosen = set(first("speakers", speakers, SPEAKERS))
    return Layout(tuple(clip for clip in _clips() if clip.speaker.removeprefix("demos-") in chosen))


def _clips() -> Iterator[Clip]:
    codes = in_order(PROTOTYPICAL)
    yield from _named("DEMOS/PR_", codes, dealt(len(codes), SPEAKERS))
    for number in range(OTHER_A_SPEAKER):
        # Each speaker begins with another emotion.
        codes = [list(EMOTIONS)[(number + index) % len(EMOTIONS)] for index in range(len(SPEAKERS))]
        yield from _named("DEMOS/NP_", codes, SPEAKERS, left_out=True)
    neutral = NEUTRAL_A_SPEAKER * len(SPEAKERS)
    yield from _named("NEU/PR_", ["neu"] * neutral, dealt(neutral, SPEAKERS), left_out=True)


def _named(prefix: str, codes: Sequence[str], speakers: Sequence[str], *, left_out: bool = False) -> Iterator[Clip]:
    """One clip for each pair of an emotion and a speaker."""
    counted: collections.Counter[tuple[str, str]] = collections.Counter()
    for code, speaker in zip(codes, speakers, strict=True):
        gender: Gender = "male" if speaker in MALE.split() else "female"
        number = counted[code, speaker]
        counted[code, speaker] += 1
        name = f"{prefix}{gender[0]}_{speaker}_{code}{number // 3 + 1:02}{'abc'[number % 3]}.wav"
        yield Clip(
            path=name,
            speaker=f"demos-{speaker}",
            gender=gender,
            sentence=f"demos-{name}",
            emotion=EMOTIONS.get(code, "neutral"),
            intensity=1.0 if "PR_" in prefix else 0.5,
            left_out=left_out,
        )
