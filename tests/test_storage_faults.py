"""What comes out of an object store on a bad day: the object, or an error as a value, in bounded time."""

from collections.abc import Iterator

import pytest

from raysee import filesystems, schema, storage
from raysee.errors import StorageError, UnreachableError
from raysee.storage_stream import open_each, open_stream

from .faulty_s3 import FaultyS3, Request, by_name

DATA = b"sound" * 2000


@pytest.fixture
def faulty(bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A store whose objects' names say what happens to their first readers."""
    monkeypatch.setattr(filesystems, "READ_TIMEOUT_S", 0.5)
    rules = {
        "busy-twice": ("slow down", 2),
        "cut-once": ("truncate", 1),
        "lost-once": ("reset", 1),
        "slow-once": ("stall", 1),
        "always-busy": ("slow down", 999),
        "always-cut": ("truncate", 999),
        "always-lost": ("reset", 999),
        "always-slow": ("stall", 999),
        "denied": ("deny", 999),
    }
    for name in ("fine", *rules):
        storage.write_bytes(storage.join(bucket, f"{name}.wav"), DATA)
    with FaultyS3(s3_server, by_name(rules)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.mark.timeout(60)
def test_what_passes_is_tried_again_and_what_does_not_is_an_error_of_its_own(bucket: str, faulty: FaultyS3) -> None:
    files = storage.list_files(bucket)
    read = {
        storage.basename(file.uri).removesuffix(".wav"): opened if isinstance(opened, StorageError) else opened.read()
        for file, opened in zip(files, open_each(files), strict=True)
    }
    assert {name for name, found in read.items() if found == DATA} == {
        "fine", "busy-twice", "cut-once", "lost-once", "slow-once"
    }  # fmt: skip
    for name in ("always-cut", "always-lost", "always-slow"):
        assert isinstance(read[name], UnreachableError), name
        assert "does not answer" in str(read[name])
    assert "SlowDown" in str(read["always-busy"])
    assert "No permission" in str(read["denied"])
    stalled = [request for fault, request in faulty.faults if fault == "stall" and "always" in request.path]
    assert len(stalled) <= 20, "each takes as long as the time-out"


def test_an_answer_that_is_cut_is_never_taken_for_the_whole(bucket: str, faulty: FaultyS3) -> None:
    """Also by who reads a part of an object at a time, or all of it at once."""
    with open_stream(storage.join(bucket, "always-cut.wav")) as stream, pytest.raises(UnreachableError):
        stream.read()
    with pytest.raises(UnreachableError):
        storage.read_bytes(storage.join(bucket, "always-cut.wav"))


def test_what_could_not_be_written_is_said_and_not_there(
    bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(request: Request) -> str:
        return "deny" if request.method in ("PUT", "POST") else ""

    with FaultyS3(s3_server, denied) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(StorageError, match="No permission"):
            storage.write_table(storage.join(bucket, "a.parquet"), schema.empty(schema.LEDGER), schema.LEDGER)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    assert not storage.exists(storage.join(bucket, "a.parquet"))
