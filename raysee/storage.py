"""Files and objects alike: list, read, and write whole or not at all.

A place is a URI, `s3://bucket/key` or `file:///path`; a bare path means a file. S3's endpoint, region and credentials
come from the usual AWS variables (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ...), profiles and roles.
"""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from raysee import schema as schemas
from raysee.errors import MissingError, StorageError
from raysee.filesystems import etag_of, explained, filesystem, path_of, printable, unquoted, uri_of

#: The ending of what is being written, or was when its process was killed: no listing shows it.
UNFINISHED = ".tmp"


class FileInfo(NamedTuple):
    """A file or object: where, how large, and a tag that changes when it is replaced."""

    uri: str
    size_bytes: int
    etag: str


def normalise(place: str | os.PathLike[str]) -> str:
    """The URI of a place, without a trailing slash; StorageError for a scheme other than file and s3."""
    text = os.fspath(place)
    scheme, separator, rest = text.partition("://")
    if not separator and text.strip():
        return pathlib.Path(text).expanduser().absolute().as_uri().rstrip("/")
    if scheme == "file" and rest.startswith("/"):
        return pathlib.Path(unquoted(rest)).as_uri().rstrip("/")
    if scheme == "s3" and rest.strip("/"):
        return text.rstrip("/")
    raise StorageError(f"{text!r} is not a place that raysee can use: give s3://bucket/..., file:///... or a path.")


def join(uri: str, *names: str) -> str:
    """`uri` with `names` below it; empty names are passed over."""
    return "/".join([uri.rstrip("/"), *filter(None, names)])


def local_folder(place: str) -> pathlib.Path:
    """The path of a folder of this machine, there or still to be made. StorageError where it cannot be one."""
    uri = normalise(place)
    path = pathlib.Path(path_of(uri))
    if uri.startswith("s3://") or (path.exists() and not path.is_dir()):
        raise StorageError(f"{place} is no folder of this machine: choose one; what is in it can be copied elsewhere.")
    return path


def basename(uri: str) -> str:
    """The last part of a URI, with its ending, as text."""
    return printable(path_of(uri).rsplit("/", 1)[-1])


def list_files(uri: str) -> list[FileInfo]:
    """Every file below `uri`, sorted by URI. StorageError where there is no such place or it cannot be listed."""
    uri = normalise(uri)
    with explained(uri):
        listed, path = filesystem(uri), path_of(uri)
        # Without being told, a file system passes over a folder that it may not read.
        strict = {} if uri.startswith("s3://") else {"on_error": "raise"}
        found = listed.find(path, detail=True, **strict)
        if not found and not listed.exists(path):
            raise FileNotFoundError(uri)
        files = [
            FileInfo(uri_of(uri, name), int(info["size"]), etag_of(info))
            for name, info in found.items()
            if not name.endswith(UNFINISHED)
        ]
    return sorted(files)


def exists(uri: str) -> bool:
    """Whether a file or object is there."""
    with explained(uri):
        return bool(filesystem(uri).exists(path_of(uri)))


def names(uri: str) -> set[str]:
    """The names directly below a folder, none where it does not exist."""
    with explained(uri):
        try:
            found = {name.rsplit("/", 1)[-1] for name in filesystem(uri).ls(path_of(uri), detail=False)}
        except FileNotFoundError:
            return set()
    return {name for name in found if not name.endswith(UNFINISHED)}


def read_bytes(uri: str) -> bytes:
    """The whole of a file."""
    with explained(uri):
        if not uri.startswith("s3://"):
            return pathlib.Path(path_of(uri)).read_bytes()
        data: bytes = filesystem(uri).cat_file(path_of(uri))
        return data


def read_each(uris: Sequence[str], *, ahead: int = 16) -> Iterator[bytes | MissingError]:
    """The bytes of each file in turn, or the error that says that it is not there.

    Objects are fetched up to `ahead` at a time, because each costs a round trip; files are not worth a thread.
    Raises StorageError for everything else: a store that refuses or does not answer says nothing about the file.
    """

    def read(uri: str) -> bytes | MissingError:
        try:
            return read_bytes(uri)
        except MissingError as error:
            return error

    if not any(uri.startswith("s3://") for uri in uris):
        yield from map(read, uris)
        return
    with concurrent.futures.ThreadPoolExecutor(ahead) as pool:
        waiting: collections.deque[concurrent.futures.Future[bytes | MissingError]] = collections.deque()
        for uri in uris:
            waiting.append(pool.submit(read, uri))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def write_bytes(uri: str, data: bytes | memoryview) -> None:
    """Write a file whole or not at all: an S3 put is; a local file is renamed into its place."""
    with explained(uri):
        path = path_of(uri)
        if uri.startswith("s3://"):
            filesystem(uri).pipe_file(path, bytes(data))
            return
        target = pathlib.Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}{UNFINISHED}")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def make_bucket(uri: str) -> None:
    """Create an S3 bucket where there is none."""
    with explained(uri), contextlib.suppress(FileExistsError):
        # Not mkdir, which would name the region as a constraint, and "us-east-1" is not one.
        filesystem(uri).call_s3("create_bucket", Bucket=path_of(uri))


def remove(uri: str) -> None:
    """Delete a folder and all below it; nothing happens where there is none."""
    with explained(uri), contextlib.suppress(FileNotFoundError):
        filesystem(uri).rm(path_of(uri), recursive=True)


def remove_unfinished(folder: str) -> None:
    """Delete what killed processes were writing below a folder where nobody writes now; S3 keeps no such thing."""
    if not folder.startswith("s3://"):
        with explained(folder):
            for path in pathlib.Path(path_of(folder)).rglob(f".*{UNFINISHED}"):
                path.unlink(missing_ok=True)


def write_table(uri: str, table: pa.Table, schema: pa.Schema) -> None:
    """Write one Parquet file whole, after checking it against its schema.

    Floats are split into byte streams before snappy: log-mels come out at five eighths of their size.
    """
    buffer = pa.BufferOutputStream()
    checked = schemas.check(table, schema)
    floats = [name for name in checked.column_names if _holds_float32(checked.schema.field(name).type)]
    pq.write_table(
        checked,
        buffer,
        compression="snappy",
        use_dictionary=[name for name in checked.column_names if name not in floats],
        use_byte_stream_split=[_leaf(checked.schema.field(name)) for name in floats],
    )
    write_bytes(uri, memoryview(buffer.getvalue()))


def read_table(uri: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file, or all `part-*.parquet` of a folder in the order of their names; no parts make no rows.

    Only `columns` are read where they are given. Raises StorageError where the place or a column is missing.
    """
    uri = normalise(uri)
    if uri.endswith(".parquet"):
        parts = [uri]
    else:
        parts = [join(uri, name) for name in sorted(names(uri)) if name.startswith("part-")]
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    tables = [_parse(part, read_bytes(part), wanted) for part in parts]
    return pa.concat_tables(tables) if tables else schemas.empty(wanted)


def read_tables(uris: Sequence[str], schema: pa.Schema, columns: Sequence[str]) -> Iterator[pa.Table]:
    """These columns of each Parquet file in turn; objects are fetched ahead, as by `read_each`, so they must be small.

    Raises StorageError where a file or a column is missing.
    """
    wanted = pa.schema([schema.field(name) for name in columns])
    for uri, data in zip(uris, read_each(uris), strict=True):
        if isinstance(data, MissingError):
            raise data
        yield _parse(uri, data, wanted)


def _parse(uri: str, data: bytes, schema: pa.Schema) -> pa.Table:
    try:
        # Unlike pq.read_table it passes over columns that are not there: `check` says which.
        table = pq.ParquetFile(pa.BufferReader(data)).read(columns=schema.names)
    except (pa.ArrowInvalid, OSError) as error:
        raise StorageError(
            f"{uri} is not a readable Parquet file ({error}): delete it and run its stage again."
        ) from error
    return schemas.check(table, schema)


def _holds_float32(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_float32(kind))


def _leaf(field: pa.Field) -> str:
    """Parquet's name of the column that holds a field's numbers."""
    nested = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
    return f"{field.name}.list.element" if nested else field.name
