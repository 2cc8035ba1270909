"""Work in numbered shards over Ray Data: each is done whole, once, whatever breaks in between.

A shard writes its parts under names that depend on its number alone, and its receipt last. A shard that was cut short
is done again and overwrites what it had written; one that has its receipt is not done again. That is less machinery
than Ray Data's own checkpoints, and cannot lose or double a row (docs/decisions.md).
"""

import collections
import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import ray

from raysee import storage
from raysee.config import fingerprint
from raysee.distributed.cluster import explained
from raysee.errors import RayseeError
from raysee.progress import OnProgress, quiet
from raysee.storage import join

# Two shards to a core: one computes while the other waits for the object store, or to be noticed by Ray Data, which
# looks for finished tasks every 0.1 s and needs two looks for each.
CPUS_PER_SHARD = 0.5


class ShardResult(NamedTuple):
    """What a shard gave: its tables and their schemas by the folder below the stage's place; "rejects" is one."""

    tables: dict[str, tuple[pa.Table, pa.Schema]]
    num_out: int  # rows of the plan that are no rejects
    audio_s: float
    fingerprint: str  # of what came out


Worker = Callable[[pa.Table], ShardResult]  # rows of the plan; it is called in worker processes and so picklable


def run_shards(
    place: str, plan: pa.Table, worker: Worker, *, work: str, on_progress: OnProgress = quiet
) -> dict[str, Any]:
    """Do every shard of `plan` (its column `shard` numbers them) that has no receipt of this work below `place`.

    `work` is the fingerprint of what is done: a receipt counts where it is of the same work on the same rows.
    `on_progress` counts rows. Returns the sum of all receipts: rows in and out, rejects by error class, seconds of
    audio and of work, and the fingerprints in the order of the shards. Raises RayseeError with the worker's message.
    """
    rows = {shard: plan.filter(pc.equal(plan["shard"], shard)) for shard in sorted(set(plan["shard"].to_pylist()))}
    keys = {shard: fingerprint([work, its_rows.to_pylist()]) for shard, its_rows in rows.items()}
    receipts = {shard: receipt for shard, receipt in _done(place, rows) if receipt["key"] == keys[shard]}
    rows_done = sum(receipt["in"] for receipt in receipts.values())
    on_progress(rows_done, plan.num_rows, "")
    missing = [
        # A row of the dataset is a shard, with its part of the plan in it: no task needs more than its row.
        {"shard": shard, "key": keys[shard], "plan": _pack(rows[shard])}
        for shard in rows
        if shard not in receipts
    ]
    if missing:
        dataset = ray.data.from_items(missing, override_num_blocks=len(missing)).map(
            _do_shard, fn_kwargs={"place": place, "worker": worker}, num_cpus=CPUS_PER_SHARD
        )
        with explained():
            for row in dataset.iter_rows():
                if row["error"]:
                    raise RayseeError(row["error"])
                receipts[row["shard"]] = json.loads(row["receipt"])
                rows_done += receipts[row["shard"]]["in"]
                on_progress(rows_done, plan.num_rows, "")
    return _total([receipts[shard] for shard in rows])


def part_name(shard: int) -> str:
    """The name that all of a shard's files share."""
    return f"part-{shard:05d}"


def _do_shard(row: dict[str, Any], place: str, worker: Worker) -> dict[str, Any]:
    try:
        return {"shard": row["shard"], "receipt": json.dumps(_do(row, place, worker)), "error": ""}
    except RayseeError as error:
        # As a value, because Ray Data keeps of an error only its stack trace.
        return {"shard": row["shard"], "receipt": "", "error": str(error)}


def _do(row: dict[str, Any], place: str, worker: Worker) -> dict[str, Any]:
    began = time.perf_counter()
    rows = _unpack(row["plan"])
    result = worker(rows)
    rejects = result.tables["rejects"][0]
    assert result.num_out + rejects.num_rows == rows.num_rows, "every row comes out or is a reject"
    name = part_name(row["shard"])
    for folder, (table, its_schema) in result.tables.items():
        # Empty ones too: they replace what a start that was cut short has left.
        storage.write_table(join(place, folder, f"{name}.parquet"), table, its_schema)
    receipt = {
        "shard": row["shard"],
        "key": row["key"],
        "in": rows.num_rows,
        "out": result.num_out,
        "rejects": dict(collections.Counter(rejects["error"].to_pylist())),
        "audio_s": result.audio_s,
        "fingerprint": result.fingerprint,
        "wall_s": time.perf_counter() - began,
    }
    storage.write_bytes(join(place, "done", f"{name}.json"), json.dumps(receipt).encode())
    return receipt


def _pack(table: pa.Table) -> bytes:
    """A table as Arrow IPC: one row of a dataset of shards carries its part of the plan in it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _unpack(packed: bytes) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()


def _done(place: str, shards: Collection[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The shards that have a receipt, with it."""
    there = storage.names(join(place, "done"))
    found = [shard for shard in shards if f"{part_name(shard)}.json" in there]
    for shard, data in zip(
        found, storage.read_each([join(place, "done", f"{part_name(shard)}.json") for shard in found]), strict=True
    ):
        if isinstance(data, bytes):
            yield shard, json.loads(data)


def _total(receipts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rejects: collections.Counter[str] = collections.Counter()
    for receipt in receipts:
        rejects.update(receipt["rejects"])
    return {
        "in": sum(receipt["in"] for receipt in receipts),
        "out": sum(receipt["out"] for receipt in receipts),
        "rejects": dict(sorted(rejects.items())),
        "audio_s": sum(receipt["audio_s"] for receipt in receipts),
        "wall_s": sum(receipt["wall_s"] for receipt in receipts),
        "fingerprints": [receipt["fingerprint"] for receipt in receipts],
    }
