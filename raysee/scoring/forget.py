"""Erasing a call: its rows in the scores of all nights, in their plans, and in the ledger."""

import datetime
import hashlib
import json
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from raysee import schema, storage
from raysee.errors import MissingError
from raysee.lock import Lock
from raysee.scoring import batches, contact_lens, ledger
from raysee.storage import join

_RECEIPTS = "forgotten"
_TABLES = {"calls": ("key", schema.CALLS), "segments": ("key", schema.SEGMENTS), "rejects": ("id", schema.REJECTS)}


def forget(to: str, call_id: str) -> dict[str, int]:
    """Take every trace of the calls of that name out of the place `to`, and return how many rows there were by table.

    Parts are rewritten whole, and the plans, which know the calls by their names, last: after a kill the same command
    goes on. The receipt below `forgotten/` holds the SHA-256 of the name alone. The recording itself is not touched:
    where it is still in the archive, the next night scores it again. Raises MissingError where there is no such call,
    BusyError where a start is working on `to`.
    """
    to = storage.normalise(to)
    with Lock(to):
        plans = batches.plans(to)
        keys = {key for uri in plans for key in _keys(uri, call_id)}
        if not keys:
            raise MissingError(f"{to} knows no call {call_id!r}: give its call_id as the table of calls has it.")
        counts = {}
        for name, (column, its_schema) in _TABLES.items():
            nights = [join(to, name, date) for date in storage.names(join(to, name))]
            parts = [join(night, part) for night in nights for part in storage.names(night)]
            counts[name] = _drop(parts, column, its_schema, pa.array(sorted(keys)))
        for date in storage.names(join(to, contact_lens.FOLDER)):
            for key in keys:
                storage.remove(join(to, contact_lens.FOLDER, date, contact_lens.name_of(key)))
        settled = pa.array([bytes.fromhex(key) for key in sorted(keys)], pa.binary(16))
        counts["ledger"] = _drop(ledger.uris(to), "key", schema.LEDGER, settled)
        storage.remove(join(to, batches.BEGUN))  # notes of starts that ended long ago, which name recordings
        counts["plans"] = _drop(plans, "key", schema.CALL_PLAN, pa.array(sorted(keys)))
        digest = hashlib.sha256(call_id.encode()).hexdigest()
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        said = {"call_id_sha256": digest, "forgotten_at": when, "rows": counts}
        storage.write_bytes(join(to, _RECEIPTS, f"{digest[:16]}.json"), (json.dumps(said, indent=2) + "\n").encode())
    return counts


def _keys(plan_uri: str, call_id: str) -> list[str]:
    rows = storage.read_table(plan_uri, schema.CALL_PLAN, ["key", "call_id"])
    keys: list[str] = rows.filter(pc.equal(rows["call_id"], call_id))["key"].to_pylist()
    return keys


def _drop(uris: Iterable[str], column: str, its_schema: pa.Schema, keys: pa.Array) -> int:
    """Rewrite the files that hold rows of these keys; the number of the rows."""
    dropped = 0
    for uri in uris:
        hit = pc.is_in(storage.read_table(uri, its_schema, [column])[column], keys)
        if count := pc.sum(hit).as_py():
            storage.write_table(uri, storage.read_table(uri, its_schema).filter(pc.invert(hit)), its_schema)
            dropped += count
    return dropped
