"""CaFE, the Canadian French emotional speech database (Gournay, Lahaie & Lefebvre, ACM MMSys 2018).

936 clips, twelve actors, six sentences, seven emotions, two intensities; neutral has one. A file is called SS-E-I-T:
speaker (odd male, even female), the first letter of the emotion's French name, intensity, sentence. It is published as
wav at 48 kHz and as aiff at 192 kHz, in the same folders: the emotion, and below it Faible or Fort, but not for Neutre.

The folders' accents depend on who unpacked them: composed, decomposed, left out, or, since the archive writes them in
the code page of DOS, as one or two other letters each. So a folder is recognised by its plain letters.
"""

import itertools
import re
import unicodedata

from raysee.corpora.corpus import ENDING, Clip, Corpus, by_name

_EMOTIONS = {
    "C": "anger",  # Colere
    "D": "disgust",  # Degout
    "J": "happiness",  # Joie
    "N": "neutral",  # Neutre
    "P": "fear",  # Peur
    "S": "surprise",
    "T": "sadness",  # Tristesse
}
_INTENSITIES = {"1": "weak", "2": "strong"}
_LEVELS = {"1": "Faible", "2": "Fort"}
_NUM_SPEAKERS = 12
_SENTENCES = "123456"
_ACCENT = "[^/]{1,3}"  # one letter without its accent, or what became of the accented one
_PATH = re.compile(
    rf"(?:^|/)(?P<folder>Col{_ACCENT}re|D{_ACCENT}go{_ACCENT}t|Joie|Neutre|Peur|Surprise|Tristesse)/"
    r"(?:(?P<level>Faible|Fort)/)?"
    r"(?P<id>(?P<speaker>0[1-9]|1[0-2])-(?P<emotion>[CDJNPST])-(?P<intensity>[12])-(?P<sentence>[1-6]))" + ENDING
)


def parse(path: str) -> Clip | None:
    """The clip of a path below the corpus's root, or None; folders that contradict the name make it none."""
    match = _PATH.search(_without_accents(path))
    if match is None or match["folder"][0] != match["emotion"]:
        return None
    neutral = match["emotion"] == "N"
    if neutral and (match["level"] or match["intensity"] != "1"):
        return None
    if not neutral and match["level"] != _LEVELS[match["intensity"]]:
        return None
    return Clip(
        clip_id=match["id"],
        speaker=match["speaker"],
        label=_EMOTIONS[match["emotion"]],
        gender="male" if int(match["speaker"]) % 2 else "female",
        sentence=match["sentence"],
        intensity=None if neutral else _INTENSITIES[match["intensity"]],
    )


def expected_ids() -> frozenset[str]:
    """Every combination; neutral has intensity 1 only."""
    grid = itertools.product(range(1, _NUM_SPEAKERS + 1), _EMOTIONS, _INTENSITIES, _SENTENCES)
    return frozenset(
        f"{speaker:02d}-{emotion}-{intensity}-{sentence}"
        for speaker, emotion, intensity, sentence in grid
        if (emotion, intensity) != ("N", "2")
    )


def _without_accents(path: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", path) if not unicodedata.combining(letter))


CAFE = Corpus(
    name="cafe",
    title="CaFE",
    language="fr-CA",
    licence="CC BY-NC-SA 4.0",
    commercial=False,
    source="https://zenodo.org/record/1478765",
    counts={
        "anger": 144,
        "happiness": 144,
        "sadness": 144,
        "fear": 144,
        "surprise": 144,
        "disgust": 144,
        "neutral": 72,
    },
    num_speakers=_NUM_SPEAKERS,
    labels=("anger", "disgust", "happiness", "neutral", "fear", "surprise", "sadness"),  # as the letters of the names
    layout="Emotion/Faible|Fort/SS-E-I-T.wav, e.g. Peur/Fort/12-P-2-5.wav or Neutre/12-N-1-5.wav",
    read=by_name(parse),
    expected_ids=expected_ids,
)
