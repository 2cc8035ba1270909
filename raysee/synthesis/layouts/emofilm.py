"""EmoFilm: G_eeeNNNxLL.wav, of gender, emotion, number, letter, language; a legend of films and speakers.

Scenes of films in their English, Spanish and Italian versions. The legend is a workbook with a sheet for each gender,
and as handmade as the real one: unknown speakers are "?", spellings vary. Thirty voices stand for the real speakers,
five women and five men of each language.
"""

import collections

from raysee.synthesis.containers import xlsx
from raysee.synthesis.layouts.layout import Clip, Layout, first, in_order, mixed
from raysee.synthesis.voice import Gender

LANGUAGES = {"en": 360, "es": 342, "it": 413}
EMOTIONS = {"ans": "fear", "dis": "disgust", "gio": "happiness", "rab": "anger", "tri": "sadness"}
COUNTS = {"rab": 232, "gio": 240, "tri": 254, "ans": 221, "dis": 168}
GENDERS: tuple[Gender, Gender] = ("female", "male")
SPEAKERS = tuple(
    f"{language}-{gender}-{number}" for number in range(1, 6) for gender in GENDERS for language in LANGUAGES
)
FILMS = 43
LEGEND = "f_m_corpus_it_es_en_legend.xlsx"


def emofilm(speakers: int = len(SPEAKERS)) -> Layout:
    """The 1,115 clips and their legend."""
    chosen = set(first("speakers", speakers, SPEAKERS))
    of_language = {language: [name for name in SPEAKERS if name.startswith(language)] for language in LANGUAGES}
    turns: collections.Counter[str] = collections.Counter()
    counted: collections.Counter[tuple[str, str, str]] = collections.Counter()
    clips = []
    sheets: dict[str, list[list[str]]] = {gender: [["file", "film", "speaker"]] for gender in GENDERS}
    for code, language in zip(in_order(COUNTS), mixed(LANGUAGES), strict=True):
        name = of_language[language][turns[language] % 10]
        turns[language] += 1
        gender: Gender = "female" if "female" in name else "male"
        number = counted[gender, code, language]
        counted[gender, code, language] += 1
        if name not in chosen:
            continue
        stem = f"{gender[0]}_{code}{number // 3 + 1:03}{'abc'[number % 3]}{language}"
        clips.append(
            Clip(
                path=f"{stem}.wav",
                speaker=f"emofilm-{name}",
                gender=gender,
                sentence=f"emofilm-{stem[:-2]}-{language}",
                emotion=EMOTIONS[code],
            )
        )
        sheets[gender].append([stem, _film(number), _speaker(name, number)])
    return Layout(tuple(clips), {LEGEND: xlsx(sheets)})


def _film(number: int) -> str:
    film = f"Film {number // 3 % FILMS + 1}"
    return film.upper() if number % 5 == 4 else film


def _speaker(name: str, number: int) -> str:
    """As the legend has it: now and then unknown, in lower case, or with a space too many."""
    full = name.replace("-", " ").title()
    return {3: "?", 7: "??", 5: full.lower(), 8: f"{full} "}.get(number % 10, full)
