"""MSP-IMPROV: sessionN/SNNE/C/MSP-IMPROV-SNNE-GNN-C-GGNN.wav, labelled in Evaluation.txt.

Sentence and intended emotion, speaker (the number is the session's), condition, and the turn: who to whom, number. The
conditions are R (the target sentence read), T (improvised), S (the rest of the improvisation) and P (between the
recordings); the counts are those of Busso et al. 2017, "MSP-IMPROV". The label is the listeners', and often not the
intended emotion; the paper takes anger, happiness, sadness and neutral, not O (other) and X (no agreement).
"""

import collections

from raysee.synthesis.layouts.layout import Clip, Layout, dealt, first, in_order

EMOTIONS = {"A": "anger", "H": "happiness", "S": "sadness", "N": "neutral", "O": "boredom", "X": "neutral"}
#: Categories that the voice has no word for.
CATEGORIES = {"O": "other", "X": "no agreement"}
WORDS = {"A": "Angry", "H": "Happy", "S": "Sad", "N": "Neutral", "O": "Other", "X": "Neutral"}
COUNTS = {
    "T": {"A": 115, "S": 106, "H": 136, "N": 283, "O": 5, "X": 7},
    "R": {"A": 169, "S": 80, "H": 88, "N": 241, "O": 20, "X": 22},
    "S": {"A": 470, "S": 633, "H": 1048, "N": 1789, "O": 200, "X": 241},
    "P": {"A": 38, "S": 66, "H": 1372, "N": 1164, "O": 60, "X": 85},
}
SPEAKERS = tuple(f"{letter}{session:02}" for session in range(1, 7) for letter in "FM")
INTENSITIES = {"T": 1.0, "R": 0.8, "S": 1.0, "P": 0.6}
SENTENCES = 20
INTENDED = "AHSN"


def msp_improv(speakers: int = len(SPEAKERS)) -> Layout:
    """The 7,798 clips of the paper, 640 of other labels, and the evaluation of both."""
    chosen = set(first("speakers", speakers, SPEAKERS))
    clips, blocks = [], []
    for condition, counts in COUNTS.items():
        turns: collections.Counter[str] = collections.Counter()
        for index, (code, speaker) in enumerate(
            zip(in_order(counts), dealt(sum(counts.values()), SPEAKERS), strict=True)
        ):
            scene = f"S{index // 12 % SENTENCES + 1:02}{_intended(code, index // 12)}"
            turns[scene + speaker] += 1
            direction = "FM" if speaker.startswith("F") else "MF"
            name = f"{scene}-{speaker}-{condition}-{direction}{turns[scene + speaker]:02}"
            if speaker not in chosen:
                continue
            improvised = condition in "SP"
            clips.append(
                Clip(
                    path=f"session{int(speaker[1:])}/{scene}/{condition}/MSP-IMPROV-{name}.wav",
                    speaker=f"msp-{speaker}",
                    gender="female" if speaker.startswith("F") else "male",
                    sentence=f"msp-{name}" if improvised else f"msp-{scene[:3]}",
                    emotion=EMOTIONS[code],
                    intensity=INTENSITIES[condition],
                    take=index,
                    category=CATEGORIES.get(code),
                    left_out=code in "OX",
                )
            )
            blocks.append(_block(name, code, index))
    return Layout(tuple(clips), {"Evaluation.txt": "\n".join(blocks).encode()})


def _intended(code: str, turn: int) -> str:
    """What was to be played: what was heard, but for a third of the turns."""
    return INTENDED[turn // 3 % 4] if turn % 3 == 0 or code in "OX" else code


def _block(name: str, code: str, index: int) -> str:
    """One turn's evaluation: the label and the means, then what each listener said; nobody rated some of the means."""
    means = [f"{1 + (index + shift) % 9 / 2:.6f}" for shift in range(4)]
    if index % 37 == 0:
        means[3] = "NaN"
    if index % 101 == 0:
        means = ["NaN"] * 4
    activation, valence, dominance, naturalness = means
    head = f"UTD-IMPROV-{name}.avi; {code}; A:{activation}; V:{valence}; D:{dominance} ; N:{naturalness};"
    heard = [WORDS[code], WORDS[code], "Sad" if code == "X" else WORDS[code], "Sad" if code == "X" else "Other"]
    raters = [
        f"WORKER{(index + listener) % 60:04}; {word}; {word},Excited; A:3.000000; V:3.000000; D:3.000000; N:4.000000;"
        for listener, word in enumerate(heard)
    ]
    return "\n".join([head, *raters, ""])
