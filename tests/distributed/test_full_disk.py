"""A night on a disk that is full: it stops with a sentence, and goes on when there is room."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from raysee import schema, storage
from raysee.config import ScoreConfig
from raysee.distributed.score import score
from raysee.errors import RayseeError
from raysee.scoring import batches

CUSTOMERS = ScoreConfig(channels=(("agent", "customer"),))
CALLS = 130  # names, in three shards


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 48 KiB: enough for a plan and not for the scores of all shards."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("nobody but root may mount a file system here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_stops_a_night_which_goes_on_when_there_is_room(
    model: str, call_archive: pathlib.Path, small_disk: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    sounds = sorted(call_archive.rglob("*.wav"))
    archive = tmp_path / "calls"
    archive.mkdir()
    for number in range(CALLS):
        os.link(sounds[number % 3], archive / f"{number:03}.wav")
    (undisturbed,) = score(str(archive), model, str(tmp_path / "whole"), CUSTOMERS)
    with pytest.raises(RayseeError, match="No room is left for .*small.*: make some"):
        score(str(archive), model, str(small_disk), CUSTOMERS)
    assert storage.exists(storage.normalise(small_disk / "batches" / "00000.json")), "it had begun"
    assert not storage.exists(storage.normalise(small_disk / "nights"))
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    (stage,) = score(str(archive), model, str(small_disk), CUSTOMERS)
    assert stage.receipt.counts == {"in": CALLS, "out": CALLS, "rejected": 0, "already": 0}
    assert stage.receipt.fingerprint == undisturbed.receipt.fingerprint
    for name, its_schema in (("calls", schema.CALLS), ("segments", schema.SEGMENTS), ("rejects", schema.REJECTS)):
        ours, theirs = (
            sorted(batches.read(one.place, name, its_schema).to_pylist(), key=repr) for one in (stage, undisturbed)
        )
        assert ours == theirs
