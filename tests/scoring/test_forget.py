import json
import pathlib
import urllib.parse
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from raysee import schema, storage
from raysee.errors import BusyError, ConfigurationError, MissingError
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
    storage.write_bytes(storage.join(scored, "report.html"), f"<td>{name}</td>".encode())
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


@pytest.fixture
def same_name(scored: str) -> str:
    """Another night, whose recorder has used the name of a call again."""
    _again(scored)
    return scored


def _again(place: str) -> None:
    rows = planned("file:///two/b.wav")
    rows = rows.set_column(rows.schema.get_field_index("call_id"), rows.schema.field("call_id"), [["b.wav"]])
    batches.begin(place, _batch().model_copy(update={"number": 1}), rows)


def test_of_several_recordings_of_one_name_none_is_erased_by_chance(same_name: str) -> None:
    before = _everything(same_name)
    with pytest.raises(
        ConfigurationError, match=r"2 recordings are called 'b.wav': file:///b.wav, file:///two/b.wav.*--uri"
    ):
        forget(same_name, "b.wav")
    with pytest.raises(
        MissingError, match=r"no call 'b.wav' at file:///three/b.wav, but at file:///b.wav, file:///two/"
    ):
        forget(same_name, "b.wav", "file:///three/b.wav")
    assert _everything(same_name) == before


def test_the_recording_that_is_meant_is_erased_or_all_of_them(same_name: str) -> None:
    assert forget(same_name, "b.wav", "file:///two/b.wav")["plans"] == 1
    assert batches.read(same_name, "calls", schema.CALLS)["uri"].to_pylist().count("file:///b.wav") == 2
    _again(same_name)
    assert forget(same_name, "b.wav", everywhere=True)["plans"] == 2
    assert b"b.wav" not in _everything(same_name)
    assert len(storage.names(storage.join(same_name, "forgotten"))) == 2, "each has its receipt"


def test_what_a_killed_start_was_writing_is_erased_too(scored: str) -> None:
    if scored.startswith("s3://"):
        pytest.skip("an object is there or not")
    night = pathlib.Path(storage.path_of(scored)) / "calls" / "date=2026-11-19"
    (night / ".part-00000.parquet.0123456789abcdef.tmp").write_bytes(b"anna@example.org.wav")
    forget(scored, "anna@example.org.wav")
    assert [path.name for path in night.iterdir()] == ["part-00000.parquet"]


def test_a_kill_in_between_is_gone_on_with(scored: str) -> None:
    """The plans are last: what is gone already is not asked for."""
    whole = forget(scored, "b.wav")
    batches.begin(scored, _batch(), planned(*CALLS[:2]))
    assert forget(scored, "b.wav") == {**whole, "calls": 0, "segments": 0, "ledger": 0}


def test_a_night_at_work_is_not_disturbed(scored: str) -> None:
    with Lock(scored), pytest.raises(BusyError):
        forget(scored, "b.wav")
