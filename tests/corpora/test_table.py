import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysee import schema, storage
from raysee.corpora.table import read_table_corpus
from raysee.errors import ConfigurationError, CorpusError, MissingError
from raysee.storage import FileInfo

HEADER = "clip_id,uri,speaker,label"


def written(folder: pathlib.Path, text: str | bytes) -> str:
    path = folder / "clips.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def read(folder: pathlib.Path, *lines: str) -> tuple[list[dict[str, object]], list[dict[str, str]]]:
    utterances, rejects = read_table_corpus(written(folder, "\n".join(lines) + "\n"), "mine")
    assert utterances.schema.equals(schema.UTTERANCES)
    assert rejects.schema.equals(schema.REJECTS)
    return utterances.to_pylist(), rejects.to_pylist()


def test_the_required_columns_are_enough(tmp_path: pathlib.Path) -> None:
    rows, rejects = read(tmp_path, HEADER, "0301,wav/a b.wav,03,boredom")
    assert rejects == []
    assert rows == [
        {
            "clip_id": "0301",
            "corpus": "mine",
            "uri": storage.normalise(tmp_path / "wav/a b.wav"),
            "start_s": None,
            "end_s": None,
            "size_bytes": 0,
            "etag": "",
            "speaker": "03",
            "gender": None,
            "session": None,
            "group": "03",
            "sentence": None,
            "intensity": None,
            "repetition": None,
            "language": "und",
            "label": "boredom",
            "emotion": "other",
        }
    ]


def full(clip_id: str, **other: object) -> dict[str, object]:
    return {
        "clip_id": clip_id,
        "corpus": "mine",
        "uri": "s3://bucket/a.wav",
        "start_s": 0.1,
        "end_s": 12.25,
        "size_bytes": 1000,
        "etag": "tag",
        "speaker": "03",
        "gender": "female",
        "session": "1",
        "group": "G",
        "sentence": "NA",
        "intensity": "null",
        "repetition": "b",
        "language": "fr-CA",
        "label": "joie",
        "emotion": "happiness",
        **other,
    }


@pytest.mark.parametrize("ending", ["csv", "parquet", "PARQUET"])
def test_every_column_is_taken_from_either_format(tmp_path: pathlib.Path, ending: str) -> None:
    expected = pa.Table.from_pylist([full("01"), full("02", start_s=12.25, end_s=None)], schema=schema.UTTERANCES)
    path = tmp_path / f"clips.{ending}"
    if ending == "csv":
        pa.csv.write_csv(expected, path)
    else:
        pq.write_table(expected, path)
    utterances, rejects = read_table_corpus(str(path), "mine")
    assert utterances.equals(expected)
    assert rejects.num_rows == 0


def test_parquet_of_other_types_is_read_as_strings(tmp_path: pathlib.Path) -> None:
    table = pa.table(
        {
            "clip_id": pa.array([7, 8]),
            "uri": pa.array(["a.wav", "b.wav"]).dictionary_encode(),
            "speaker": pa.array([3, 4], pa.int8()),
            "label": pa.array(["anger", "fear"], pa.large_string()),
            "start_s": pa.array([1, None]),
            "end_s": pa.array([2.5, 0.1], pa.float32()),
            "gender": pa.nulls(2),
        }
    )
    pq.write_table(table, tmp_path / "clips.parquet")
    utterances, _ = read_table_corpus(str(tmp_path / "clips.parquet"), "mine")
    assert utterances.select(["clip_id", "speaker", "label", "start_s", "end_s"]).to_pylist() == [
        {"clip_id": "7", "speaker": "3", "label": "anger", "start_s": 1.0, "end_s": 2.5},
        {"clip_id": "8", "speaker": "4", "label": "fear", "start_s": None, "end_s": 0.1},
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"clip_id,uri,speaker,label\n01,a.wav,03,anger\n",
        b"clip_id,uri,speaker,label\n01,a.wav,03,anger",  # without a last line end
        b"\xef\xbb\xbfclip_id,uri,speaker,label\r\n01,a.wav,03,anger\r\n\r\n",  # as spreadsheets write it
        b'"clip_id","uri","speaker","label"\n"01","a.wav","03"," anger "\n',
        b"speaker,label,clip_id,gender,uri\n03,anger,01,,a.wav\n",
    ],
)
def test_csv_is_read_as_programs_write_it(tmp_path: pathlib.Path, text: bytes) -> None:
    utterances, rejects = read_table_corpus(written(tmp_path, text), "mine")
    assert rejects.num_rows == 0
    assert utterances.select(["clip_id", "uri", "speaker", "label", "gender"]).to_pylist() == [
        {
            "clip_id": "01",
            "uri": storage.normalise(tmp_path / "a.wav"),
            "speaker": "03",
            "label": "anger",
            "gender": None,
        }
    ]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("a.wav", "{folder}/tables/a.wav"),
        ("./x//a.wav", "{folder}/tables/x/a.wav"),
        ("../wav/a.wav", "{folder}/wav/a.wav"),
        ("/data/a b.wav", "file:///data/a%20b.wav"),
        ("file:///data/a%20b.wav", "file:///data/a%20b.wav"),
        ("s3://other/wav/a b.wav", "s3://other/wav/a b.wav"),
    ],
)
def test_a_uri_is_relative_to_the_table(place: str, uri: str, expected: str) -> None:
    table = storage.join(place, "tables", "clips.csv")
    storage.write_bytes(table, f"{HEADER}\n01,{uri},03,anger\n".encode())
    utterances, _ = read_table_corpus(table, "mine")
    assert utterances["uri"].to_pylist() == [expected.format(folder=place)]


def test_a_relative_uri_never_leaves_the_bucket(bucket: str) -> None:
    storage.write_bytes(f"{bucket}/clips.csv", f"{HEADER}\n01,../../other/a.wav,03,anger\n".encode())
    utterances, _ = read_table_corpus(f"{bucket}/clips.csv", "mine")
    assert utterances["uri"].to_pylist() == [f"{bucket}/other/a.wav"]


def test_size_and_etag_are_those_of_the_listing(tmp_path: pathlib.Path) -> None:
    lines = [f"{HEADER},size_bytes,etag", "01,a.wav,03,anger,5,old", "02,b.wav,03,anger,5,old", "03,c.wav,03,fear,,"]
    listing = [FileInfo(storage.normalise(tmp_path / "a.wav"), 1000, "new")]
    utterances, _ = read_table_corpus(written(tmp_path, "\n".join(lines)), "mine", listing)
    found = utterances.select(["size_bytes", "etag"]).to_pylist()
    assert [tuple(row.values()) for row in found] == [(1000, "new"), (5, "old"), (0, "")]


@pytest.mark.parametrize(
    ("label", "emotion", "expected"),
    [
        ("anger", "", "anger"),
        ("calm", "", "other"),
        ("helplessness", "", "sadness"),
        ("joie", "", "other"),  # nobody has reviewed it
        ("joie", "happiness", "happiness"),
        ("calm", "neutral", "neutral"),  # the table knows better
        ("unknown", "", "unknown"),
    ],
)
def test_the_emotion_is_the_tables_or_the_labels(
    tmp_path: pathlib.Path, label: str, emotion: str, expected: str
) -> None:
    rows, _ = read(tmp_path, f"{HEADER},emotion", f"01,a.wav,03,{label},{emotion}")
    assert (rows[0]["label"], rows[0]["emotion"]) == (label, expected)


def test_rows_are_sorted_by_clip(tmp_path: pathlib.Path) -> None:
    rows, _ = read(tmp_path, HEADER, "b,b.wav,03,anger", "a,a.wav,03,fear", "B,B.wav,04,fear")
    assert [row["clip_id"] for row in rows] == ["B", "a", "b"]


GOOD = "00,good.wav,99,anger,,,,,"


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        (",a.wav,03,anger,,,,,", "MissingValue", "no clip_id"),
        ("01,,03,,,,,,", "MissingValue", "no uri, label"),
        ("01,a.wav,  ,anger,,,,,", "MissingValue", "no speaker"),
        ("01,a.wav,03,anger,-1,,,,", "BadValue", "start_s is '-1'"),
        ("01,a.wav,03,anger,1:30,,,,", "BadValue", "start_s is '1:30'"),
        ("01,a.wav,03,anger,,nan,,,", "BadValue", "end_s is 'nan'"),
        ("01,a.wav,03,anger,,inf,,,", "BadValue", "end_s is 'inf'"),
        ("01,a.wav,03,anger,,0,,,", "BadValue", "end_s 0 is not after"),
        ("01,a.wav,03,anger,2,2,,,", "BadValue", "end_s 2 is not after"),
        ("01,a.wav,03,anger,,,-5,,", "BadValue", "size_bytes is '-5'"),
        ("01,a.wav,03,anger,,,1.5,,", "BadValue", "size_bytes is '1.5'"),
        ("01,a.wav,03,anger,,,,woman,", "BadValue", "gender is 'woman', expected one of female, male"),
        ("01,a.wav,03,anger,,,,,Anger", "BadValue", "emotion is 'Anger', expected one of anger, happiness"),
        ("01,http://host/a.wav,03,anger,,,,,", "BadValue", "'http://host/a.wav' is not a place"),
        ("00,a.wav,03,anger,,,,,", "DuplicateClip", "good.wav"),
        ("01,good.wav,03,fear,0,,,,", "DuplicateClip", "the same sound as clip 00"),
        ("01,a.wav,03,anger,,,,,,", "BrokenRow", "10 values, the header has 9: '01,a.wav,03"),
        ("01", "BrokenRow", "1 values, the header has 9"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_reject(tmp_path: pathlib.Path, line: str, error: str, message: str) -> None:
    header = f"{HEADER},start_s,end_s,size_bytes,gender,emotion"
    rows, (row,) = read(tmp_path, header, GOOD, line, "zz,z.wav,99,fear,,,,,")
    assert [row["clip_id"] for row in rows] == ["00", "zz"]
    assert (row["stage"], row["error"]) == ("manifest", error)
    assert message in row["message"]
    place = storage.normalise(tmp_path / "clips.csv")
    values = ["", ""] if error == "BrokenRow" else line.split(",")
    assert row["uri"] == (values[1] or place)
    assert row["id"] == (values[0] or row["uri"])


def test_several_clips_of_one_file_are_no_duplicates(tmp_path: pathlib.Path) -> None:
    rows, rejects = read(
        tmp_path,
        f"{HEADER},start_s,end_s",
        "01,a.wav,03,anger,0,1.5",
        "02,a.wav,03,fear,1.5,3",
        "03,a.wav,03,fear,1.5,",
    )
    assert [(row["start_s"], row["end_s"]) for row in rows] == [(0.0, 1.5), (1.5, 3.0), (1.5, None)]
    assert rejects == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,uri,label\n", r"Columns 'speaker' are missing in file:///.*clips\.csv, which has 'clip_id', 'uri'"),
        ("clip_id;uri;speaker;label\n", r"'clip_id', 'uri', 'speaker', 'label' are missing.*'clip_id;uri;speaker"),
        (f"{HEADER},gendre\n", r"'gendre' are not known.*there may be corpus, .*gender"),
        (f"{HEADER},\n", r"Columns '' are not known"),
        (f"{HEADER},label\n", r"'label' are there twice"),
        (f"{HEADER}\n", r"No clip in .*clips\.csv: 0 rows"),
        (f"{HEADER}\n01,a.wav,,anger\n02,b.wav,,anger\n", r"2 rows, none of them can be used.*because: no speaker"),
        (
            f"{HEADER}\n01,a.wav,03,anger,\n",
            r"1 rows, the first one has 5 values, the header has 4: '01,a.wav,03,anger,'",
        ),
        ("", r"no table that can be read \(Empty CSV file\): write it as UTF-8 CSV"),
        (f"{HEADER}\n01,a.wav,03,\xe4rger\n".encode("latin-1"), "no table that can be read .*UTF"),
        (f"{HEADER}\n".encode("utf-16"), "no table that can be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path: pathlib.Path, text: str | bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_table_corpus(written(tmp_path, text), "mine")


def test_parquet_that_is_none_or_holds_lists_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CorpusError, match=r"no\.parquet is no table that can be read"):
        read_table_corpus(str(tmp_path / "no.parquet"), "mine")
    columns = {"clip_id": ["01"], "uri": ["a.wav"], "speaker": [["03"]], "label": ["anger"]}
    pq.write_table(pa.table(columns), tmp_path / "lists.parquet")
    with pytest.raises(CorpusError, match=r"Column speaker .*list<.*give strings or numbers"):
        read_table_corpus(str(tmp_path / "lists.parquet"), "mine")


def test_a_place_that_is_no_table_or_not_there_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CorpusError, match=r"must end in \.csv or \.parquet"):
        read_table_corpus(str(tmp_path / "clips.xlsx"), "mine")
    with pytest.raises(MissingError, match=r"clips\.csv"):
        read_table_corpus(str(tmp_path / "clips.csv"), "mine")


@pytest.mark.parametrize("name", ["emodb", "", "a/b", "..", "my corpus", "mine\n"])
def test_a_name_must_be_free_and_fit_for_a_folder(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot name a corpus of your own.*ravdess"):
        read_table_corpus(written(tmp_path, f"{HEADER}\n01,a.wav,03,anger\n"), name)


@pytest.mark.parametrize("group", ["G2", ""])
def test_a_speaker_in_two_groups_would_leak(tmp_path: pathlib.Path, group: str) -> None:
    lines = (f"{HEADER},group", "01,a.wav,03,anger,G1", f"02,b.wav,03,fear,{group}", "03,c.wav,04,fear,G1")
    with pytest.raises(CorpusError, match=rf"Speaker '03' .* in the groups 'G1' and '{group or '03'}'"):
        read(tmp_path, *lines)
    rows, _ = read(tmp_path, *lines[:2], lines[3])
    assert [row["group"] for row in rows] == ["G1", "G1"]
