import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

import pytest

from raysee.corpora.corpus import Clip, LeftOut, Outcome, Reading, Tree
from raysee.corpora.emofilm import EMOFILM
from raysee.corpora.manifest import build
from raysee.errors import CorpusError
from raysee.storage import FileInfo

LEGEND = "f_m_corpus_it_es_en_legend.xlsx"
SPREADSHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
FEMALE = [
    ("file", "speaker", "film"),
    ("f_ans001aen", "meryl streep", "The Hours"),
    ("f_ans001ait", "maria pia di meo", "  the   hours "),
    ("f_dis108bes", "?", "?"),
    ("f_gio009aen", "", ""),
]
MALE = [
    ("File ", "nobody", "Film"),
    ("m_rab902een", "x", "a bautiful mind"),
    ("m_tri015ait", "y", "A BEAUTIFUL MIND"),
    ("m_tri016ait", "y", "Casino\u0300"),
    ("m_tri017ait", "y", "casin\u00f2"),
]


def workbook(*sheets: Sequence[Sequence[str]], shared: bool = True) -> bytes:
    """An xlsx file with these sheets, its empty cells left away as spreadsheets do."""
    strings: list[str] = []

    def cell(place: str, text: str) -> str:
        if not shared:
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'
        strings.append(text)
        return f'<c r="{place}" t="s"><v>{len(strings) - 1}</v></c>'

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        for number, rows in enumerate(sheets, start=1):
            lines = [
                "".join(cell(f"{'ABC'[column]}{line}", text) for column, text in enumerate(row) if text)
                for line, row in enumerate(rows, start=1)
            ]
            body = "".join(f"<row>{cells}</row>" for cells in lines)
            book.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f"<worksheet {SPREADSHEET}><sheetData>{body}</sheetData></worksheet>",
            )
        # The halves of a string can be of different type, and its reading aid is no part of it.
        items = [
            f"<si><r><t>{escape(text[:2])}</t></r><r><rPr/><t>{escape(text[2:])}</t></r><rPh><t>!</t></rPh></si>"
            for text in strings
        ]
        if shared:
            book.writestr("xl/sharedStrings.xml", f"<sst {SPREADSHEET}>{''.join(items)}</sst>")
    return file.getvalue()


def reading(group: str, legend: bytes | None = None, place: str = LEGEND) -> Reading:
    files = {} if legend is None else {place: legend}
    return EMOFILM.read(Tree(files, files.__getitem__), EMOFILM.choose({"group": group}))


def parse(path: str) -> Outcome:
    return reading("language").parse(path)


@pytest.mark.parametrize(
    ("name", "label", "gender", "language"),
    [
        ("f_ans001aen", "fear", "female", "en"),
        ("f_ans007sen", "fear", "female", "en"),
        ("f_dis014bes", "disgust", "female", "es"),
        ("m_gio010ait", "happiness", "male", "it"),
        ("m_rab902een", "anger", "male", "en"),
        ("f_tri020ces", "sadness", "female", "es"),
        ("m_tri016en", "sadness", "male", "en"),
    ],
)
@pytest.mark.parametrize("place", ["{}.wav", "EmoFilm/wav_corpus/{}.wav", "wav_corpus_16k/{}_16k.wav"])
def test_a_name_is_read_field_by_field(place: str, name: str, label: str, gender: str, language: str) -> None:
    assert parse(place.format(name)) == Clip(
        clip_id=name, speaker=language, label=label, gender=gender, language=language
    )


@pytest.mark.parametrize(
    "path",
    [
        "x_ans001aen.wav",
        "f_xxx001aen.wav",
        "f_ansaen.wav",
        "f_ans001ade.wav",
        "f_ans001a.wav",
        "f_ans001aen_8k.wav",
        "ff_ans001aen.wav",
        "f_ans001aen.txt",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("place", [LEGEND, f"EmoFilm/{LEGEND}"])
def test_films_are_of_the_legend_however_it_spells_them(place: str, shared: bool) -> None:
    films = reading("film", workbook(FEMALE, MALE, [], shared=shared), place)
    names = [row[0] for row in (*FEMALE[1:3], *MALE[1:])]
    clips = [films.parse(f"{name}.wav") for name in names]
    assert [clip.speaker for clip in clips if isinstance(clip, Clip)] == [
        "the hours",
        "the hours",
        "a beautiful mind",
        "a beautiful mind",
        "casin\u00f2",
        "casin\u00f2",
    ]
    assert [clip.language for clip in clips if isinstance(clip, Clip)] == ["en", "it", "en", "it", "it", "it"]
    assert films.named == dict.fromkeys(names, place)


@pytest.mark.parametrize("name", ["f_dis108bes", "f_gio009aen", "f_gio999aen"])
def test_a_clip_without_a_film_is_left_out(name: str) -> None:
    films = reading("film", workbook(FEMALE, MALE))
    assert films.parse(f"{name}_16k.wav") == LeftOut(name, f"{LEGEND} names no film of it")


@pytest.mark.parametrize(
    ("legend", "message"),
    [
        (None, "no such file is there: .*group=language"),
        (b"file,film\n", "is no readable xlsx workbook"),
        (workbook([("file", "speaker")]), "no sheet with columns file and film"),
        (workbook(), "no sheet with columns file and film"),
    ],
)
def test_a_legend_that_cannot_be_read_is_an_error(legend: bytes | None, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        reading("film", legend)


@pytest.mark.parametrize(
    "sheet",
    [
        "<worksheet",
        f'<worksheet {SPREADSHEET}><sheetData><row><c r="A1" t="s"><v>7</v></c></row></sheetData></worksheet>',
        f'<worksheet {SPREADSHEET}><sheetData><row><c r="A1" t="s"><v>x</v></c></row></sheetData></worksheet>',
        f"<worksheet {SPREADSHEET}><sheetData><row><c><v>7</v></c></row></sheetData></worksheet>",
    ],
)
def test_so_is_a_damaged_sheet(sheet: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", sheet)
    with pytest.raises(CorpusError, match="is no readable xlsx workbook"):
        reading("film", file.getvalue())


def test_languages_need_no_legend() -> None:
    assert reading("language", b"never read").named == {}


def test_the_paper_holds_out_languages() -> None:
    root = "/data"
    files = [FileInfo(f"{root}/{name}.wav", 1000, "tag") for name in ("f_ans001aen", "f_ans001ait", "m_rab001aes")]
    utterances, _ = build(EMOFILM, root, files, lambda uri: b"", allow_count_mismatch=True)
    assert utterances.select(["clip_id", "group", "language"]).to_pylist() == [
        {"clip_id": "f_ans001aen", "group": "en", "language": "en"},
        {"clip_id": "f_ans001ait", "group": "it", "language": "it"},
        {"clip_id": "m_rab001aes", "group": "es", "language": "es"},
    ]


def test_counts_are_those_of_table_1() -> None:
    assert sum(EMOFILM.counts.values()) == 1115
    assert set(EMOFILM.labels) == set(EMOFILM.counts)
