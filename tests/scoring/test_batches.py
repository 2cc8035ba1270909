import pathlib
from typing import Any

import pyarrow as pa
import pytest

from raysee import schema, storage
from raysee.receipts import Receipt
from raysee.scoring import batches
from raysee.scoring.batches import Batch


def batch(number: int, **changed: Any) -> Batch:
    told = {
        **{"number": number, "date": "2026-11-19", "source": "s3://calls", "work": "w", "identity": {"model": "m"}},
        **{"reason": "", "listed": 2, "settled": 0, "twice": 0, "others": {}, "synthetic": True},
        **{"first_shard": number, "num_shards": 1},
    }
    return Batch.model_validate({**told, **changed})


def plan(*uris: str, shard: int = 0) -> pa.Table:
    told = {"size_bytes": 1, "etag": "1", "call_id": "", "roles": ["agent"], "carried": [("queue", "7")]}
    rows = [{"key": uri, "uri": uri, **told, "shard": shard, "synthetic": True} for uri in uris]
    return pa.Table.from_pylist(rows, schema=schema.CALL_PLAN)


def receipt(number: int) -> Receipt:
    return Receipt(
        stage="score", fingerprint=str(number), config={}, inputs={}, counts={}, rejects={}, details={}, wall_s=0
    )


def test_where_nothing_was_begun_there_is_nothing(place: str) -> None:
    assert batches.last(place) is None
    assert batches.unfinished(place, "w") == []
    assert batches.nights(place, 7) == []
    assert batches.read(place, "calls", schema.CALLS).num_rows == 0


def test_what_was_begun_is_known_to_the_next_start(place: str) -> None:
    first = batch(0, others={".txt": 1}, reason="safety")
    batches.begin(place, first, plan("a", "b"))
    assert batches.last(place) == first
    assert batches.unfinished(place, "w") == [first]
    assert batches.unfinished(place, "another") == []
    assert batches.plan_of(place, first).equals(plan("a", "b"))


def test_a_plan_without_its_batch_does_not_exist(place: str) -> None:
    """As a start leaves it that is killed between the two: the next one takes the same number."""
    batches.begin(place, batch(0), plan("a"))
    batches.begin(place, batch(1), plan("b", "c"))
    storage.remove(storage.join(place, "batches", "00001.json"))
    assert batches.last(place) == batch(0)
    assert batches.unfinished(place, "w") == [batch(0)]
    batches.begin(place, batch(1), plan("d"))
    assert batches.plan_of(place, batch(1)).equals(plan("d"))


def test_a_plan_is_there_before_its_batch(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = storage.write_bytes
    monkeypatch.setattr(storage, "write_bytes", lambda uri, data: written.append(uri) or write(uri, data))
    batches.begin(place, batch(0), plan("a"))
    assert [storage.basename(uri) for uri in written] == ["00000.parquet", "00000.json"]


def test_a_receipt_ends_a_batch(place: str) -> None:
    for number in range(3):
        batches.begin(place, batch(number), plan("a"))
    stamped = batches.finish(place, batch(1), receipt(1))
    assert stamped.written_at
    assert batches.nights(place, 7) == [stamped]
    assert batches.unfinished(place, "w") == [batch(0), batch(2)]
    assert batches.last(place) == batch(2)


def test_the_last_nights_are_in_their_order(place: str) -> None:
    """Names have five digits, and then one more."""
    numbers = (7, 99_998, 99_999, 100_000, 100_001)
    for number in numbers:
        batches.begin(place, batch(number), plan("a"))
    assert batches.last(place) == batch(100_001)
    assert [one.number for one in batches.unfinished(place, "w")] == list(numbers)
    for number in reversed(numbers):
        batches.finish(place, batch(number), receipt(number))
    assert [night.fingerprint for night in batches.nights(place, 3)] == ["99999", "100000", "100001"]
    assert [night.fingerprint for night in batches.nights(place, 9)] == [str(number) for number in numbers]
    assert batches.unfinished(place, "w") == []


def test_what_a_killed_start_was_writing_is_no_batch(tmp_path: pathlib.Path) -> None:
    place = storage.normalise(tmp_path)
    batches.begin(place, batch(0), plan("a"))
    batches.finish(place, batch(0), receipt(0))
    for folder in ("batches", "nights"):
        (tmp_path / folder / ".00001.json.abcdef.tmp").write_text('{"number": 1')
    assert batches.last(place) == batch(0)
    assert batches.unfinished(place, "w") == []
    assert len(batches.nights(place, 7)) == 1


def test_a_night_is_read_alone_or_with_all_others(place: str) -> None:
    reject = {"uri": "u", "stage": "score", "error": "E", "message": "m"}
    for date, part, name in (("2026-11-20", 2, "c"), ("2026-11-19", 0, "a"), ("2026-11-19", 1, "b")):
        table = pa.Table.from_pylist([{"id": name, **reject}], schema=schema.REJECTS)
        uri = storage.join(place, "rejects", batches.partition(date), f"part-{part:05d}.parquet")
        storage.write_table(uri, table, schema.REJECTS)
    assert batches.read(place, "rejects", schema.REJECTS)["id"].to_pylist() == ["a", "b", "c"]
    assert batches.read(place, "rejects", schema.REJECTS, "2026-11-20")["id"].to_pylist() == ["c"]
    assert batches.read(place, "rejects", schema.REJECTS, "2026-11-21").num_rows == 0
    assert batches.read(place, "rejects", schema.REJECTS, columns=["error"]).to_pylist() == [{"error": "E"}] * 3


def test_a_batch_writes_below_its_date_and_under_its_number() -> None:
    assert (batch(3).done, batch(3).partition) == ("done/00003", "date=2026-11-19")
