import http.server
import io
import os
import pathlib
import re
import threading
import urllib.request

import numpy as np
import pytest
import soundfile

from raysee import storage, storage_stream
from raysee.audio.decode import decode
from raysee.audio.stream import open_call
from raysee.errors import MissingError, StorageError, UnreachableError
from raysee.storage import FileInfo
from raysee.storage_stream import open_each, open_stream


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_stream, "BLOCK_BYTES", 1_000)


def stored(place: str, data: bytes) -> str:
    uri = storage.join(place, "a call.wav")
    storage.write_bytes(uri, data)
    return uri


def test_bytes_come_from_any_place_in_any_order(place: str) -> None:
    data = np.random.default_rng(0).bytes(9_500)
    rng = np.random.default_rng(1)
    with open_stream(stored(place, data)) as file:
        copy = io.BytesIO(data)
        assert file.read() == copy.read() == data
        for _ in range(40):
            offset, whence, size = int(rng.integers(-500, 9_000)), int(rng.integers(3)), int(rng.integers(1_500))
            offset = {0: abs(offset), 1: 0, 2: -abs(offset)}[whence]
            assert file.seek(offset, whence) == copy.seek(offset, whence)
            assert file.read(size) == copy.read(size)
            assert file.tell() == copy.tell()
        assert file.seek(20_000) == 20_000
        assert file.read(1) == b""
    assert file.closed


def test_few_blocks_are_held_and_the_last_ones_are_not_fetched_again(bucket: str) -> None:
    uri = stored(bucket, np.random.default_rng(0).bytes(50_000))
    with open_stream(uri) as file:
        fetched = []
        fetch = file._fetch
        file._fetch = lambda number: fetched.append(number) or fetch(number)
        for number in (0, 49, 0, 1, 0, 49, 2, 0, 3, 4, 5, 0, 49):
            file.seek(number * 1_000 + 10)
            file.read(100)
            assert len(file._blocks) <= storage_stream.NUM_BLOCKS
    assert fetched == [0, 49, 1, 2, 3, 4, 5, 49]


def test_a_call_is_read_from_where_it_lies(place: str) -> None:
    buffer = io.BytesIO()
    samples = 0.1 * np.random.default_rng(0).standard_normal((3_000, 2))
    for format in ("WAV", "FLAC", "MP3"):
        soundfile.write(buffer, samples, 8_000, format=format)
        with open_stream(stored(place, buffer.getvalue())) as file, open_call(file, 8_000) as call:
            found = np.concatenate(list(call.blocks))
        np.testing.assert_array_equal(found, decode(buffer.getvalue()).samples)
        buffer = io.BytesIO()


def test_what_was_replaced_after_the_listing_is_not_opened(place: str) -> None:
    uri = stored(place, b"1" * 3_000)
    (listed,) = storage.list_files(place)
    with open_stream(uri, listed.etag) as file:
        assert file.read() == b"1" * 3_000
    storage.write_bytes(uri, b"2" * 3_000)
    with pytest.raises(MissingError, match="a%20call.wav was replaced|a call.wav was replaced"):
        open_stream(uri, listed.etag)


def test_what_is_replaced_while_it_is_read_is_an_error_and_no_mixture(place: str) -> None:
    uri = stored(place, b"1" * 3_000)
    with open_stream(uri) as file:
        assert file.read(900) == b"1" * 900
        storage.write_bytes(uri, b"2" * 3_000)
        with pytest.raises(MissingError, match="was replaced after it was listed: start again"):
            file.read()


def test_a_local_file_that_grows_is_an_error(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"1" * 3_000)
    os.utime(path, (1, 1))
    with open_stream(path.as_uri()) as file:
        file.read(900)
        with path.open("ab") as recorder:
            recorder.write(b"2" * 500)
        with pytest.raises(MissingError, match="was replaced"):
            file.read()


def test_what_disappears_is_missing(place: str) -> None:
    uri = stored(place, b"1" * 3_000)
    with open_stream(uri) as file:
        file.read(900)
        storage.remove(uri)
        with pytest.raises(MissingError, match="does not exist"):
            file.read()
    with pytest.raises(MissingError, match="does not exist"):
        open_stream(uri)


def test_a_call_that_is_replaced_is_not_called_broken(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_stream, "BLOCK_BYTES", 100_000)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((200_000, 2)), 8_000, format="WAV")
    uri = stored(place, buffer.getvalue())
    with open_stream(uri) as file, open_call(file, 8_000, block_s=1.0) as call:
        next(call.blocks)
        storage.write_bytes(uri, bytes(1_000_000))
        with pytest.raises(MissingError, match="was replaced"):
            list(call.blocks)


def test_an_empty_object_is_an_empty_stream(place: str) -> None:
    with open_stream(stored(place, b"")) as file:
        assert file.read() == b""


def listed_in_order(place: str, sizes: dict[str, int]) -> list[FileInfo]:
    """Files of so many bytes, each of its own; in the order of `sizes`, as a listing says of them."""
    for number, (name, size) in enumerate(sizes.items()):
        storage.write_bytes(storage.join(place, name), bytes([number % 256]) * size)
    found = {storage.basename(file.uri): file for file in storage.list_files(place)}
    return [found[name] for name in sizes]


def test_each_file_is_opened_in_its_order(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones in memory, large ones as streams, more of them than are opened ahead."""
    monkeypatch.setattr(storage_stream, "_SMALL_BYTES", 1_500)
    sizes = {f"{number * 7 % 30:02}.wav": 2_500 if number % 5 == 0 else 10 * number for number in range(30)}
    files = listed_in_order(place, sizes)
    for number, (file, found) in enumerate(zip(files, open_each(files), strict=True)):
        assert not isinstance(found, StorageError)
        assert isinstance(found, io.BytesIO) == (file.size_bytes <= 1_500)
        with found:
            assert found.read() == bytes([number]) * file.size_bytes
    assert list(open_each([])) == []


def test_what_cannot_be_opened_is_an_error_in_its_place(place: str) -> None:
    files = listed_in_order(place, {"a.wav": 10, "gone.wav": 10, "replaced.wav": 10, "b.wav": 10})
    storage.remove(files[1].uri)
    storage.write_bytes(files[2].uri, b"x" * 10)  # of the same size
    never = FileInfo(storage.join(place, "b.wav"), 0, "")
    found = list(open_each([*files, never]))
    kinds = [type(one) for one in found]
    assert kinds == [io.BytesIO, MissingError, MissingError, io.BytesIO, MissingError]
    assert re.search("gone.wav.* does not exist", str(found[1]))
    assert "replaced.wav was replaced after it was listed: start again" in str(found[2])
    assert "b.wav was not there when the list was read: it is scored when it has come" in str(found[4])


class Refusing:
    """A file system without any rights: in tests of root a file without any is read all the same."""

    def open(self, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")


def test_a_store_that_refuses_is_an_error_as_a_value(place: str, s3_server: str) -> None:
    """So it is a row of rejects, and the calls beside it are scored."""
    files = listed_in_order(place, {"a.wav": 10, "b.wav": 10})

    def allow(actions: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{s3_server}/moto-api/reset-auth", data=actions, headers=headers)
        urllib.request.urlopen(request).read()

    if place.startswith("s3://"):
        allow(b"0")
        try:
            found = list(open_each(files))
        finally:
            allow(b"inf")
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(storage_stream, "filesystem", lambda uri: Refusing())
            found = list(open_each(files))
    assert [type(one) for one in found] == [StorageError, StorageError]
    assert all("No permission for" in str(one) for one in found)


@pytest.mark.parametrize("size", [10, 5_000])
def test_a_folder_in_the_place_of_a_file_is_an_error_as_a_value(tmp_path: pathlib.Path, size: int) -> None:
    (tmp_path / "a.wav").mkdir()
    (found,) = open_each([FileInfo((tmp_path / "a.wav").as_uri(), size, "1")])
    assert isinstance(found, StorageError)


class BreaksOff(http.server.BaseHTTPRequestHandler):
    """Answers with half of what it announces."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        for name, value in (
            ("Content-Length", "1000"),
            ("ETag", '"1"'),
            ("Last-Modified", "Thu, 19 Nov 2026 08:00:00 GMT"),
        ):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(bytes(500))

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_body_that_breaks_off_is_an_error_as_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3fs.core.S3_RETRYABLE_ERRORS", ())  # it would try again for some seconds
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        small, large = open_each([FileInfo("s3://bucket/a.wav", size, "1") for size in (1_000, 10**9)])
        assert isinstance(small, UnreachableError)
        assert not isinstance(large, StorageError)
        with pytest.raises(UnreachableError, match="s3://bucket/a.wav does not answer .*received 500 of 1000 bytes"):
            large.read()
        server.shutdown()
