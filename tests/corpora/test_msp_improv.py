import pytest

from raysee.corpora.corpus import Clip, LeftOut, Reading, Tree
from raysee.corpora.manifest import build
from raysee.corpora.msp_improv import MSP_IMPROV
from raysee.emotions import canonical
from raysee.errors import CorpusError
from raysee.storage import FileInfo

FILE = "Evaluation.txt"
RATERS = (
    "WORKER00000001; Neutral; Neutral, Concerned; A:3; V:3; D:3; N:NaN;\nWORKER00000002; Angry; ; A:2; V:3; D:3; N:4;\n"
)


def block(name: str, label: str, values: str = "A:2.250000; V:3.333333; D:3.000000 ; N:NaN;") -> str:
    return f"UTD-{name}.avi; {label}; {values}\n{RATERS}\n"


def reading(text: str | bytes, path: str = FILE) -> Reading:
    raw = {path: text if isinstance(text, bytes) else text.encode()}
    return MSP_IMPROV.read(Tree(raw, raw.__getitem__), {})


def path_of(name: str) -> str:
    """From IMPROV-S01A-F01-P-FM01."""
    _, scene, speaker, condition, _ = name.split("-")
    return f"session{speaker[-1]}/{scene}/{condition}/MSP-{name}.wav"


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("IMPROV-S01A-F01-P-FM01", "A", ("F01", "anger", "female", "session1")),
        ("IMPROV-S01A-M01-R-MM02", "N", ("M01", "neutral", "male", "session1")),  # not the intended anger
        ("IMPROV-S09H-F02-S-MF11", "H", ("F02", "happiness", "female", "session2")),
        ("IMPROV-S10S-M03-T-FF03", "S", ("M03", "sadness", "male", "session3")),
        ("IMPROV-S19N-F05-P-FM04", "N", ("F05", "neutral", "female", "session5")),
        ("IMPROV-S20N-M06-P-FM04", "H", ("M06", "happiness", "male", "session6")),
    ],
)
def test_a_turn_is_read_field_by_field(name: str, label: str, expected: tuple[str, str, str, str]) -> None:
    speaker, emotion, gender, session = expected
    read = reading(block(name, label))
    assert read.parse(path_of(name)) == Clip(
        clip_id=f"MSP-{name}", speaker=speaker, label=emotion, gender=gender, session=session
    )
    assert read.named == {f"MSP-{name}": FILE}


@pytest.mark.parametrize("label", ["O", "X"])
def test_a_turn_of_another_label_is_left_out_and_not_missed(label: str) -> None:
    read = reading(block("IMPROV-S01A-F01-P-FM01", label))
    outcome = read.parse(path_of("IMPROV-S01A-F01-P-FM01"))
    assert isinstance(outcome, LeftOut)
    assert outcome.clip_id == "MSP-IMPROV-S01A-F01-P-FM01"
    assert f"labelled {label}" in outcome.reason
    assert read.named == {}


def test_a_turn_that_the_evaluations_do_not_name_is_left_out() -> None:
    read = reading(block("IMPROV-S01A-F01-P-FM01", "A"))
    outcome = read.parse(path_of("IMPROV-S01A-F01-P-FM02"))
    assert outcome == LeftOut("MSP-IMPROV-S01A-F01-P-FM02", "Evaluation.txt does not name it")


def test_a_video_is_left_out_under_its_own_name() -> None:
    read = reading(block("IMPROV-S01A-F01-P-FM01", "A"))
    outcome = read.parse("session1/S01A/P/UTD-IMPROV-S01A-F01-P-FM01.avi")
    assert isinstance(outcome, LeftOut)
    assert outcome.clip_id == "UTD-IMPROV-S01A-F01-P-FM01"


@pytest.mark.parametrize(
    "values",
    [
        "A:2.25; V:3.3; D:3.0 ; N:4.1;",
        "A:NaN; V:NaN; D:NaN ; N:NaN;",
        "A:3.000000; V:3.500000; D:3.000000;",  # without naturalness
        "A:2.25; V:3.3; D:3.0 ; N:4.1;  ",
    ],
)
def test_every_form_of_a_header_is_read(values: str) -> None:
    assert reading(block("IMPROV-S01A-F01-P-FM01", "S", values)).named == {"MSP-IMPROV-S01A-F01-P-FM01": FILE}


@pytest.mark.parametrize("path", ["Evaluation.txt", "Evalution.txt", "MSP-IMPROV/Evalution.txt"])
def test_both_spellings_of_the_file_are_read_with_line_ends_of_windows(path: str) -> None:
    text = (block("IMPROV-S01A-F01-P-FM01", "A") + block("IMPROV-S01A-F01-P-FM02", "X")).replace("\n", "\r\n")
    assert reading(b"\xef\xbb\xbf" + text.encode(), path).named == {"MSP-IMPROV-S01A-F01-P-FM01": path}


@pytest.mark.parametrize(
    "path",
    [
        "session2/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",  # the folder says another session
        "session1/S02A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",  # another scene
        "session1/S01A/R/MSP-IMPROV-S01A-F01-P-FM01.wav",  # another condition
        "session1/S21A/P/MSP-IMPROV-S21A-F01-P-FM01.wav",
        "session1/S00A/P/MSP-IMPROV-S00A-F01-P-FM01.wav",
        "session1/S01F/P/MSP-IMPROV-S01F-F01-P-FM01.wav",
        "session7/S01A/P/MSP-IMPROV-S01A-F07-P-FM01.wav",
        "session1/S01A/P/MSP-IMPROV-S01A-X01-P-FM01.wav",
        "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM.wav",
        "session1/S01A/P/UTD-IMPROV-S01A-F01-P-FM01.wav",
        "MSP-IMPROV-S01A-F01-P-FM01.wav",
        "",
    ],
)
def test_another_path_is_no_clip(path: str) -> None:
    assert reading(block("IMPROV-S01A-F01-P-FM01", "A")).parse(path) is None


@pytest.mark.parametrize(
    "line",
    [
        "UTD-IMPROV-S01A-F01-P-FM01.avi; B; A:1.0; V:1.0; D:1.0 ; N:1.0;",  # no such label
        "UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:1.0; V:one; D:1.0 ; N:1.0;",
        "UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:1.0; D:1.0 ; N:1.0;",
        "UTD-IMPROV-S01A-F01-P-FM01.avi; A",
        "UTD-IMPROV-S01A-F07-P-FM01.avi; A; A:1.0; V:1.0; D:1.0 ; N:1.0;",
        "MSP-IMPROV-S01A-F01-P-FM01.avi; A; A:1.0; V:1.0; D:1.0 ; N:1.0;",
    ],
)
def test_a_header_that_is_none_is_named_with_file_and_line(line: str) -> None:
    with pytest.raises(CorpusError, match=r"Evaluation\.txt, line 5: .*A, H, S, N, O, X"):
        reading(block("IMPROV-S01A-F01-P-FM02", "A") + line + "\n")


def test_two_labels_of_one_turn_are_an_error() -> None:
    with pytest.raises(CorpusError, match=r"line 5: MSP-IMPROV-S01A-F01-P-FM01 is 'N' here and 'A' in a line before"):
        reading(block("IMPROV-S01A-F01-P-FM01", "A") + block("IMPROV-S01A-F01-P-FM01", "N"))


def test_text_of_another_encoding_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"Evaluation\.txt is not utf-8 text"):
        reading(block("IMPROV-S01A-F01-P-FM01", "A").encode("utf-16"))


def test_a_tree_without_evaluations_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"no Evaluation\.txt"):
        reading("", path="README.txt")


def test_rows_are_grouped_by_session_and_a_lacking_sound_is_a_reject() -> None:
    first, second, third = "IMPROV-S01A-F01-P-FM01", "IMPROV-S01A-F01-P-FM02", "IMPROV-S01A-M01-P-FM01"
    text = (block(first, "A") + block(second, "H") + block(third, "X")).encode()
    paths = (FILE, path_of(first), path_of(third), path_of(second).replace("MSP-", "UTD-").replace(".wav", ".avi"))
    files = [FileInfo(f"/data/{path}", 900, "") for path in paths]
    utterances, rejects = build(
        MSP_IMPROV, "/data", files, {f"/data/{FILE}": text}.__getitem__, allow_count_mismatch=True
    )
    (row,) = utterances.to_pylist()
    assert (row["clip_id"], row["group"], row["speaker"]) == (f"MSP-{first}", "session1", "F01")
    assert {row["id"]: row["error"] for row in rejects.to_pylist()} == {
        f"MSP-{third}": "LeftOut",
        f"UTD-{second}": "LeftOut",
        f"MSP-{second}": "MissingSound",  # its video does not stand in for it
    }


def test_the_counts_are_those_of_table_1() -> None:
    assert sum(MSP_IMPROV.counts.values()) == 7798
    assert {canonical(label) for label in MSP_IMPROV.labels} == set(MSP_IMPROV.counts)
    assert (MSP_IMPROV.num_speakers, MSP_IMPROV.group) == (12, "session")
