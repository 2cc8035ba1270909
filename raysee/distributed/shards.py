"""Work in numbered shards over Ray Data: each is done whole, once, whatever breaks in between.

A shard writes its parts under names that depend on its number alone, and its receipt last. A shard that was cut short
is done again and overwrites what it had written; one that has its receipt is not done again. That is less machinery
than Ray Data's own checkpoints, and cannot lose or double a row (docs/decisions.md).
"""

import collections
import functools
import itertools
import json
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.util.annotations import RayDeprecationWarning

from raysee import storage
from raysee.config import fingerprint, merge_fingerprints
from raysee.distributed import metrics
from raysee.distributed.cluster import explained
from raysee.errors import RayseeError
from raysee.progress import OnProgress, quiet
from raysee.storage import join

# Two shards to a core: one computes while the other waits for the object store, or to be noticed by Ray Data, which
# looks for finished tasks every 0.1 s and needs two looks for each.
CPUS_PER_SHARD = 0.5

# How often a shard is begun again whose worker died, with its machine or without. By default Ray Data tries for ever,
# also where it is the work itself that kills its worker.
_RETRIES = 8


class Shard(NamedTuple):
    """What a worker is given: the rows of the plan, and where its parts go, those of an earlier plan still there."""

    rows: pa.Table
    name: str  # of its files, without their ending
    places: list[str]  # whose parts are missing


class ShardResult(NamedTuple):
    """What a shard gave: its tables and their schemas by the folder below the stage's place; "rejects" is one."""

    tables: dict[str, tuple[pa.Table, pa.Schema]]
    num_out: int  # rows of the plan that are no rejects
    audio_s: float
    fingerprint: str  # of what came out, by raysee.config.set_fingerprint
    tally: Mapping[str, Any] = MappingProxyType(
        {}
    )  # what is counted, as JSON: numbers, lists of one length and dicts, see `add`
    unsettled: Sequence[str] = ()  # names of rows whose reject is not the last word


class Part(NamedTuple):
    """Where the shards of a plan write: their receipts, and, below the folder of each table, its parts."""

    done: str = "done"
    partition: str = ""


_WHOLE = Part()

Worker = Callable[[Shard], list[ShardResult]]  # one a place; it is called in worker processes and so picklable


def run_shards(
    works: Mapping[str, str], plan: pa.Table, worker: Worker, *, part: Part = _WHOLE, on_progress: OnProgress = quiet
) -> dict[str, dict[str, Any]]:
    """Do every shard of `plan` (its column `shard` numbers them) that lacks a receipt below a place of `works`.

    `works` is place -> fingerprint of what is done there: a receipt counts where it is of the same work on the same
    rows. `on_progress` counts rows. Shards begin in their order. Returns for each place the `total` of its receipts,
    and how many of them were "found". Raises RayseeError with the worker's message.
    """
    rows = by_shard(plan)
    del plan  # which may be long: the driver does not keep it while the shards are done
    num_rows = {shard: its.num_rows for shard, its in rows.items()}
    keys = {shard: _rows_key(its) for shard, its in rows.items()}
    receipts = {place: _done(place, work, keys, part) for place, work in works.items()}
    num_found = {place: len(found) for place, found in receipts.items()}
    missing = []
    rows_done, rows_in_all = 0, sum(num_rows.values())
    for shard in num_rows:
        places = {place: _key(work, keys[shard]) for place, work in works.items() if shard not in receipts[place]}
        if places:
            # A row of the dataset is a shard, with its part of the plan in it: no task needs more than its row.
            missing.append({"shard": shard, "keys": json.dumps(places), "plan": _pack(rows[shard])})
        else:
            rows_done += num_rows[shard]
    del rows
    on_progress(rows_done, rows_in_all, "")
    if missing:
        # Deprecated before there is another way to say how often: Ray is pinned.
        with warnings.catch_warnings(action="ignore", category=RayDeprecationWarning):
            dataset = ray.data.from_items(missing, override_num_blocks=len(missing)).map(
                _do_shard,
                fn_kwargs={"worker": worker, "part": part},
                num_cpus=CPUS_PER_SHARD,
                max_retries=_RETRIES,
            )
        missing.clear()
        pa.default_memory_pool().release_unused()  # what planning took; the driver stands for hours
        with explained():
            for row in dataset.iter_rows():
                if row["error"]:
                    raise RayseeError(row["error"])
                for place, receipt in json.loads(row["receipts"]).items():
                    receipts[place][row["shard"]] = receipt
                rows_done += num_rows[row["shard"]]
                on_progress(rows_done, rows_in_all, "")
    return {
        place: {**total([its_receipts[shard] for shard in num_rows]), "found": num_found[place]}
        for place, its_receipts in receipts.items()
    }


def done(place: str, work: str, plan: pa.Table, part: Part = _WHOLE) -> dict[int, dict[str, Any]]:
    """The receipts of those shards of `plan` that are done below `place`, by number."""
    return _done(place, work, {shard: _rows_key(its) for shard, its in by_shard(plan).items()}, part)


def part_name(shard: int) -> str:
    """The name that all of a shard's files share."""
    return f"part-{shard:05d}"


def _key(work: str, rows_key: str) -> str:
    return fingerprint([work, rows_key])


def _rows_key(rows: pa.Table) -> str:
    return fingerprint([list(map(str, row.values())) for row in rows.to_pylist()])


def _done(place: str, work: str, keys: Mapping[int, str], part: Part) -> dict[int, dict[str, Any]]:
    found = _finished(join(place, part.done), keys)
    return {shard: receipt for shard, receipt in found if receipt["key"] == _key(work, keys[shard])}


def by_shard(plan: pa.Table) -> dict[int, pa.Table]:
    """Shard -> its rows in their order."""
    # The sort of Arrow is stable.
    ordered = plan.take(pc.sort_indices(plan["shard"])).combine_chunks()
    counts = collections.Counter(ordered["shard"].to_pylist())
    starts = itertools.accumulate(counts.values(), initial=0)
    return {shard: ordered.slice(start, counts[shard]) for shard, start in zip(counts, starts, strict=False)}


def _do_shard(row: dict[str, Any], worker: Worker, part: Part) -> dict[str, Any]:
    try:
        return {"shard": row["shard"], "receipts": json.dumps(_do(row, worker, part)), "error": ""}
    except RayseeError as error:
        # As a value, because Ray Data keeps of an error only its stack trace.
        return {"shard": row["shard"], "receipts": "", "error": str(error)}


def _do(row: dict[str, Any], worker: Worker, part: Part) -> dict[str, dict[str, Any]]:
    began = time.perf_counter()
    keys: dict[str, str] = json.loads(row["keys"])
    shard = Shard(_unpack(row["plan"]), part_name(row["shard"]), list(keys))
    receipts = {}
    for place, result in zip(shard.places, worker(shard), strict=True):
        rejects = result.tables["rejects"][0]
        assert result.num_out + rejects.num_rows == shard.rows.num_rows, "every row comes out or is a reject"
        for folder, (table, its_schema) in result.tables.items():
            # Empty ones too: they replace what a start that was cut short has left.
            storage.write_table(join(place, folder, part.partition, f"{shard.name}.parquet"), table, its_schema)
        receipts[place] = {
            "shard": row["shard"],
            "key": keys[place],
            "in": shard.rows.num_rows,
            "out": result.num_out,
            "rejects": dict(collections.Counter(rejects["error"].to_pylist())),
            "audio_s": result.audio_s,
            "fingerprint": result.fingerprint,
            "tally": dict(result.tally),
            "unsettled": list(result.unsettled),
            "wall_s": (time.perf_counter() - began) / len(keys),
        }
        storage.write_bytes(join(place, part.done, f"{shard.name}.json"), json.dumps(receipts[place]).encode())
    metrics.count_shard(result.tables, receipts.values(), time.perf_counter() - began)
    return receipts


def _pack(table: pa.Table) -> bytes:
    """A table as Arrow IPC: one row of a dataset of shards carries its part of the plan in it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _unpack(packed: bytes) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()


def _finished(folder: str, shards: Collection[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The shards that have a receipt, with it."""
    there = storage.names(folder)
    found = [shard for shard in shards if f"{part_name(shard)}.json" in there]
    uris = [join(folder, f"{part_name(shard)}.json") for shard in found]
    for shard, data in zip(found, storage.read_each(uris), strict=True):
        if isinstance(data, bytes):
            yield shard, json.loads(data)


def add(first: Any, second: Any) -> Any:
    """The sum of two tallies: of numbers, of lists position by position, of dicts key by key."""
    if isinstance(first, dict):
        mine = {key: add(value, second[key]) if key in second else value for key, value in first.items()}
        return {**second, **mine}
    if isinstance(first, list):
        return [add(one, other) for one, other in zip(first, second, strict=True)]
    return first + second


def total(receipts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum of shards' receipts: rows in and out, rejects by error class, seconds of audio and of work, tallies,
    unsettled rows, and the fingerprint of what came out."""
    rejects: collections.Counter[str] = collections.Counter()
    for receipt in receipts:
        rejects.update(receipt["rejects"])
    return {
        "in": sum(receipt["in"] for receipt in receipts),
        "out": sum(receipt["out"] for receipt in receipts),
        "rejects": dict(sorted(rejects.items())),
        "audio_s": sum(receipt["audio_s"] for receipt in receipts),
        "wall_s": sum(receipt["wall_s"] for receipt in receipts),
        "tally": functools.reduce(add, (receipt["tally"] for receipt in receipts), {}),
        "unsettled": [name for receipt in receipts for name in receipt["unsettled"]],
        "fingerprint": merge_fingerprints(receipt["fingerprint"] for receipt in receipts),
    }
