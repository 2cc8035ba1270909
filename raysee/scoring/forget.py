"""Erasing a call: its rows in the scores of all nights, in their plans, and in the ledger."""

import collections
import datetime
import hashlib
import json
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from raysee import schema, storage
from raysee.errors import ConfigurationError, MissingError
from raysee.lock import Lock
from raysee.scoring import batches, contact_lens, ledger
from raysee.storage import join

_RECEIPTS = "forgotten"
_PAGE = "report.html"  # of `raysee report`, which shows calls and can be drawn again
_SHOWN = 5  # of the recordings that have a name in common
_TABLES = {"calls": ("key", schema.CALLS), "segments": ("key", schema.SEGMENTS), "rejects": ("id", schema.REJECTS)}


def forget(to: str, call_id: str, uri: str = "", *, everywhere: bool = False) -> dict[str, int]:
    """Take every trace of the call of that name out of the place `to`, and return how many rows there were by table.

    Recorders use a name again: where several recordings have it, `uri` says which is meant, or `everywhere` that all
    are. Parts are rewritten whole, and the plans, which know the calls by their names, last: after a kill the same
    command goes on. The place's page (`report.html`) is removed, because it shows calls; other copies of it are not
    known. The receipt below `forgotten/` holds the SHA-256 of the name alone, and of the recording's place where that
    was given. The recording itself is not touched: where it is still in the archive, the next night scores it again.
    Raises MissingError where there is no such call, ConfigurationError where there are several, BusyError
    where a start is working on `to`.
    """
    to = storage.normalise(to)
    with Lock(to):
        for folder in storage.names(to):
            storage.remove_unfinished(join(to, folder))  # what killed starts were writing may hold its rows
        plans = batches.plans(to)
        keys = _keys(plans, to, call_id, storage.normalise(uri) if uri else "", everywhere)
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
        storage.remove(join(to, _PAGE))
        storage.remove(join(to, batches.BEGUN))  # notes of starts that ended long ago, which name recordings
        counts["plans"] = _drop(plans, "key", schema.CALL_PLAN, pa.array(sorted(keys)))
        said = {"call_id_sha256": _sha256(call_id), **({"uri_sha256": _sha256(storage.normalise(uri))} if uri else {})}
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        name = "-".join(digest[:16] for digest in said.values())
        told = {**said, "forgotten_at": when, "rows": counts}
        storage.write_bytes(join(to, _RECEIPTS, f"{name}.json"), (json.dumps(told, indent=2) + "\n").encode())
    return counts


def _keys(plans: Iterable[str], to: str, call_id: str, uri: str, everywhere: bool) -> set[str]:
    """The keys of the recordings that are meant."""
    found: dict[str, set[str]] = collections.defaultdict(set)  # by the recordings' places
    for plan in plans:
        rows = storage.read_table(plan, schema.CALL_PLAN, ["key", "uri", "call_id"])
        for row in rows.filter(pc.equal(rows["call_id"], call_id)).to_pylist():
            found[row["uri"]].add(row["key"])
    if not found:
        raise MissingError(f"{to} knows no call {call_id!r}: give its call_id as the table of calls has it.")
    some = ", ".join(sorted(found)[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
    if uri and uri not in found:
        raise MissingError(f"{to} knows no call {call_id!r} at {uri}, but at {some}: give one of these.")
    if not uri and len(found) > 1 and not everywhere:
        raise ConfigurationError(
            f"{len(found)} recordings are called {call_id!r}: {some}. Say with --uri which is meant, or --all."
        )
    return set().union(*([found[uri]] if uri else found.values()))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _drop(uris: Iterable[str], column: str, its_schema: pa.Schema, keys: pa.Array) -> int:
    """Rewrite the files that hold rows of these keys; the number of the rows."""
    dropped = 0
    for uri in uris:
        hit = pc.is_in(storage.read_table(uri, its_schema, [column])[column], keys)
        if count := pc.sum(hit).as_py():
            storage.write_table(uri, storage.read_table(uri, its_schema).filter(pc.invert(hit)), its_schema)
            dropped += count
    return dropped
