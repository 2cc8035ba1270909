import os
import pathlib
import threading
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysee import schema, storage
from raysee.errors import StorageError, UnreachableError

REJECT = {"id": "a", "uri": "file:///a", "stage": "score", "error": "NotAudio", "message": "text"}


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("file:///a/b/", "file:///a/b"),
        ("/a/b c/", "file:///a/b%20c"),
    ],
)
def test_places_become_uris(place: str, uri: str) -> None:
    assert storage.normalise(place) == uri


def test_relative_paths_become_absolute(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.normalise("lake") == (tmp_path / "lake").as_uri()


@pytest.mark.parametrize("place", ["http://host/a", "gs://bucket/a", "s3://", "s3:///"])
def test_other_schemes_are_refused(place: str) -> None:
    with pytest.raises(StorageError, match="is not a place that raysee can use"):
        storage.normalise(place)


def test_bytes_come_back(place: str) -> None:
    uri = storage.join(place, "folder", "name with blank.bin")
    assert not storage.exists(uri)
    storage.write_bytes(uri, b"first")
    storage.write_bytes(uri, b"second")
    assert storage.exists(uri)
    assert storage.read_bytes(uri) == b"second"


def test_listing_is_sorted_and_deep(place: str) -> None:
    for name in ("b.wav", "a/z.wav", "a/#1 50%.wav"):
        storage.write_bytes(storage.join(place, *name.split("/")), b"12345")
    files = storage.list_files(place)
    assert [storage.basename(file.uri) for file in files] == ["#1 50%.wav", "z.wav", "b.wav"]
    assert {file.size_bytes for file in files} == {5}
    assert [storage.read_bytes(file.uri) for file in files] == [b"12345"] * 3, "what is listed can be read"


def test_what_a_killed_write_has_left_is_in_no_listing(place: str) -> None:
    for name in ("a.json", f".b.json.0123{storage.UNFINISHED}"):
        storage.write_bytes(storage.join(place, name), b"{")
    assert storage.names(place) == {"a.json"}
    assert [storage.basename(file.uri) for file in storage.list_files(place)] == ["a.json"]


def test_a_replaced_file_has_another_etag(place: str) -> None:
    uri = storage.join(place, "a.wav")
    storage.write_bytes(uri, b"1")
    (before,) = storage.list_files(place)
    storage.write_bytes(uri, b"2")
    (after,) = storage.list_files(place)
    assert before.etag != after.etag


def test_names_of_a_folder_that_is_not_there(place: str) -> None:
    assert storage.names(storage.join(place, "nothing")) == set()


def test_remove_takes_all_below_and_nothing_else(place: str) -> None:
    storage.write_bytes(storage.join(place, "a", "b", "c"), b"1")
    storage.write_bytes(storage.join(place, "ab"), b"1")
    storage.remove(storage.join(place, "a"))
    storage.remove(storage.join(place, "a"))
    assert [storage.basename(file.uri) for file in storage.list_files(place)] == ["ab"]


def test_a_table_comes_back(place: str) -> None:
    table = pa.Table.from_pylist([REJECT], schema=schema.REJECTS)
    for number in (1, 0):
        storage.write_table(storage.join(place, f"part-{number:05d}.parquet"), table, schema.REJECTS)
    storage.write_bytes(storage.join(place, "receipt.json"), b"{}")
    assert storage.read_table(place, schema.REJECTS).to_pylist() == [REJECT, REJECT]
    assert storage.read_table(place, schema.REJECTS, columns=["error"]).column_names == ["error"]


def test_columns_of_many_files_come_one_by_one(place: str) -> None:
    uris = [storage.join(place, f"{number}.parquet") for number in range(20)]
    for number, uri in enumerate(uris):
        storage.write_table(uri, pa.Table.from_pylist([REJECT | {"id": str(number)}]), schema.REJECTS)
    found = [table.to_pylist() for table in storage.read_tables(uris, schema.REJECTS, ["error", "id"])]
    assert found == [[{"error": "NotAudio", "id": str(number)}] for number in range(20)]
    storage.remove(uris[3])
    read = storage.read_tables(uris, schema.REJECTS, ["id"])
    assert [next(read)["id"][0].as_py() for _ in range(3)] == ["0", "1", "2"]
    with pytest.raises(StorageError, match=r"/3\.parquet.* does not exist"):
        next(read)
    with pytest.raises(StorageError, match="Columns label are missing"):
        list(storage.read_tables(uris[:1], pa.schema([("label", pa.string())]), ["label"]))


def test_a_column_that_an_earlier_version_did_not_write_is_null(place: str) -> None:
    row = {
        "clip_id": "a",
        "content_sha256": "",
        "duration_s": 1.0,
        "sample_rate_hz": 8000,
        "shape": [1],
        "values": [0.0],
    }
    data = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([row]), data)
    uri = storage.join(place, "part-00000.parquet")
    storage.write_bytes(uri, data.getvalue().to_pybytes())
    assert storage.read_table(uri, schema.FEATURES).to_pylist() == [row | {"level_dbfs": None}]
    found = storage.read_table(uri, schema.FEATURES, ["level_dbfs", "clip_id"])
    assert found.to_pylist() == [{"level_dbfs": None, "clip_id": "a"}]
    with pytest.raises(StorageError, match="Columns corpus, .* are missing; found clip_id"):
        storage.read_table(uri, schema.UTTERANCES)


def test_a_folder_without_parts_is_a_table_without_rows(place: str) -> None:
    table = storage.read_table(storage.join(place, "nothing"), schema.REJECTS)
    assert table.num_rows == 0
    assert table.schema == schema.REJECTS


def test_a_broken_parquet_file_is_named(place: str) -> None:
    uri = storage.join(place, "part-00000.parquet")
    storage.write_bytes(uri, b"PAR1 no PAR1")
    with pytest.raises(StorageError, match="part-00000.parquet is not a readable Parquet file"):
        storage.read_table(uri, schema.REJECTS)


def test_a_failed_write_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = storage.normalise(tmp_path / "a.bin")
    storage.write_bytes(uri, b"old")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No room is left"):
        storage.write_bytes(uri, b"new")
    assert storage.read_bytes(uri) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_readers_never_see_half_a_file(place: str) -> None:
    uri, contents = storage.join(place, "a.bin"), [bytes([digit]) * 300_000 for digit in range(8)]
    storage.write_bytes(uri, contents[0])
    writer = threading.Thread(target=lambda: [storage.write_bytes(uri, content) for content in contents])
    writer.start()
    seen = [storage.read_bytes(uri) for _ in range(10)]
    writer.join()
    assert all(one in contents for one in seen)


def test_read_each_keeps_the_order_and_hands_over_errors(place: str) -> None:
    uris = [storage.join(place, f"{number}.bin") for number in range(40)]
    for number, uri in enumerate(uris):
        if number != 7:
            storage.write_bytes(uri, str(number).encode())
    found = list(storage.read_each(uris))
    assert [one for number, one in enumerate(found) if number != 7] == [
        str(number).encode() for number in range(40) if number != 7
    ]
    assert isinstance(found[7], StorageError)


def test_what_is_not_there_is_named(place: str) -> None:
    for use in (storage.read_bytes, storage.list_files):
        with pytest.raises(StorageError, match="nowhere.* does not exist: check the spelling"):
            use(storage.join(place, "nowhere"))


def test_a_wrong_bucket_is_named(s3_server: str) -> None:
    with pytest.raises(StorageError, match="s3://no-such-bucket-of-ours/a or its bucket does not exist"):
        storage.list_files("s3://no-such-bucket-of-ours/a")
    with pytest.raises(StorageError, match="no-such-bucket-of-ours"):
        storage.write_bytes("s3://no-such-bucket-of-ours/a", b"1")


def test_wrong_credentials_are_named(bucket: str, s3_server: str) -> None:
    def allow(actions: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{s3_server}/moto-api/reset-auth", data=actions, headers=headers)
        urllib.request.urlopen(request).read()

    allow(b"0")  # from now on the server looks at who asks
    try:
        with pytest.raises(StorageError, match="No permission for .*: check the credentials"):
            storage.list_files(bucket)
    finally:
        allow(b"inf")


def test_an_unreachable_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="does not answer.*check AWS_ENDPOINT_URL"):
        storage.list_files("s3://bucket/a")
