import datetime
import decimal
import os
import pathlib
import urllib.parse
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysee import schema, storage
from raysee.errors import ConfigurationError, StorageError
from raysee.scoring import listing
from raysee.scoring.listing import find
from raysee.storage import FileInfo
from raysee.storage_stream import open_each
from raysee.synthesis.marker import MARKER

ENDINGS = "a.wav b.WAV c.flac d.mp3 e.ogg f.opus g.m4a h.aac i.amr j.g729 k.gsm l.au m.aiff n.aif 2026.11.mp4"


def put(place: str, *names: str, data: bytes = b"12345") -> None:
    for name in names:
        told = name if place.startswith("s3://") else urllib.parse.quote(name)
        storage.write_bytes(storage.join(place, *told.split("/")), data)


def names(found: listing.Listing) -> list[str]:
    return [storage.basename(uri) for uri in found.recordings["uri"].to_pylist()]


def call_ids(found: listing.Listing) -> list[str]:
    ids: list[str] = found.recordings["call_id"].to_pylist()
    return ids


def of_csv(place: str, *lines: str, name: str = "list.csv") -> list[dict[str, Any]]:
    uri = storage.join(place, name)
    storage.write_bytes(uri, "".join(f"{line}\n" for line in lines).encode())
    rows: list[dict[str, Any]] = find(uri).recordings.to_pylist()
    return rows


def parquet(place: str, **columns: Any) -> str:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    uri = storage.join(place, "list.parquet")
    storage.write_bytes(uri, sink.getvalue().to_pybytes())
    return uri


def of_parquet(place: str, **columns: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = find(parquet(place, **columns)).recordings.to_pylist()
    return rows


# --- prefixes


def test_below_a_prefix_a_row_says_what_and_where(place: str) -> None:
    put(place, "2026-11-19/b #1.wav", "2026-11-19/a.wav")
    found = find(f"{place}/")
    assert found.recordings.schema.equals(schema.RECORDINGS)
    assert (found.others, found.synthetic) == ({}, False)
    listed = storage.list_files(place)
    assert found.recordings.to_pylist() == [
        {
            "uri": file.uri,
            "size_bytes": 5,
            "etag": file.etag,
            "call_id": f"2026-11-19/{name}",
            "start_time": None,
            "roles": [],
            "carried": [],
        }
        for file, name in zip(listed, ("a.wav", "b #1.wav"), strict=True)
    ]


def test_below_a_prefix_recordings_are_told_by_their_endings(place: str) -> None:
    put(place, *ENDINGS.split(), *["o.txt", "p.json", "q.JSON", "wav", "r.wav.part", ".hidden.wav", "._a.wav"])
    found = find(place)
    assert names(found) == sorted(ENDINGS.split())
    assert found.others == {".json": 2, ".part": 1, ".txt": 1, "no ending": 1}


@pytest.mark.parametrize("source", ["{}", "{}/*.wav"])
def test_a_name_that_is_not_utf_8_is_listed_and_read(tmp_path: pathlib.Path, source: str) -> None:
    (tmp_path / os.fsdecode(b"M\xfcller.wav")).write_bytes(b"12345")
    (row,) = find(source.format(tmp_path)).recordings.to_pylist()
    assert (row["call_id"], row["size_bytes"]) == ("M\ufffdller.wav", 5)
    (file,) = open_each([FileInfo(row["uri"], row["size_bytes"], row["etag"])])
    assert not isinstance(file, StorageError)
    assert file.read() == b"12345"
    assert storage.basename(row["uri"]) == "M\ufffdller.wav", "what pages show"
    listed = parquet(storage.normalise(tmp_path / "lists"), uri=[row["uri"]])
    assert find(listed).recordings["etag"].to_pylist() == [row["etag"]]


@pytest.mark.parametrize("uri", ["a\0.wav", "file:///calls/a%00.wav", "s3://calls/a\0.wav"])
def test_a_zero_byte_in_a_uri_names_its_row(place: str, uri: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Row 2 of .* has the uri '.*', with a zero byte: no file has such"):
        of_parquet(place, uri=["b.wav", uri])


def test_a_single_file_is_named_after_itself(place: str) -> None:
    put(place, "day/a call.wav")
    assert call_ids(find(storage.join(place, "day", "a call.wav"))) == ["a call.wav"]


def test_what_raysee_made_itself_is_synthetic(place: str) -> None:
    put(place, "a.wav", MARKER)
    found = find(place)
    assert (found.synthetic, names(found)) == (True, ["a.wav"])


@pytest.mark.parametrize(
    ("there", "said"), [((), "does not exist"), (("a.txt",), "1 files, none of them ends in .wav")]
)
def test_a_prefix_without_a_recording_is_an_error(place: str, there: tuple[str, ...], said: str) -> None:
    put(place, *there)
    with pytest.raises(StorageError, match=said):
        find(place)


# --- patterns


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*/1.wav", ["a/1.wav", "b/1.wav"]),
        ("a/*", ["a/1.wav", "a/2.wav", "a/3.raw"]),  # whatever its ending: it was asked for
        ("a/?.wav", ["a/1.wav", "a/2.wav"]),
        ("a/[12].*", ["a/1.wav", "a/2.wav"]),
        ("a/[!1].wav", ["a/2.wav"]),
        ("**/1.wav", ["a/1.wav", "b/1.wav", "b/c/1.wav"]),
        ("b/**", ["b/1.wav", "b/c/1.wav"]),
        ("*", []),  # folders are no recordings
        ("*/4.wav", []),
    ],
)
def test_a_pattern_finds(place: str, pattern: str, found: list[str]) -> None:
    put(place, "a/1.wav", "a/2.wav", "a/3.raw", "a/.4.wav", "b/1.wav", "b/c/1.wav", "b/.tmp")
    above = pattern.rpartition("/")[0] if pattern[0] in "ab" else ""
    if found:
        its = find(f"{place}/{pattern}")
        assert sorted(storage.join(above, one).lstrip("/") for one in call_ids(its)) == found
        assert [storage.read_bytes(uri) for uri in its.recordings["uri"].to_pylist()] == [b"12345"] * len(found)
    else:
        with pytest.raises(StorageError, match=r"No recording in .*: 0 files\. Check the place"):
            find(f"{place}/{pattern}")


def test_a_folder_whose_name_has_brackets_is_no_pattern(place: str) -> None:
    put(place, "calls [1-3] *?/a.wav", "calls 2/b.wav")
    assert names(find(storage.join(place, "calls [1-3] *?"))) == ["a.wav"]


# --- lists


def test_a_list_says_all_that_is_known_of_a_call(place: str) -> None:
    put(place, "calls/a.wav")
    (file,) = storage.list_files(place)
    header = "queue,uri,roles,call_id,start_time"
    (row,) = of_csv(place, header, f'7,{file.uri},"agent, customer",0042,2026-11-19T08:15:00+01:00')
    assert row == {
        "uri": file.uri,
        "size_bytes": 5,
        "etag": file.etag,
        "call_id": "0042",
        "start_time": datetime.datetime(2026, 11, 19, 7, 15, tzinfo=datetime.UTC),
        "roles": ["agent", "customer"],
        "carried": [("queue", "7")],
    }


def test_uris_may_be_relative_to_the_list(place: str) -> None:
    relative = ("calls/a b.wav", "50%41.wav", "#1?.wav")
    put(place, *relative)
    rows = of_csv(place, "uri", *relative)
    assert [row["size_bytes"] for row in rows] == [5, 5, 5]
    assert [row["call_id"] for row in rows] == ["a b.wav", "50%41.wav", "#1?.wav"]
    assert sorted(row["uri"] for row in rows) == [
        file.uri for file in storage.list_files(place) if file.size_bytes == 5
    ]


def test_a_name_is_kept_as_it_is_written(place: str) -> None:
    put(place, "a.wav")
    told = ("00042", "team/a", 'said "no"', "two\nlines", " blank ", "0", "\u65e5\u672c")
    rows = of_csv(place, "uri,call_id", *('a.wav,"{}"'.format(one.replace('"', '""')) for one in told))
    assert [row["call_id"] for row in rows] == list(told)


def test_a_mark_of_the_encoding_is_no_part_of_a_name(place: str) -> None:
    put(place, "a.wav")
    assert of_csv(place, "\ufeffuri,call_id", "a.wav,7")[0]["call_id"] == "7"


def test_the_same_call_twice_is_two_rows(place: str) -> None:
    """Planning says which is the first: here nothing is dropped."""
    put(place, "a.wav")
    assert [row["call_id"] for row in of_csv(place, "uri,call_id", "a.wav,1", "a.wav,2")] == ["1", "2"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-19T08:15:00+01:00", "2026-11-19T07:15:00+00:00"),
        ("2026-11-19T08:15:00Z", "2026-11-19T08:15:00+00:00"),
        ("2026-11-19 08:15:00.5", "2026-11-19T08:15:00.500000+00:00"),
        ("2026-11-19", "2026-11-19T00:00:00+00:00"),
        ("2026-11-19T23:30:00-05:30", "2026-11-20T05:00:00+00:00"),
        ("", None),
    ],
)
def test_times_are_utc_where_they_name_no_offset(place: str, written: str, meant: str | None) -> None:
    (row,) = of_csv(place, "uri,start_time", f"a.wav,{written}")
    assert (row["start_time"] and row["start_time"].isoformat()) == meant


@pytest.mark.parametrize("written", ["19.11.2026", "8:15", "2026-02-30", "1700000000", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_is_none_names_its_row(place: str, written: str) -> None:
    with pytest.raises(
        ConfigurationError, match="Row 2 of .*list.csv has the start_time '.*': write it as 2026-11-19T"
    ):
        of_csv(place, "uri,start_time", "a.wav,", f"b.wav,{written}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"agent,customer"', ["agent", "customer"]),
        ('" Agent , CUSTOMER"', ["agent", "customer"]),
        ('",customer"', ["unknown", "customer"]),  # not the first channel
        ('"agent,"', ["agent", "unknown"]),
        ("", []),
        ('" "', []),
    ],
)
def test_roles_are_in_the_order_of_the_channels(place: str, written: str, meant: list[str]) -> None:
    assert of_csv(place, "uri,roles", f"a.wav,{written}")[0]["roles"] == meant


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (["Agent", "customer"], ["agent", "customer"]),
        (None, []),
        ([], []),
    ],
)
def test_roles_may_be_a_list_in_parquet(place: str, told: list[str] | None, meant: list[str]) -> None:
    column = pa.array([told], pa.list_(pa.string()))
    assert of_parquet(place, uri=["a.wav"], roles=column)[0]["roles"] == meant


@pytest.mark.parametrize("told", [3, [3], [["agent"]], ["agent", None]])
def test_other_roles_are_an_error(place: str, told: Any) -> None:
    with pytest.raises(ConfigurationError, match="Row 1 of .*list.parquet has the roles .*: write them as agent,"):
        of_parquet(place, uri=["a.wav"], roles=[told])


def test_columns_of_every_kind_are_carried_along_as_text(place: str) -> None:
    time = datetime.datetime(2026, 11, 19, 8, 15, tzinfo=datetime.UTC)
    columns = {
        "an integer": [7],
        "a float": [0.5],
        "true": [True],
        "text": ["0042"],
        "empty": [""],
        "null": pa.nulls(1),
        "decimal": [decimal.Decimal("1.50")],
        "date": [time.date()],
        "time": [time],
        "in ns": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        "list": [[1, 2]],
        "struct": [{"a": 1}],
        "dictionary": pa.array(["a"]).dictionary_encode(),
    }
    (row,) = of_parquet(place, **{"uri": ["a.wav"], **columns})
    assert row["carried"] == [
        ("an integer", "7"),
        ("a float", "0.5"),
        ("true", "True"),
        ("text", "0042"),
        ("empty", ""),
        ("decimal", "1.50"),
        ("date", "2026-11-19"),
        ("time", "2026-11-19T08:15:00+00:00"),
        ("in ns", "2023-11-14T22:13:20.123456789"),
        ("list", "[1, 2]"),
        ("struct", "{'a': 1}"),
        ("dictionary", "a"),
    ]


def test_known_columns_of_parquet_are_of_their_own_kinds(place: str) -> None:
    rows = of_parquet(
        place,
        uri=pa.array(["a.wav", "b.wav"]).dictionary_encode(),
        call_id=[0, 42],
        start_time=pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "Europe/Berlin")),
    )
    assert [row["call_id"] for row in rows] == ["0", "42"]
    assert [row["start_time"] and row["start_time"].isoformat() for row in rows] == [
        "2023-11-14T22:13:20.123456+00:00",
        None,
    ]


def test_what_is_not_there_has_no_size_and_no_tag(place: str) -> None:
    put(place, "folder/a.wav")
    rows = of_csv(place, "uri", "folder/a.wav", "gone.wav", "folder")
    assert [(row["size_bytes"], bool(row["etag"])) for row in rows] == [(5, True), (0, False), (0, False)]


@pytest.mark.parametrize(
    ("lines", "error", "said"),
    [
        ((), ConfigurationError, "is no list that can be read .*: give CSV with a header, or Parquet"),
        (("uri,queue",), StorageError, "is a list without a row: check what wrote it"),
        (("url;queue", "a.wav;7"), ConfigurationError, "has no column uri, but url;queue: name it so"),
        (("uri,queue", "a.wav"), ConfigurationError, "is no list that can be read .*Expected 2 columns, got 1"),
        (("uri,queue", "a.wav,1", ",2"), ConfigurationError, "Row 2 of .*list.csv has no uri"),
        (("uri", "http://host/a.wav"), StorageError, "'http://host/a.wav' is not a place"),
    ],
)
def test_a_list_that_cannot_be_read_is_said(
    place: str, lines: tuple[str, ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        of_csv(place, *lines)


def test_another_encoding_is_said(place: str) -> None:
    storage.write_bytes(storage.join(place, "list.csv"), "uri,name\na.wav,Jos\u00e9\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="is no list that can be read .*UTF8"):
        find(storage.join(place, "list.csv"))


@pytest.mark.parametrize("column", [[1], [b"a.wav"], [["a.wav"]], pa.nulls(1)])
def test_a_uri_is_text(place: str, column: Any) -> None:
    with pytest.raises(ConfigurationError, match="Row 1 of .*list.parquet has no uri: every row names its recording"):
        of_parquet(place, uri=column)


def test_a_truncated_parquet_file_and_none_are_said(place: str) -> None:
    uri = parquet(place, uri=["a.wav"] * 100)
    data = storage.read_bytes(uri)
    for length in (0, 3, len(data) // 2, len(data) - 5):
        storage.write_bytes(uri, data[:length])
        with pytest.raises(ConfigurationError, match="list.parquet is no list that can be read"):
            find(uri)
    storage.remove(uri)
    with pytest.raises(StorageError, match="list.parquet.* does not exist"):
        find(uri)


def test_a_list_of_synthetic_calls_says_so(place: str) -> None:
    put(place, "calls/a.wav", f"calls/{MARKER}")
    storage.write_bytes(storage.join(place, "list.csv"), b"uri\ncalls/a.wav\n")
    assert find(storage.join(place, "list.csv")).synthetic
