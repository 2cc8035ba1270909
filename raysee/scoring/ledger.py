"""What is settled, night after night: the keys of calls that were scored or rejected for good, by what did it.

A part is written when all shards of a batch have their receipts, and changed only by `forget`: so the ledger says
nothing that is not so, whenever a start is killed.
"""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysee import schema, storage
from raysee.storage import join

NAME = "ledger"
_KEY = pa.binary(16)
_AT_ONCE = 2**21  # keys, 32 MiB: a look into the ledger costs as much as the calls that are looked for


def keys(recordings: pa.Table) -> pa.Array:
    """16 bytes of where each recording (schema.RECORDINGS) lies and what it is: a replaced one is another call."""
    columns = [recordings[name].to_pylist() for name in ("uri", "size_bytes", "etag")]
    digests = (
        hashlib.blake2b(f"{uri}\n{size}\n{etag}".encode(), digest_size=16).digest()
        for uri, size, etag in zip(*columns, strict=True)
    )
    return pa.FixedSizeBinaryArray.from_buffers(_KEY, recordings.num_rows, [None, pa.py_buffer(b"".join(digests))])


def first_of_each(its: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether each key is the first of its like, (num_keys,): a list may name a call twice."""
    first: npt.NDArray[np.int32] = pc.index_in(its, value_set=its).to_numpy()
    found: npt.NDArray[np.bool_] = first == np.arange(len(its))
    return found


def not_in(its: pa.Array, parts: Iterable[pa.ChunkedArray]) -> npt.NDArray[np.bool_]:
    """Whether each key, the first of its like, is in no part of a ledger, (num_keys,). Two million are in memory."""
    new = np.ones(len(its), dtype=np.bool_)
    for known in _together(parts):
        new[pc.index_in(known, value_set=its).drop_null().to_numpy()] = False
    return new


def _together(parts: Iterable[pa.ChunkedArray]) -> Iterator[pa.ChunkedArray]:
    held: list[pa.Array] = []
    for part in parts:
        held += part.chunks
        if sum(map(len, held)) >= _AT_ONCE:
            yield pa.chunked_array(held, _KEY)
            held = []
    yield pa.chunked_array(held, _KEY)


def uris(to: str, work: str = "") -> list[str]:
    """The parts, one for each batch that was finished below `to`; with `work`, by that fingerprint alone."""
    folders = [work] if work else sorted(storage.names(join(to, NAME)))
    return [join(to, NAME, one, name) for one in folders for name in sorted(storage.names(join(to, NAME, one)))]


def parts(to: str, work: str = "") -> Iterator[pa.ChunkedArray]:
    """The keys of each part."""
    return (storage.read_table(uri, schema.LEDGER)["key"] for uri in uris(to, work))


def write(to: str, work: str, batch: str, its: Iterable[bytes]) -> None:
    """Say that these calls of a batch are settled."""
    table = pa.table({"key": pa.array(list(its), _KEY)}, schema=schema.LEDGER)
    storage.write_table(join(to, NAME, work, f"{batch}.parquet"), table, schema.LEDGER)
