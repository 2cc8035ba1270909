"""What is to be scored: recordings that are not planned yet, in shards of like size."""

import collections
import hashlib
import pathlib
from collections.abc import Sequence

import pyarrow as pa

from raysee import schema
from raysee.storage import FileInfo, basename

RECORDINGS = (
    *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aac", ".amr", ".awb", ".3gp", ".g729", ".gsm"),
    *(".wma", ".webm", ".mkv", ".mka", ".mov", ".avi", ".caf", ".aiff", ".aif", ".au"),
)
_SHARD_BYTES = 32 * 2**20  # about a minute of work for one core
_SHARD_CALLS = 64


def call_id(file: FileInfo) -> str:
    """Sixteen hexadecimal digits of where a recording lies and what it is: a replaced one is another call."""
    return hashlib.sha256(f"{file.uri}\n{file.size_bytes}\n{file.etag}".encode()).hexdigest()[:16]


def recordings(files: Sequence[FileInfo]) -> tuple[list[FileInfo], dict[str, int]]:
    """The recordings of a listing, by their names' ending, and how many other files there are by ending.

    Hidden files are neither.
    """
    found, others = [], collections.Counter[str]()
    for file in files:
        name = basename(file.uri).lower()
        if name.startswith("."):
            continue
        if name.endswith(RECORDINGS):
            found.append(file)
        else:
            others[pathlib.PurePosixPath(name).suffix or "no ending"] += 1
    return found, dict(sorted(others.items()))


def extend(plan: pa.Table, files: Sequence[FileInfo], *, synthetic: bool = False) -> pa.Table:
    """`plan` (schema.CALL_PLAN) and behind it, in shards of their own, the recordings that it does not hold yet."""
    known = set(plan["call_id"].to_pylist())
    shard = 1 + max(plan["shard"].to_pylist(), default=-1)
    rows: list[dict[str, str | int]] = []
    calls, size = 0, 0
    for file in files:
        if call_id(file) in known:
            continue
        if calls and (calls == _SHARD_CALLS or size + file.size_bytes > _SHARD_BYTES):
            shard, calls, size = shard + 1, 0, 0
        calls, size = calls + 1, size + file.size_bytes
        rows.append({**file._asdict(), "call_id": call_id(file), "shard": shard, "synthetic": synthetic})
    return pa.concat_tables([plan, pa.Table.from_pylist(rows, schema=schema.CALL_PLAN)])
