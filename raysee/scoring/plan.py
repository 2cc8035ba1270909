"""What a batch has to do: recordings that are not settled yet, in shards of like size."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysee import schema
from raysee.scoring import batches, ledger
from raysee.scoring.batches import Batch

SHARD_BYTES = 32 * 2**20  # as WAV of 16 bits 4 s of work for one core, as Opus a minute (docs/capacity.md)
SHARD_CALLS = 64


class New(NamedTuple):
    """Recordings with their `key`, each once, and how many others were settled before or are listed twice."""

    recordings: pa.Table
    num_settled: int
    num_twice: int


def new_recordings(recordings: pa.Table, to: str, work: str, *, replay: bool = False) -> New:
    """Those of `recordings` (schema.RECORDINGS) that the ledger of `to` does not hold; see `ledger.parts`.

    With `replay`, those too that were rejected and never scored.
    """
    its = ledger.keys(recordings)
    first = ledger.first_of_each(its)
    new = first & ledger.not_in(its, ledger.parts(to, work))
    if replay:
        new |= first & pc.is_in(its, value_set=_rejected(to)).to_numpy(zero_copy_only=False)
    names = pa.array([key.hex() for key in its.filter(pa.array(new)).to_pylist()], pa.string())
    keyed = recordings.filter(pa.array(new)).add_column(0, schema.CALL_PLAN.field("key"), names)
    return New(keyed, int((first & ~new).sum()), int((~first).sum()))


def _rejected(to: str) -> pa.Array:
    """The keys of what was rejected by any start and scored by none."""
    rejected = batches.read(to, "rejects", schema.REJECTS, columns=["id"])["id"]
    scored = batches.read(to, "calls", schema.CALLS, columns=["key"])["key"]
    never = rejected.filter(pc.invert(pc.is_in(rejected, value_set=scored)))
    return pa.array([bytes.fromhex(key) for key in never.to_pylist()], schema.LEDGER.field("key").type)


def begin(to: str, keyed: pa.Table, **told: Any) -> Batch:
    """Write down recordings with their keys as the next batch of `to`; `told` are the other fields of a Batch."""
    youngest = batches.last(to)
    first_shard = youngest.first_shard + youngest.num_shards if youngest else 0
    planned = plan(keyed, first_shard, synthetic=told["synthetic"])
    batch = Batch(
        number=youngest.number + 1 if youngest else 0,
        first_shard=first_shard,
        num_shards=len(planned["shard"].unique()),
        **told,
    )
    batches.begin(to, batch, planned)
    return batch


def plan(keyed: pa.Table, first_shard: int, *, synthetic: bool) -> pa.Table:
    """Recordings with keys as schema.CALL_PLAN, in shards from a number on, the largest calls first.

    A shard has at most 64 calls and 32 MiB of them, or one call that is larger: no other waits for it, and because it
    begins first, the night does not wait for it at its end.
    """
    large = pc.if_else(pc.greater(keyed["size_bytes"], SHARD_BYTES), keyed["size_bytes"], 0)
    order = [("large", "descending"), ("uri", "ascending")]
    keyed = keyed.take(pc.sort_indices(pa.table({"large": large, "uri": keyed["uri"]}), sort_keys=order))
    shards = first_shard + _shards(keyed["size_bytes"].to_pylist())
    keyed = keyed.append_column(schema.CALL_PLAN.field("shard"), pa.array(shards))
    keyed = keyed.append_column(schema.CALL_PLAN.field("synthetic"), pa.array(np.full(keyed.num_rows, synthetic)))
    return keyed.select(schema.CALL_PLAN.names).cast(schema.CALL_PLAN)


def _shards(sizes: list[int]) -> npt.NDArray[np.int32]:
    shards = np.empty(len(sizes), np.int32)
    shard, calls, size = 0, 0, 0
    for number, size_bytes in enumerate(sizes):
        if calls and (calls == SHARD_CALLS or size + size_bytes > SHARD_BYTES):
            shard, calls, size = shard + 1, 0, 0
        calls, size = calls + 1, size + size_bytes
        shards[number] = shard
    return shards
