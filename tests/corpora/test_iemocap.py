import pytest

from raysee.corpora.corpus import Clip, LeftOut, Reading, Tree
from raysee.corpora.iemocap import IEMOCAP
from raysee.corpora.manifest import build
from raysee.emotions import canonical
from raysee.errors import CorpusError
from raysee.storage import FileInfo

EVALUATION = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


def label_line(turn: str, label: str) -> str:
    """A block as it is published: the label line, then what single raters said."""
    return (
        f"[6.2901 - 8.2357]\t{turn}\t{label}\t[2.5000, 2.5000, 2.0000]\n"
        "C-E2:\tNeutral;\t()\nC-F1:\tNeutral; Anger;\t(curious)\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
    )


def reading(files: dict[str, str | bytes], speaker_rule: str = "real") -> Reading:
    raw = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}
    return IEMOCAP.read(Tree(raw, raw.__getitem__), {"speaker_rule": speaker_rule})


def path_of(turn: str) -> str:
    return f"Session{turn[4]}/sentences/wav/{turn.rpartition('_')[0]}/{turn}.wav"


def labelled(turn: str, label: str, speaker_rule: str = "real") -> Reading:
    path = f"Session{turn[4]}/dialog/EmoEvaluation/{turn.rpartition('_')[0]}.txt"
    return reading({path: HEADER + label_line(turn, label)}, speaker_rule)


@pytest.mark.parametrize(
    ("turn", "label", "expected"),
    [
        ("Ses01F_impro01_F000", "neu", ("01F", "neutral", "female", "Ses01", None)),
        ("Ses01F_impro01_M013", "sad", ("01M", "sadness", "male", "Ses01", None)),  # she wears the markers, he talks
        ("Ses02M_impro07_F031", "exc", ("02F", "happiness", "female", "Ses02", None)),
        ("Ses03M_impro08a_M002", "hap", ("03M", "happiness", "male", "Ses03", None)),
        ("Ses04F_script02_2_F024", "ang", ("04F", "anger", "female", "Ses04", "script02_2")),
        ("Ses05M_script01_1b_M001", "ang", ("05M", "anger", "male", "Ses05", "script01_1")),
        ("Ses05F_script03_2_MXX0", "neu", ("05M", "neutral", "male", "Ses05", "script03_2")),
    ],
)
def test_a_turn_is_read_field_by_field(turn: str, label: str, expected: tuple[str, str, str, str, str | None]) -> None:
    speaker, emotion, gender, session, script = expected
    read = labelled(turn, label)
    assert read.parse(path_of(turn)) == Clip(
        clip_id=turn, speaker=speaker, label=emotion, gender=gender, session=session, sentence=script
    )
    assert list(read.named) == [turn]


def test_the_papers_speaker_is_who_wears_the_markers_and_the_gender_stays_the_talkers() -> None:
    turn = "Ses01F_impro01_M013"
    clip = labelled(turn, "sad", "paper").parse(path_of(turn))
    assert isinstance(clip, Clip)
    assert (clip.speaker, clip.gender, clip.session) == ("01F", "male", "Ses01")


def test_the_real_speaker_is_the_default() -> None:
    assert IEMOCAP.choose({}) == {"speaker_rule": "real"}
    assert IEMOCAP.choose({"speaker_rule": "paper"}) == {"speaker_rule": "paper"}


@pytest.mark.parametrize("label", ["fru", "fea", "sur", "dis", "oth", "xxx"])
def test_a_turn_of_another_label_is_left_out_and_not_missed(label: str) -> None:
    read = labelled("Ses01F_impro01_F000", label)
    outcome = read.parse(path_of("Ses01F_impro01_F000"))
    assert isinstance(outcome, LeftOut)
    assert outcome.clip_id == "Ses01F_impro01_F000"
    assert f"labelled {label}" in outcome.reason
    assert read.named == {}


def test_a_turn_without_a_label_line_is_left_out() -> None:
    outcome = labelled("Ses01F_impro01_F000", "neu").parse(path_of("Ses01F_impro01_F001"))
    assert outcome == LeftOut("Ses01F_impro01_F001", "no label line of dialog/EmoEvaluation names it")


@pytest.mark.parametrize("path", ["Session1/dialog/wav/Ses01F_impro01.wav", "Session1/dialog/avi/Ses01F_impro01.avi"])
def test_a_whole_dialog_is_left_out(path: str) -> None:
    outcome = labelled("Ses01F_impro01_F000", "neu").parse(path)
    assert isinstance(outcome, LeftOut)
    assert outcome.clip_id == "Ses01F_impro01"


def test_only_the_files_of_emoevaluation_itself_label() -> None:
    read = reading(
        {
            EVALUATION: HEADER + label_line("Ses01F_impro01_F000", "neu"),
            "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e1_cat.txt": "Ses01F_impro01_F000 :Anger; ()",
            "Session1/dialog/EmoEvaluation/Self-evaluation/x.txt": label_line("Ses01F_impro01_F001", "ang"),
            "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt": b"\x00\x05\x16\x07\xff",
            "Session1/dialog/transcriptions/Ses01F_impro01.txt": "[garbage",
        }
    )
    assert read.named == {"Ses01F_impro01_F000": EVALUATION}
    assert isinstance(read.parse(path_of("Ses01F_impro01_F001")), LeftOut)


def test_line_ends_of_windows_a_byte_order_mark_and_a_folder_above_change_nothing() -> None:
    text = b"\xef\xbb\xbf" + (HEADER + label_line("Ses01F_impro01_F000", "neu")).replace("\n", "\r\n").encode()
    read = reading({f"IEMOCAP_full_release/{EVALUATION}": text})
    clip = read.parse("IEMOCAP_full_release/" + path_of("Ses01F_impro01_F000"))
    assert isinstance(clip, Clip)
    assert clip.label == "neutral"


@pytest.mark.parametrize(
    "path",
    [
        "Session2/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",  # the folder says another session
        "Session1/sentences/wav/Ses01F_impro02/Ses01F_impro01_F000.wav",  # or another dialog
        "Session6/sentences/wav/Ses06F_impro01/Ses06F_impro01_F000.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01X_impro01_F000.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_X000.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F00.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F0000.wav",
        "Session1/sentences/wav/Ses01F_script04_1/Ses01F_script04_1_F000.wav",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.txt",
        "Session1/sentences/wav/Ses01F_impro01_F000.wav",
        "xSession1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
        "Ses01F_impro01_F000.wav",
        "",
    ],
)
def test_another_path_is_no_clip(path: str) -> None:
    assert labelled("Ses01F_impro01_F000", "neu").parse(path) is None


@pytest.mark.parametrize(
    "line",
    [
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tbored\t[2.5, 2.5, 2.5]",  # no such label
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5, 2.5]",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu",
        "[6.2901 8.2357]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]",
        "  [6.2901 - 8.2357] Ses01F_impro01_F000 neu [2.5, 2.5, 2.5]",  # blanks for tabs
        "[6.2901 - 8.2357]\tSes01F_impro01\tneu\t[2.5, 2.5, 2.5]",
    ],
)
def test_a_label_line_that_is_none_is_named_with_file_and_line(line: str) -> None:
    with pytest.raises(CorpusError, match=rf"{EVALUATION}, line 3: .*no label line.*ang, hap"):
        reading({EVALUATION: HEADER + line + "\n"})


def test_two_labels_of_one_turn_are_an_error_and_the_same_twice_is_none() -> None:
    twice = label_line("Ses01F_impro01_F000", "neu") * 2
    assert reading({EVALUATION: twice}).named == {"Ses01F_impro01_F000": EVALUATION}
    with pytest.raises(CorpusError, match=r"line 6: Ses01F_impro01_F000 is 'ang' here and 'neu'"):
        reading({EVALUATION: label_line("Ses01F_impro01_F000", "neu") + label_line("Ses01F_impro01_F000", "ang")})


def test_text_of_another_encoding_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"Ses01F_impro01\.txt is not utf-8 text"):
        reading({EVALUATION: HEADER.encode("utf-16")})


def test_a_tree_without_label_files_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"no SessionN/dialog/EmoEvaluation/\*\.txt"):
        reading({path_of("Ses01F_impro01_F000"): b""})


def test_rows_are_grouped_by_session_and_a_lacking_sound_is_a_reject() -> None:
    turns = {"Ses01F_impro01_F000": "neu", "Ses01F_impro01_M000": "exc", "Ses01F_impro01_M001": "fru"}
    text = (HEADER + "".join(label_line(*item) for item in turns.items())).encode()
    files = [FileInfo(f"/data/{path}", 900, "") for path in (EVALUATION, *map(path_of, list(turns)[1:]))]
    utterances, rejects = build(
        IEMOCAP, "/data", files, {f"/data/{EVALUATION}": text}.__getitem__, allow_count_mismatch=True
    )
    (row,) = utterances.to_pylist()
    assert (row["clip_id"], row["group"], row["speaker"], row["emotion"]) == (
        "Ses01F_impro01_M000",
        "Ses01",
        "01M",
        "happiness",
    )
    assert {row["id"]: row["error"] for row in rejects.to_pylist()} == {
        "Ses01F_impro01_M001": "LeftOut",
        "Ses01F_impro01_F000": "MissingSound",
    }


@pytest.mark.parametrize("rule", ["real", "paper"])
def test_too_few_turns_are_refused_whoever_is_taken_for_the_speaker(rule: str) -> None:
    turn = "Ses01F_impro01_F000"
    files = [FileInfo(f"/data/{path}", 900, "") for path in (EVALUATION, path_of(turn))]
    text = (HEADER + label_line(turn, "neu")).encode()
    with pytest.raises(CorpusError, match="1 of 5531 clips"):
        build(IEMOCAP, "/data", files, {f"/data/{EVALUATION}": text}.__getitem__, options={"speaker_rule": rule})


def test_the_counts_are_those_of_table_1() -> None:
    assert sum(IEMOCAP.counts.values()) == 5531
    assert IEMOCAP.counts["happiness"] == 595 + 1041
    assert {canonical(label) for label in IEMOCAP.labels} == set(IEMOCAP.counts)
    assert (IEMOCAP.num_speakers, IEMOCAP.group) == (10, "session")
