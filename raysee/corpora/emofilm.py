"""EmoFilm, emotional speech from dubbed films (Parada-Cabaleiro et al., Interspeech 2018).

1,115 clips in English, Spanish and Italian, five emotions. A file is called like f_ans001aen: gender, the first letters
of the emotion's Italian name, number, letter, language. The documents also call `dis` contempt; Keesing et al. 2020
count it as disgust.

They hold out a language at a time, as if it were a speaker: the option `group=language`. The option `group=film` takes
the film for the speaker, from the legend that comes with the corpus: the voices of a film, and its lines in the three
languages, are then held out together. What has no film in the legend is left out.
"""

import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, Outcome, Reading, Tree
from raysee.errors import CorpusError

_EMOTIONS = {
    "ans": "fear",  # ansia
    "dis": "disgust",
    "gio": "happiness",  # gioia
    "rab": "anger",  # rabbia
    "tri": "sadness",  # tristezza
}
_GENDERS = {"f": "female", "m": "male"}
_LEGEND = "f_m_corpus_it_es_en_legend.xlsx"
_PATH = re.compile(
    r"(?:^|/)(?P<id>(?P<gender>[fm])_(?P<emotion>ans|dis|gio|rab|tri)\d+[a-z]*?(?P<language>en|es|it))"
    r"(?:_16k)?" + ENDING  # a mirror says its sample rate
)
#: Films that the legend spells in several ways.
_SPELLINGS = {
    "a beautiful mind": ("a bautiful mind", "beautiful mind"),
    "american history x": ("american hisotry x",),
    "bicentennial man": ("bicentennian man",),
    "brokeback mountain": ("borkeback mountain", "borkebackmountain", "brokeback"),
    "good will hunting": ("will hinting",),
    "meet joe black": ("joe black",),
    "million dollar baby": ("million dolar baby",),
    "poltergeist": ("poltergueist",),
    "the interpreter": ("ther interpreter",),
    "the lives of others": ("the live of the others", "the life of the others"),
}
_FILMS = {spelling: film for film, spellings in _SPELLINGS.items() for spelling in spellings}


def read(tree: Tree, options: Mapping[str, str]) -> Reading:
    """The corpus with the groups that `options` choose.

    Raises CorpusError where films are chosen and the legend is missing or cannot be read.
    """
    place, films = _legend(tree) if options["group"] == "film" else ("", None)

    def parse(path: str) -> Outcome:
        match = _PATH.search(path)
        if match is None:
            return None
        if films is not None and match["id"] not in films:
            return LeftOut(match["id"], f"{place} names no film of it")
        return Clip(
            clip_id=match["id"],
            speaker=match["language"] if films is None else films[match["id"]],
            label=_EMOTIONS[match["emotion"]],
            gender=_GENDERS[match["gender"]],
            language=match["language"],
        )

    return Reading(parse, dict.fromkeys(films or (), place))


def _legend(tree: Tree) -> tuple[str, dict[str, str]]:
    """Where the legend is, and clip_id -> film of every clip that has one."""
    place = next((path for path in tree.paths if path.rpartition("/")[2] == _LEGEND), None)
    if place is None:
        raise CorpusError(
            f"The films of EmoFilm are in {_LEGEND}, and no such file is there: put it beside the clips, or hold out "
            "languages by group=language."
        )
    try:
        sheets = list(_sheets(tree.data(place)))
    except (zipfile.BadZipFile, ElementTree.ParseError, LookupError, ValueError, zlib.error) as error:
        raise CorpusError(f"{place} is no readable xlsx workbook ({error}): take the file as published.") from error
    found, has_columns = {}, False
    for rows in sheets:  # one for women, one for men
        head = {name.strip().lower(): column for column, name in (rows[0] if rows else {}).items()}
        if {"file", "film"} <= head.keys():
            has_columns = True
            found.update({row.get(head["file"], "").strip(): _film(row.get(head["film"], "")) for row in rows[1:]})
    if not has_columns:
        raise CorpusError(f"{place} has no sheet with columns file and film: take the file as published.")
    return place, {clip_id: film for clip_id, film in found.items() if clip_id and film.strip("? ")}


def _film(name: str) -> str:
    """One name for a film, however the legend writes it."""
    plain = " ".join(unicodedata.normalize("NFC", name).lower().split())
    return _FILMS.get(plain, plain)


def _sheets(data: bytes) -> Iterator[list[dict[str, str]]]:
    """The sheets of an xlsx workbook: rows of column letters -> text (ECMA-376, part 1, section 18)."""
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        names = book.namelist()
        shared = []
        if "xl/sharedStrings.xml" in names:
            shared = [_text(item) for item in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))]
        for name in sorted(names):
            if re.fullmatch(r"xl/worksheets/[^/]+\.xml", name):
                rows = ElementTree.fromstring(book.read(name)).iterfind("{*}sheetData/{*}row")
                yield [{_column(cell): _value(cell, shared) for cell in row.iterfind("{*}c")} for row in rows]


def _column(cell: ElementTree.Element) -> str:
    return cell.attrib["r"].rstrip("0123456789")


def _value(cell: ElementTree.Element, shared: list[str]) -> str:
    inline = cell.find("{*}is")
    if inline is not None:
        return _text(inline)
    value = cell.findtext("{*}v", "")
    return shared[int(value)] if cell.get("t") == "s" else value


def _text(item: ElementTree.Element) -> str:
    """A string, in one piece or in runs of different type."""
    return "".join(piece.text or "" for path in ("{*}t", "{*}r/{*}t") for piece in item.iterfind(path))


EMOFILM = Corpus(
    name="emofilm",
    title="EmoFilm",
    language="mul",  # every clip has its own
    licence="end-user licence agreement",
    commercial=None,
    source="https://zenodo.org/record/1326428",
    counts={
        "anger": 232,
        "happiness": 240,
        "sadness": 254,
        "fear": 221,
        "disgust": 168,
    },
    num_speakers=3,  # the languages
    labels=tuple(_EMOTIONS.values()),
    layout="g_eeeNNNxll.wav, e.g. f_ans001aen.wav",
    read=read,
    options={"group": ("language", "film")},
)
