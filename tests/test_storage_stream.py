import io
import os
import pathlib

import numpy as np
import pytest
import soundfile

from raysee import storage, storage_stream
from raysee.audio.decode import decode
from raysee.audio.stream import open_call
from raysee.errors import MissingError
from raysee.storage_stream import open_stream


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
            found = np.concatenate([block.samples for block in call.blocks])
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
