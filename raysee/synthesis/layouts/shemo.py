"""ShEMO: male or female/GSSENN.wav, of gender, speaker, emotion, number; transcripts in Persian.

The paper takes the release of 3,000 files and leaves out fear, which has 38. A transcript is UTF-8 with a byte-order
mark. Here everybody shows every emotion; in the real corpus many show one or two.
"""

import collections

from raysee.synthesis.layouts.layout import APPLE_DOUBLE, Clip, Layout, dealt, first, in_order, mixed
from raysee.synthesis.voice import Gender

GENDERS: dict[str, Gender] = {"F": "female", "M": "male"}
NUMBERS = {"F": 31, "M": 56}
EMOTIONS = {"A": "anger", "H": "happiness", "S": "sadness", "W": "surprise", "N": "neutral", "F": "fear"}
COUNTS = {"A": 1059, "H": 201, "S": 449, "W": 225, "N": 1028, "F": 38}
WORDS = "\u0627\u06cc\u0646 \u0635\u062f\u0627 \u0633\u0627\u062e\u062a\u06af\u06cc \u0627\u0633\u062a"


def _speakers() -> tuple[str, ...]:
    """F01 to F31 and M01 to M56, mixed, so that the first few are of both genders."""
    counted: collections.Counter[str] = collections.Counter()
    names = []
    for letter in mixed(NUMBERS):
        counted[letter] += 1
        names.append(f"{letter}{counted[letter]:02}")
    return tuple(names)


SPEAKERS = _speakers()


def shemo(speakers: int = len(SPEAKERS)) -> Layout:
    """The 2,962 clips of the paper, the 38 of fear, and the transcripts."""
    chosen = set(first("speakers", speakers, SPEAKERS))
    counted: collections.Counter[tuple[str, str]] = collections.Counter()
    clips, files = [], {"female/._F01A01.wav": APPLE_DOUBLE}
    codes = in_order(COUNTS)
    for code, speaker in zip(codes, dealt(len(codes), SPEAKERS), strict=True):
        counted[code, speaker] += 1
        if speaker not in chosen:
            continue
        stem = f"{speaker}{code}{counted[code, speaker]:02}"
        gender = GENDERS[speaker[0]]
        clips.append(
            Clip(
                path=f"{gender}/{stem}.wav",
                speaker=f"shemo-{speaker}",
                gender=gender,
                sentence=f"shemo-{stem}",
                emotion=EMOTIONS[code],
                left_out=code == "F",
            )
        )
        files[f"transcript/final text/{stem}.ort"] = f"\ufeff{WORDS}\r\n".encode()
    return Layout(tuple(clips), files)
