import pytest

from raysee.corpora.corpus import Clip, LeftOut, Reading, Tree
from raysee.corpora.manifest import build
from raysee.corpora.smartkom import SMARTKOM
from raysee.emotions import canonical
from raysee.errors import CorpusError
from raysee.storage import FileInfo

SOUND = "SK-Public/w001_pk/w001_pkd.wav"
PAR = "SK-Public/w001_pk/w001_pk_AAA.par"
HEAD = "LHD: Partitur 1.3.5\nSNB: 2\nSAM: 16000\nNCH: 1\nSPN: AAA\nLBD:\nORT: 0 ja\nORT: 1 gut\n"


def turn(start: int, duration: int, index: int = 0) -> str:
    return f"TRN: {start} {duration} 0,1 w001_pk_{index:03}_AAA\n"


def state(start: int, duration: int, label: str = "Neutral") -> str:
    return f'USH: {start} {duration} "{label}" stark\n'


def reading(**texts: str | bytes) -> Reading:
    """Of Partitur files by speaker, all of one session."""
    raw = {
        PAR.replace("AAA", speaker): text if isinstance(text, bytes) else text.encode()
        for speaker, text in texts.items()
    }
    return SMARTKOM.read(Tree(raw, raw.__getitem__), {})


def clips(text: str | bytes) -> list[Clip]:
    outcome = reading(AAA=text).parse(SOUND)
    assert isinstance(outcome, list)
    return outcome


def labels(text: str | bytes) -> list[str]:
    return [clip.label for clip in clips(text)]


def test_the_turns_are_cut_at_their_samples() -> None:
    text = HEAD + state(0, 159999) + turn(16000, 31999) + turn(80000, 7999, 1)
    read = reading(AAA=text)
    assert read.parse(SOUND) == [
        Clip("w001_pk_AAA_000", "AAA", "neutral", session="w001_pk", start_s=1.0, end_s=3.0),
        Clip("w001_pk_AAA_001", "AAA", "neutral", session="w001_pk", start_s=5.0, end_s=5.5),
    ]
    assert read.named == {"w001_pk_AAA_000": PAR, "w001_pk_AAA_001": PAR}


def test_the_sampling_rate_is_that_of_the_file() -> None:
    (clip,) = clips((HEAD + state(0, 9999) + turn(8000, 7999)).replace("16000", "8000"))
    assert (clip.start_s, clip.end_s) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([(0, 999, "Ratlosigkeit")], "helplessness"),
        ([(0, 299, "Ratlosigkeit"), (300, 699, "Neutral")], "neutral"),  # 200 of 500 samples against 300: not the first
        ([(0, 399, "Ratlosigkeit"), (400, 599, "Neutral")], "helplessness"),
        ([(0, 199, "Neutral"), (200, 149, "Restklasse"), (350, 249, "Neutral")], "neutral"),  # 100 + 250 against 150
        ([(100, 149, "Neutral"), (250, 199, "Restklasse"), (450, 149, "Neutral")], "neutral"),  # 150 + 150: summed up
        ([(0, 349, "Neutral"), (350, 249, "Ratlosigkeit")], "neutral"),  # as many of either: the earlier one
        ([(350, 249, "Ratlosigkeit"), (0, 349, "Neutral")], "neutral"),  # in whichever order they are written
        ([(0, 100, "Neutral"), (500, 98, "Restklasse")], "unknown"),  # 1 sample and 99, the rest in neither
        ([(0, 100, "Neutral")], "neutral"),  # the last sample of the state is the first of the turn
        ([(599, 10, "Neutral")], "neutral"),
    ],
)
def test_the_label_is_the_state_that_covers_most_of_the_turn(states: list[tuple[int, int, str]], expected: str) -> None:
    text = HEAD + "".join(state(*one) for one in states) + turn(100, 499)
    assert labels(text) == [expected]


@pytest.mark.parametrize("outside", [(0, 99), (600, 50)])
def test_a_turn_outside_of_all_states_is_no_clip_and_the_others_keep_their_numbers(outside: tuple[int, int]) -> None:
    text = HEAD + state(100, 499) + turn(*outside) + turn(100, 499, 1)
    assert [clip.clip_id for clip in clips(text)] == ["w001_pk_AAA_001"]


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("Neutral", "neutral"),
        ("Freude/Erfolg", "happiness"),
        ("Freude_Erfolg", "happiness"),
        ("Ratlosigkeit", "helplessness"),
        ("Uberlegen/Nachdenken", "pondering"),
        ("Ueberlegen/Nachdenken", "pondering"),
        ("\u00dcberlegen/Nachdenken", "pondering"),
        ("U\u0308berlegen/Nachdenken", "pondering"),  # decomposed
        ("Arger/Miserfolg", "anger"),
        ("Aerger/Misserfolg", "anger"),
        ("\u00c4rger/Mi\u00dferfolg", "anger"),
        ("Uberraschung/Verwunderung", "surprise"),
        ("\u00dcberraschung/Verwunderung", "surprise"),
        ("Restklasse", "unknown"),
    ],
)
def test_every_spelling_of_a_state_is_read(spelling: str, expected: str) -> None:
    text = HEAD + state(0, 999, spelling) + turn(0, 999)
    assert labels(text) == labels(text.replace('"', "")) == [expected]
    assert expected in SMARTKOM.labels
    if "\u0308" not in spelling:
        assert labels(text.encode("latin-1")) == [expected]


def test_line_ends_of_windows_a_byte_order_mark_and_an_entry_of_one_word_change_nothing() -> None:
    text = HEAD + "USH: 0 999 Neutral\n" + turn(0, 999)
    assert labels(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == ["neutral"]


@pytest.mark.parametrize("text", [HEAD, HEAD + state(0, 9), HEAD + turn(0, 9), HEAD + state(0, 9) + turn(10, 9)])
def test_a_session_without_labelled_turns_is_left_out(text: str) -> None:
    read = reading(AAA=text)
    outcome = read.parse(SOUND)
    assert isinstance(outcome, LeftOut)
    assert outcome.clip_id == "w001_pkd"
    assert "USH" in outcome.reason
    assert read.named == {}


def test_the_systems_file_is_not_read() -> None:
    read = reading(AAA=HEAD + state(0, 999) + turn(0, 999), SMA="USH: rubbish")
    assert list(read.named) == ["w001_pk_AAA_000"]


def test_a_sound_without_a_file_beside_it_is_left_out() -> None:
    read = reading(AAA=HEAD + state(0, 999) + turn(0, 999))
    outcome = read.parse("SK-Public/w002_pk/w002_pkd.wav")
    assert isinstance(outcome, LeftOut)
    assert ".par" in outcome.reason


@pytest.mark.parametrize(
    "path",
    [
        "SK-Public/w002_pk/w001_pkd.wav",  # the folder says another session
        "SK-Public/w001_pk/w001_pk.wav",
        "SK-Public/w001_pk/w001_pkdd.wav",
        "SK-Public/w001_pk/w001_pkd.avi",
        "SK-Public/w001_pk/w001_pk_AAA.par",
        "w001_pkd.wav",
        "",
    ],
)
def test_another_path_is_no_clip(path: str) -> None:
    assert reading(AAA=HEAD + state(0, 999) + turn(0, 999)).parse(path) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('USH: 0 999 "Langeweile"', "Langeweile.* is none of the seven"),
        ("USH: 0 Neutral", "no USH line"),
        ("USH: -1 999 Neutral", "no USH line"),
        ("USH", "no USH line"),
        ("TRN: 0 999 0,1", "no TRN line"),
        ("TRN: 0 999 zero w001_pk_000_AAA", "no TRN line"),
        ("SAM: fast", "no SAM line"),
        ("SAM: 0", "no SAM line"),
    ],
)
def test_an_entry_that_is_none_is_named_with_file_and_line(line: str, problem: str) -> None:
    with pytest.raises(CorpusError, match=rf"{PAR}, line 9: .*{problem}"):
        reading(AAA=HEAD + line + "\n" + state(0, 999) + turn(0, 999))


def test_samples_without_a_rate_are_an_error() -> None:
    with pytest.raises(CorpusError, match=rf"{PAR} has no SAM line"):
        reading(AAA=state(0, 999) + turn(0, 999))


def test_a_tree_without_partitur_files_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"no SESSION/SESSION_SPK\.par"):
        reading(SMA=HEAD)


def test_rows_are_cut_from_one_file_and_a_lacking_sound_is_a_reject_a_turn() -> None:
    text = (HEAD + state(0, 9999, "Ratlosigkeit") + turn(0, 1599) + turn(1600, 1599, 1)).encode()
    lacking = PAR.replace("w001", "w002")
    files = [FileInfo(f"/data/{path}", 900, "") for path in (PAR, SOUND, lacking)]
    texts = {f"/data/{PAR}": text, f"/data/{lacking}": text}
    utterances, rejects = build(SMARTKOM, "/data", files, texts.__getitem__, allow_count_mismatch=True)
    rows = utterances.select(["clip_id", "uri", "start_s", "end_s", "group", "label", "emotion"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("w001_pk_AAA_000", f"/data/{SOUND}", 0.0, 0.1, "AAA", "helplessness", "sadness"),
        ("w001_pk_AAA_001", f"/data/{SOUND}", 0.1, 0.2, "AAA", "helplessness", "sadness"),
    ]
    assert [(row["id"], row["error"], row["uri"]) for row in rejects.to_pylist()] == [
        ("w002_pk_AAA_000", "MissingSound", f"/data/{lacking}"),
        ("w002_pk_AAA_001", "MissingSound", f"/data/{lacking}"),
    ]


def test_the_counts_are_those_of_table_1_with_seven_trained_classes() -> None:
    assert sum(SMARTKOM.counts.values()) == 2295
    assert {canonical(label) for label in SMARTKOM.labels} == set(SMARTKOM.counts)
    assert len(set(SMARTKOM.labels)) == 7
