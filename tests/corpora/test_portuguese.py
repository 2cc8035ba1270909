import pytest

from raysee.corpora.corpus import Clip, Outcome, Tree
from raysee.corpora.portuguese import PORTUGUESE

TABLE = (
    "Castro & Lima\n\nAppendix B\n\n\n\tStimulus \tContent\tIntensity (1-7)\tAccuracy\r\n"
    "1\t12sA_angry3\testaMesa\t5.2\t90\r\n2\t7pB_sad10 \toDarrio\t\t80\r\n\r\n"
)
FOLDERS = ("Castro-BRM-2010 Sents", "Castro-BRM-2010 Pseudosents")


def parse(path: str, tables: dict[str, bytes] | None = None) -> Outcome:
    tables = tables or {}
    return PORTUGUESE.read(Tree([path, *tables], tables.__getitem__), {}).parse(path)


@pytest.mark.parametrize(
    ("name", "speaker", "label"),
    [
        ("12sA_angry3", "A", "anger"),
        ("1pB_disgust12", "B", "disgust"),
        ("100sB_fear1", "B", "fear"),
        ("2pA_happy2", "A", "happiness"),
        ("3sA_sad4", "A", "sadness"),
        ("4sB_neutral5", "B", "neutral"),
        ("5pA_surprise6", "A", "surprise"),
    ],
)
@pytest.mark.parametrize("place", ["{}.wav", FOLDERS[0] + "/{}.wav", "PORTUGUESE/" + FOLDERS[1] + "/{}.WAV"])
def test_a_name_is_read_field_by_field(place: str, name: str, speaker: str, label: str) -> None:
    assert parse(place.format(name)) == Clip(clip_id=name, speaker=speaker, label=label)


@pytest.mark.parametrize(
    "path",
    [
        "sA_angry3.wav",
        "12xA_angry3.wav",
        "12sC_angry3.wav",
        "12sA_bored3.wav",
        "12sA_angry.wav",
        "12sA_angry3b.wav",
        "a12sA_angry3.wav",
        "12SA_angry3.wav",
        "12sA_angry3.txt",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


@pytest.mark.parametrize(
    "table",
    [
        "Castro_2010_AppxB_Sents.txt",
        f"{FOLDERS[1]}/Castro_2010_AppxB_Pseudosents.txt",
        f"{FOLDERS[1]}/ Castro_2010_AppxB_Pseudosents.txt",  # as the archive has it
    ],
)
def test_the_tables_have_sentences_and_intensities(table: str) -> None:
    tables = {table: TABLE.encode()}
    assert parse("12sA_angry3.wav", tables) == Clip("12sA_angry3", "A", "anger", sentence="estaMesa", intensity="5.2")
    assert parse("7pB_sad10.wav", tables) == Clip("7pB_sad10", "B", "sadness", sentence="oDarrio")
    assert parse("8pB_sad11.wav", tables) == Clip("8pB_sad11", "B", "sadness")


@pytest.mark.parametrize("content", [b"", b"\xe9\xe0 no table\n", "Stimulus\n12sA_angry3\n".encode("utf-16")])
def test_a_table_of_another_form_says_nothing(content: bytes) -> None:
    assert parse("12sA_angry3.wav", {"Castro_2010_AppxB_Sents.txt": content}) == Clip("12sA_angry3", "A", "anger")


def test_counts_are_those_of_table_1() -> None:
    assert sum(PORTUGUESE.counts.values()) == 190 + 178
    assert set(PORTUGUESE.labels) == set(PORTUGUESE.counts)
