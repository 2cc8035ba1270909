"""What a night brings: recordings below a prefix, by a pattern, or of a list, each with what is known of it."""

import collections
import datetime
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from raysee import filesystems, schema, storage, storage_find
from raysee.errors import ConfigurationError, StorageError
from raysee.scoring import roles
from raysee.storage import FileInfo
from raysee.synthesis.marker import lie_in_marked_folders

RECORDINGS = (
    *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aac", ".amr", ".awb", ".3gp", ".g729", ".gsm"),
    *(".wma", ".webm", ".mkv", ".mka", ".mov", ".avi", ".caf", ".aiff", ".aif", ".au"),
)
_LISTS = (".csv", ".parquet")
_KNOWN = ("uri", "call_id", "start_time", "roles")


class Listing(NamedTuple):
    """Rows of schema.RECORDINGS; how many other files there are by their ending; whether raysee made them itself."""

    recordings: pa.Table
    others: dict[str, int]
    synthetic: bool


def find(source: str) -> Listing:
    """The recordings of `source`: a prefix, a pattern with `*`, `**`, `?` or `[...]`, or a CSV or Parquet list.

    Below a prefix they are told by their names' ending; hidden files are none. A list has the column `uri`, which may
    be relative to it, and where known `call_id`, `start_time` (ISO 8601; UTC where it names no offset) and `roles` (of
    the channels in their order, separated by commas); its other columns are carried along. Raises StorageError where
    there is no recording, ConfigurationError for a list that cannot be read.
    """
    if source.lower().endswith(_LISTS):
        recordings = _of_list(storage.normalise(source))
        return Listing(recordings, {}, _is_synthetic(recordings))
    root, files = storage_find.list_matching(source)
    pattern = root != storage.normalise(source)
    found, others = [], collections.Counter[str]()
    for file in files:
        name = storage.basename(file.uri).lower()
        if name.startswith("."):
            continue
        if pattern or name.endswith(RECORDINGS):
            found.append(file)
        else:
            others[pathlib.PurePosixPath(name).suffix or "no ending"] += 1
    if not found:
        endings = "" if pattern else f", none of them ends in {', '.join(RECORDINGS)}"
        raise StorageError(f"No recording in {source}: {len(files)} files{endings}. Check the place.")
    recordings = _of_files(found, root)
    return Listing(recordings, dict(sorted(others.items())), _is_synthetic(recordings))


def _is_synthetic(recordings: pa.Table) -> bool:
    return lie_in_marked_folders([recordings["uri"][0].as_py()])  # one request, however many folders there are


def _of_files(files: Sequence[FileInfo], root: str) -> pa.Table:
    """Rows of schema.RECORDINGS; a call is named after its place below `root`, a single file after itself."""
    above = len(filesystems.path_of(root)) + 1
    paths = [filesystems.path_of(file.uri) for file in files]
    columns = {
        "uri": [file.uri for file in files],
        "size_bytes": [file.size_bytes for file in files],
        "etag": [file.etag for file in files],
        "call_id": [filesystems.printable(path[above:]) or storage.basename(root) for path in paths],
        "start_time": [None] * len(files),
        "roles": [[]] * len(files),
        "carried": [[]] * len(files),
    }
    return pa.table(columns, schema=schema.RECORDINGS)


def _of_list(uri: str) -> pa.Table:
    rows = _read(uri)
    if "uri" not in rows.column_names:
        raise ConfigurationError(f"{uri} has no column uri, but {', '.join(rows.column_names)}: name it so.")
    told = [_row(uri, number, row) for number, row in enumerate(rows.to_pylist(), start=1)]
    if not told:
        raise StorageError(f"{uri} is a list without a row: check what wrote it.")
    # What is not there has no size and no tag: it becomes a reject when it is read, and another call once it has come.
    for row, file in zip(told, storage_find.stat_each([row["uri"] for row in told]), strict=True):
        row["size_bytes"], row["etag"] = (file.size_bytes, file.etag) if file else (0, "")
    return pa.Table.from_pylist(told, schema=schema.RECORDINGS)


def _read(uri: str) -> pa.Table:
    data = storage.read_bytes(uri)
    try:
        if uri.lower().endswith(".parquet"):
            return pq.read_table(pa.BufferReader(data))
        header = pyarrow.csv.open_csv(pa.BufferReader(data)).schema.names
        return pyarrow.csv.read_csv(
            pa.BufferReader(data),
            # As it is written: a call's number may begin with zeros.
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigurationError(
            f"{uri} is no list that can be read ({error}): give CSV with a header, or Parquet."
        ) from error


def _row(place: str, number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    uri = row["uri"]
    if not uri or not isinstance(uri, str):
        raise ConfigurationError(f"Row {number} of {place} has no uri: every row names its recording, in text.")
    if "://" not in uri and not uri.startswith("/"):
        # A path, which may have a per cent sign in it.
        uri = storage.join(place.rpartition("/")[0], uri if place.startswith("s3://") else urllib.parse.quote(uri))
    uri = storage.normalise(uri)
    if "\0" in filesystems.path_of(uri):
        raise ConfigurationError(
            f"Row {number} of {place} has the uri {uri!r}, with a zero byte: no file has such a name."
        )
    return {
        "uri": uri,
        "call_id": storage.basename(uri) if row.get("call_id") in (None, "") else _text(row["call_id"]),
        "start_time": _time(place, number, row.get("start_time")),
        "roles": _roles(place, number, row.get("roles")),
        "carried": [(name, _text(value)) for name, value in row.items() if name not in _KNOWN and value is not None],
    }


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


def _roles(place: str, number: int, value: Any) -> list[str]:
    told = value.strip() if isinstance(value, str) else value
    names = told.split(",") if told and isinstance(told, str) else told or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"Row {number} of {place} has the roles {value!r}: write them as agent,customer.")
    return roles.named(names)


def _time(place: str, number: int, value: Any) -> datetime.datetime | None:
    if value is None or value == "":
        return None
    try:
        time = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)
        return time.astimezone(datetime.UTC) if time.tzinfo else time.replace(tzinfo=datetime.UTC)
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(
            f"Row {number} of {place} has the start_time {value!r}: write it as 2026-11-19T08:15:00+01:00."
        ) from None
