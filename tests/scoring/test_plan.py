import pathlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee import schema, storage
from raysee.scoring import ledger
from raysee.scoring.plan import New, new_recordings, plan

MIB = 2**20


def recordings(sizes: list[int], etag: str = "1") -> pa.Table:
    told = {"etag": etag, "roles": ["agent", "customer"], "carried": [("queue", "7")]}
    rows = [
        {"uri": f"s3://calls/{number:05}.wav", "size_bytes": size, "call_id": f"call {number}", **told}
        for number, size in enumerate(sizes)
    ]
    return pa.Table.from_pylist(rows, schema=schema.RECORDINGS)


def keyed(sizes: list[int]) -> pa.Table:
    its = recordings(sizes)
    return its.append_column("key", pa.array([key.hex() for key in ledger.keys(its).to_pylist()], pa.string()))


@pytest.fixture
def to(tmp_path: pathlib.Path) -> str:
    return storage.normalise(tmp_path)


def settle(to: str, work: str, batch: str, new: New) -> None:
    ledger.write(to, work, batch, [bytes.fromhex(key) for key in new.recordings["key"].to_pylist()])


def test_what_is_settled_is_not_new(to: str) -> None:
    everything = recordings([1, 2, 3])
    first = new_recordings(everything.slice(0, 2), to, "")
    assert (first.recordings.num_rows, first.num_settled, first.num_twice) == (2, 0, 0)
    settle(to, "work", "00000", first)
    then = new_recordings(everything, to, "")
    assert (then.recordings["call_id"].to_pylist(), then.num_settled, then.num_twice) == (["call 2"], 2, 0)
    assert bytes.fromhex(then.recordings["key"][0].as_py()) == ledger.keys(everything)[2].as_py()


def test_with_a_work_only_what_it_has_settled_counts(to: str) -> None:
    everything = recordings([1, 2, 3])
    settle(to, "old", "00000", new_recordings(everything, to, ""))
    settle(to, "new", "00001", new_recordings(everything.slice(0, 1), to, "new"))
    assert new_recordings(everything, to, "").recordings.num_rows == 0
    rescored = new_recordings(everything, to, "new")
    assert (rescored.recordings["call_id"].to_pylist(), rescored.num_settled) == (["call 1", "call 2"], 1)


def test_a_replaced_recording_is_new(to: str) -> None:
    settle(to, "work", "00000", new_recordings(recordings([1, 2]), to, ""))
    again = new_recordings(recordings([1, 2], etag="2"), to, "")
    assert (again.recordings.num_rows, again.num_settled) == (2, 0)


def test_what_is_listed_twice_is_new_or_settled_once(to: str) -> None:
    its = recordings([1, 2])
    twice = pa.concat_tables([its, its, its.slice(1)])
    first = new_recordings(twice, to, "")
    assert (first.recordings["call_id"].to_pylist(), first.num_settled, first.num_twice) == (["call 0", "call 1"], 0, 3)
    settle(to, "work", "00000", first)
    then = new_recordings(twice, to, "")
    assert (then.recordings.num_rows, then.num_settled, then.num_twice) == (0, 2, 3)


def test_nothing_is_new_of_nothing(to: str) -> None:
    new = new_recordings(recordings([]), to, "")
    assert (new.num_settled, new.num_twice) == (0, 0)
    assert plan(new.recordings, 7, synthetic=False).equals(schema.empty(schema.CALL_PLAN))


def test_a_row_of_the_plan_says_all_that_is_known(to: str) -> None:
    its = recordings([7])
    planned = plan(new_recordings(its, to, "").recordings, 3, synthetic=True)
    assert planned.schema.equals(schema.CALL_PLAN)
    key = ledger.keys(its)[0].as_py().hex()
    assert planned.to_pylist() == [{"key": key, **its.to_pylist()[0], "shard": 3, "synthetic": True}]


@pytest.mark.parametrize(
    ("sizes", "shards"),
    [
        ([], []),
        ([1] * 64, [0] * 64),
        ([1] * 65, [0] * 64 + [1]),  # 64 calls at most
        ([16 * MIB, 16 * MIB, 1], [0, 0, 1]),  # 32 MiB at most
        ([32 * MIB, 0, 1], [0, 0, 1]),
        ([40 * MIB, 0], [0, 1]),  # one that is larger is a shard of its own
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_shards_are_of_like_size(sizes: list[int], shards: list[int]) -> None:
    planned = plan(keyed(sizes), 0, synthetic=False)
    assert planned["size_bytes"].to_pylist() == sizes
    assert planned["shard"].to_pylist() == shards


def test_calls_that_others_would_wait_for_come_first() -> None:
    planned = plan(keyed([1, 40 * MIB, 3, 50 * MIB, 30 * MIB]), 5, synthetic=False)
    assert planned["size_bytes"].to_pylist() == [50 * MIB, 40 * MIB, 1, 3, 30 * MIB]
    assert planned["shard"].to_pylist() == [5, 6, 7, 7, 7]


def test_a_plan_does_not_depend_on_the_order_of_a_listing() -> None:
    its = keyed([1, 40 * MIB, 40 * MIB, 2, 20 * MIB, 20 * MIB])
    backwards = its.take(list(reversed(range(its.num_rows))))
    assert plan(backwards, 0, synthetic=False).equals(plan(its, 0, synthetic=False))


@given(sizes=st.lists(st.integers(0, 40 * MIB) | st.just(1), max_size=150), first_shard=st.integers(0, 200_000))
def test_every_call_is_planned_once_in_shards_within_the_limits(sizes: list[int], first_shard: int) -> None:
    its = keyed(sizes)
    planned = plan(its, first_shard, synthetic=False)
    assert sorted(planned["key"].to_pylist()) == sorted(its["key"].to_pylist())
    told = planned.drop_columns(["shard", "synthetic"]).sort_by("uri").to_pylist()
    assert told == its.select(planned.column_names[:-2]).to_pylist()
    shards = planned["shard"].to_pylist()
    assert shards == sorted(shards)
    assert set(shards) == set(range(first_shard, first_shard + len(set(shards))))
    by_shard: dict[int, list[int]] = {}
    for shard, size in zip(shards, planned["size_bytes"].to_pylist(), strict=True):
        by_shard.setdefault(shard, []).append(size)
    for within in by_shard.values():
        assert len(within) <= 64
        assert len(within) == 1 or sum(within) <= 32 * MIB
    large = [size for size in planned["size_bytes"].to_pylist() if size > 32 * MIB]
    assert planned["size_bytes"].to_pylist()[: len(large)] == sorted(large, reverse=True)
