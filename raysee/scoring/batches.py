"""The nights of a place with scores: what each was planned to do, and what came of it.

Below a place lie `batches/NNNNN.parquet` (schema.CALL_PLAN), `batches/NNNNN.json` (Batch), which makes a batch begin to
exist, and, written last, `nights/NNNNN.json`, its receipt. Scores are in `segments/date=.../`, `calls/date=.../` and
`rejects/date=.../`, one part a shard, so that anything that reads Parquet finds the date as a column. Where JSON is
asked for, `json/date=.../KE/KEY.json` is a call by its key (raysee.scoring.contact_lens).
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from raysee import receipts, schema, storage
from raysee.receipts import Receipt
from raysee.storage import join

_BATCHES = "batches"
_NIGHTS = "nights"
BEGUN = "begun"
_PART = re.compile(r"part-\d+\.parquet")


class Batch(BaseModel):
    """Calls that a start found to be new, and what it knew of them."""

    model_config = ConfigDict(frozen=True)

    number: int
    date: str  # of the night, YYYY-MM-DD
    source: str
    work: str  # fingerprint of model and configuration
    identity: dict[str, Any]  # of which it is the fingerprint
    reason: str  # why agents are scored, where they are
    settled: int  # rows of the listing that are not in the plan: scored or rejected for good by an earlier batch
    twice: int  # and listed more than once
    others: dict[str, int]  # files that are no recordings, by their ending
    synthetic: bool
    first_shard: int
    num_shards: int
    json_files: bool = False  # whether a JSON file is written for each call, whoever finishes the batch
    run: str = ""  # the place of the model
    about: dict[str, Any] = {}  # what the receipt says of the model; empty in batches of earlier versions

    @property
    def name(self) -> str:
        return f"{self.number:05d}"

    @property
    def done(self) -> str:
        """The folder of its shards' receipts."""
        return join("done", self.name)

    @property
    def begun(self) -> str:
        """The folder of notes on shards that are worked on."""
        return join(BEGUN, self.name)

    @property
    def partition(self) -> str:
        """The folder of its parts below that of each table."""
        return partition(self.date)


def begin(to: str, batch: Batch, plan: pa.Table) -> None:
    """Write down what is going to be done."""
    storage.write_table(join(to, _BATCHES, f"{batch.name}.parquet"), plan, schema.CALL_PLAN)
    storage.write_bytes(join(to, _BATCHES, f"{batch.name}.json"), (batch.model_dump_json(indent=2) + "\n").encode())


def plan_of(to: str, batch: Batch, columns: Sequence[str] | None = None) -> pa.Table:
    """The calls of a batch (schema.CALL_PLAN)."""
    return storage.read_table(join(to, _BATCHES, f"{batch.name}.parquet"), schema.CALL_PLAN, columns)


def plans(to: str) -> list[str]:
    """The files with the calls of all batches, finished or not."""
    names = sorted(name for name in storage.names(join(to, _BATCHES)) if name.endswith(".parquet"))
    return [join(to, _BATCHES, name) for name in names]


def last(to: str) -> Batch | None:
    """The youngest batch, finished or not."""
    names = _names(to, _BATCHES)
    return _read(to, names[-1]) if names else None


def unfinished(to: str, work: str = "") -> list[Batch]:
    """The batches that have no receipt, by default of whatever work, the oldest first."""
    finished = set(_names(to, _NIGHTS))
    batches = [_read(to, name) for name in _names(to, _BATCHES) if name not in finished]
    return [batch for batch in batches if work in ("", batch.work)]


def finish(to: str, batch: Batch, receipt: Receipt) -> Receipt:
    """Write a batch's receipt, which ends it."""
    return receipts.write(to, receipt, join(_NIGHTS, f"{batch.name}.json"))


def nights(to: str, num_batches: int) -> list[Receipt]:
    """The receipts of the last so many finished batches, the oldest first."""
    read = [receipts.read(to, join(_NIGHTS, f"{name}.json")) for name in _names(to, _NIGHTS)[-num_batches:]]
    return [receipt for receipt in read if receipt is not None]


def parts(to: str, night: Receipt, table: str) -> list[str]:
    """The files of a night's rows, in order; other starts of the same date have files of their own beside them."""
    folder = join(to, table, partition(night.details["date"]))
    first = night.details["first_shard"]
    its = range(first, first + night.details["num_shards"])
    there = {int(name[5:-8]): name for name in storage.names(folder) if _PART.fullmatch(name)}
    return [join(folder, there[shard]) for shard in sorted(there.keys() & set(its))]


def partition(date: str) -> str:
    """The folder of a night below that of each table, as Hive names it."""
    return f"date={date}"


def read(to: str, table: str, its_schema: pa.Schema, date: str = "", columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a night, by default of all nights: `table` is "segments", "calls" or "rejects"."""
    folders = [partition(date)] if date else sorted(storage.names(join(to, table)))
    parts = [storage.read_table(join(to, table, one), its_schema, columns) for one in folders]
    return pa.concat_tables(parts) if parts else schema.empty(its_schema)


def _names(to: str, what: str) -> list[str]:
    """The batches that have a JSON file in this folder, in their order."""
    stems = (name.removesuffix(".json") for name in storage.names(join(to, what)) if name.endswith(".json"))
    return sorted(stems, key=int)


def _read(to: str, name: str) -> Batch:
    return Batch.model_validate(json.loads(storage.read_bytes(join(to, _BATCHES, f"{name}.json"))))
