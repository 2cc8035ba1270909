import json
import urllib.parse
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from raysee import schema, storage
from raysee.errors import BusyError, MissingError
from raysee.lock import Lock
from raysee.scoring import batches, contact_lens, ledger
from raysee.scoring.batches import Batch
from raysee.scoring.forget import forget

from .test_score import both_sides, planned, run, scorer

CALLS = ("file:///anna@example.org.wav", "file:///b.wav", "file:///cut.wav")


@pytest.fixture
def scored(place: str) -> str:
    """A night of three calls, one of which is a reject."""
    scores = run({CALLS[0]: both_sides(), CALLS[1]: both_sides(), CALLS[2]: b"text"}, scorer())
    rows = planned(*CALLS)
    batches.begin(place, _batch(), rows)
    for name, table in (("calls", scores.calls), ("segments", scores.segments), ("rejects", scores.rejects)):
        its_schema = {"calls": schema.CALLS, "segments": schema.SEGMENTS, "rejects": schema.REJECTS}[name]
        storage.write_table(storage.join(place, name, "date=2026-11-19", "part-00000.parquet"), table, its_schema)
    for name, data in contact_lens.files(scores):
        storage.write_bytes(storage.join(place, "json", "date=2026-11-19", name), data)
    for number, uri in enumerate(CALLS):
        storage.write_bytes(
            storage.join(place, _batch().begun, f"part-{number}.json"), json.dumps({"open": uri}).encode()
        )
    ledger.write(place, "work", "00000", [bytes.fromhex(key) for key in rows["key"].to_pylist()])
    return place


def _batch() -> Batch:
    told: dict[str, Any] = {"identity": {}, "reason": "", "settled": 0, "twice": 0, "others": {}, "synthetic": False}
    return Batch(number=0, date="2026-11-19", source="s3://calls", work="work", first_shard=0, num_shards=1, **told)


def _everything(place: str) -> bytes:
    """All that is written below a place, tables as text."""
    said = b""
    for file in storage.list_files(place):
        data = storage.read_bytes(file.uri)
        said += file.uri.removeprefix(place).encode()
        said += repr(pq.read_table(pa.BufferReader(data)).to_pylist()).encode() if b"PAR1" in data[:4] else data
    return said


@pytest.mark.parametrize("number", [0, 2])
def test_nothing_is_left_of_a_call_and_all_of_the_others(scored: str, number: int) -> None:
    name = CALLS[number].rpartition("/")[2]
    key = planned(*CALLS).filter(pc.equal(planned(*CALLS)["uri"], CALLS[number]))["key"][0].as_py()
    assert name.encode() in _everything(scored)
    before = batches.read(scored, "calls", schema.CALLS)
    counts = forget(scored, name)
    left = _everything(scored)
    for trace in (name, key, urllib.parse.quote(name), repr(bytes.fromhex(key))):
        assert trace.encode() not in left
    assert counts["plans"] == counts["ledger"] == 1
    assert (counts["calls"], counts["rejects"]) == ((2, 0) if number == 0 else (0, 1))
    others = before.filter(pc.not_equal(before["call_id"], name))
    assert batches.read(scored, "calls", schema.CALLS).equals(others)
    assert sum(len(part) for part in ledger.parts(scored)) == 2
    (receipt,) = storage.names(storage.join(scored, "forgotten"))
    assert json.loads(storage.read_bytes(storage.join(scored, "forgotten", receipt)))["rows"] == counts
    with pytest.raises(MissingError, match="knows no call"):
        forget(scored, name)


def test_a_kill_in_between_is_gone_on_with(scored: str) -> None:
    """The plans are last: what is gone already is not asked for."""
    whole = forget(scored, "b.wav")
    batches.begin(scored, _batch(), planned(*CALLS[:2]))
    assert forget(scored, "b.wav") == {**whole, "calls": 0, "segments": 0, "ledger": 0}


def test_a_night_at_work_is_not_disturbed(scored: str) -> None:
    with Lock(scored), pytest.raises(BusyError):
        forget(scored, "b.wav")
