import dataclasses

import pyarrow as pa
import pytest

from raysee import schema
from raysee.corpora import CORPORA, corpus
from raysee.corpora.manifest import build
from raysee.errors import ConfigurationError, CorpusError
from raysee.storage import FileInfo

EMODB, RAVDESS = CORPORA["emodb"], CORPORA["ravdess"]
ROOT = "s3://bucket/emo db"


def listing(*paths: str, size: int = 1000) -> list[FileInfo]:
    return sorted(FileInfo(f"{ROOT}/{path}", size, "tag") for path in paths)


def unread(uri: str) -> bytes:
    raise AssertionError(f"{uri} was read: names say everything here")


def whole_emodb() -> list[str]:
    return sorted(f"wav/{name}.wav" for name in EMODB.expected_ids())


def some(*paths: str) -> tuple[pa.Table, pa.Table]:
    return build(EMODB, ROOT, listing(*paths), unread, allow_count_mismatch=True)


def test_an_unknown_corpus_is_answered_with_the_known_ones() -> None:
    assert corpus("emodb") is EMODB
    with pytest.raises(ConfigurationError, match=r"'emo-db'.*cafe, .*tess"):
        corpus("emo-db")


def test_the_whole_corpus_is_one_row_a_clip() -> None:
    utterances, rejects = build(EMODB, ROOT, listing(*whole_emodb(), "README.txt", "lablaut/03a01Wa.lablaut"), unread)
    assert utterances.schema.equals(schema.UTTERANCES)
    assert rejects.schema.equals(schema.REJECTS)
    assert (utterances.num_rows, rejects.num_rows) == (535, 0)
    ids = utterances["clip_id"].to_pylist()
    assert ids == sorted(EMODB.expected_ids())


def test_a_row_says_what_the_name_says() -> None:
    utterances, _ = some("wav/08a02Lb.wav")
    assert utterances.to_pylist() == [
        {
            "clip_id": "08a02Lb",
            "corpus": "emodb",
            "uri": f"{ROOT}/wav/08a02Lb.wav",
            "start_s": None,
            "end_s": None,
            "size_bytes": 1000,
            "etag": "tag",
            "speaker": "08",
            "gender": "female",
            "session": None,
            "group": "08",
            "sentence": "a02",
            "intensity": None,
            "repetition": "b",
            "language": "de",
            "label": "boredom",
            "emotion": "other",
        }
    ]


def test_rows_do_not_depend_on_the_order_of_the_listing() -> None:
    files = listing("wav/16b10Tb.wav", "wav/03a01Wa.wav", "wav/08a02Lb.wav")
    forwards, _ = build(EMODB, ROOT, files, unread, allow_count_mismatch=True)
    backwards, _ = build(EMODB, ROOT, files[::-1], unread, allow_count_mismatch=True)
    assert forwards.equals(backwards)
    assert forwards["clip_id"].to_pylist() == ["03a01Wa", "08a02Lb", "16b10Tb"]


@pytest.mark.parametrize(
    "path",
    [
        "wav/._03a01Wa.wav",  # AppleDouble
        "wav/.03a01Wa.wav",
        "__MACOSX/wav/._03a01Wa.wav",
        "wav/Thumbs.db",
        "wav/03a01Wa.txt",
        "silb/03a01Wa.silb",
        "SYNTHETIC.txt",
    ],
)
def test_what_is_hidden_or_no_sound_is_passed_over(path: str) -> None:
    utterances, rejects = some("wav/08a02Lb.wav", path)
    assert utterances["clip_id"].to_pylist() == ["08a02Lb"]
    assert rejects.num_rows == 0


def test_a_hidden_folder_is_passed_over() -> None:
    utterances, rejects = some(".Trash-0/wav/08a02Lb.wav", "wav/08a02Lb.wav")
    assert utterances["uri"].to_pylist() == [f"{ROOT}/wav/08a02Lb.wav"]
    assert rejects.num_rows == 0


@pytest.mark.parametrize("path", ["wav/99a01Wa.wav", "wav/song.mp3", "elsewhere/03a01Wa.wav", "wav/03A01WA.FLAC"])
def test_sound_of_another_name_is_rejected(path: str) -> None:
    utterances, rejects = some("wav/08a02Lb.wav", path)
    assert utterances.num_rows == 1
    assert rejects.to_pylist() == [
        {
            "id": f"{ROOT}/{path}",
            "uri": f"{ROOT}/{path}",
            "stage": "manifest",
            "error": "UnknownName",
            "message": "the path does not read as wav/SSTTTEv.wav, e.g. wav/03a01Wa.wav",
        }
    ]


def test_song_of_ravdess_is_rejected_by_name() -> None:
    files = listing("Actor_01/03-01-05-01-01-01-01.wav", "Actor_01/03-02-05-01-01-01-01.wav")
    utterances, rejects = build(RAVDESS, ROOT, files, unread, allow_count_mismatch=True)
    assert utterances["clip_id"].to_pylist() == ["03-01-05-01-01-01-01"]
    assert rejects["error"].to_pylist() == ["UnknownName"]


def test_a_second_file_of_a_clip_is_rejected_and_points_at_the_first() -> None:
    utterances, rejects = some("copy/wav/08a02Lb.wav", "wav/08a02Lb.wav")
    assert utterances["uri"].to_pylist() == [f"{ROOT}/copy/wav/08a02Lb.wav"]
    (row,) = rejects.to_pylist()
    assert (row["id"], row["error"], row["uri"]) == ("08a02Lb", "DuplicateClip", f"{ROOT}/wav/08a02Lb.wav")
    assert f"{ROOT}/copy/wav/08a02Lb.wav" in row["message"]


def test_an_empty_file_is_rejected_and_its_copy_used() -> None:
    files = [*listing("a/wav/08a02Lb.wav", size=0), *listing("b/wav/08a02Lb.wav")]
    utterances, rejects = build(EMODB, ROOT, files, unread, allow_count_mismatch=True)
    assert utterances["uri"].to_pylist() == [f"{ROOT}/b/wav/08a02Lb.wav"]
    assert rejects.select(["id", "error"]).to_pylist() == [{"id": "08a02Lb", "error": "EmptyFile"}]


@pytest.mark.parametrize("paths", [[], ["README.txt"], ["wav/other.wav"]])
@pytest.mark.parametrize("allow", [False, True])
def test_no_clip_at_all_is_an_error_with_the_layout(paths: list[str], allow: bool) -> None:
    with pytest.raises(CorpusError, match=rf"No clip of EMO-DB below {ROOT}: {len(paths)} files.*wav/SSTTTEv\.wav"):
        build(EMODB, ROOT, listing(*paths), unread, allow_count_mismatch=allow)


def test_missing_and_extra_clips_are_named() -> None:
    paths = [path for path in whole_emodb() if path not in ("wav/03a01Wa.wav", "wav/16b10Tb.wav")]
    with pytest.raises(CorpusError) as caught:
        build(EMODB, ROOT, listing(*paths, "wav/03a01Lz.wav"), unread)
    message = str(caught.value)
    assert "(534 of 535 clips)" in message
    assert "anger: 126 clips, Table 1 has 127" in message
    assert "sadness: 61 clips, Table 1 has 62" in message
    assert "other: 82 clips, Table 1 has 81" in message
    assert "neutral" not in message
    assert "missing: 03a01Wa, 16b10Tb;" in message
    assert "extra: 03a01Lz." in message
    assert "--allow-count-mismatch" in message


def test_a_swap_within_a_class_is_a_mismatch_too() -> None:
    paths = [path for path in whole_emodb() if path != "wav/03a01Wa.wav"]
    with pytest.raises(CorpusError, match=r"535 of 535 clips\): missing: 03a01Wa; extra: 03a01Wz"):
        build(EMODB, ROOT, listing(*paths, "wav/03a01Wz.wav"), unread)


def test_many_missing_clips_are_counted_and_rejects_told() -> None:
    with pytest.raises(CorpusError, match=r"missing: (03\w+, ){9}03\w+ and 524 more; rejected: 1 UnknownName\."):
        build(EMODB, ROOT, listing("wav/03a01Wa.wav", "wav/other.wav"), unread)


def test_what_is_there_is_used_where_that_is_allowed() -> None:
    utterances, _ = some("wav/03a01Wa.wav", "wav/03a01Lz.wav")
    assert utterances["clip_id"].to_pylist() == ["03a01Lz", "03a01Wa"]


def test_a_class_that_table_1_does_not_have_is_a_difference() -> None:
    without = dataclasses.replace(EMODB, counts={k: v for k, v in EMODB.counts.items() if k != "fear"})
    with pytest.raises(CorpusError, match="fear: 69 clips, Table 1 has 0"):
        build(without, ROOT, listing(*whole_emodb()), unread)
