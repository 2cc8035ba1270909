"""Any other corpus, by a table: one row a clip, in CSV (UTF-8, with commas) or Parquet.

The columns are those of schema.UTTERANCES. `clip_id`, `uri`, `speaker` and `label` must be there; of the others,

- `uri` may be a path relative to the table's own place;
- `start_s`, `end_s`, `gender`, `session`, `sentence`, `intensity` and `repetition` are null where they are not given;
- `group` is the speaker, `language` is "und" (BCP 47's undetermined);
- `size_bytes` and `etag` are those of the listing, and 0 and empty, unknown, for a file that is not in it;
- `emotion` is the canonical emotion of the label, and "other" for a label that emotions.py does not know;
- `corpus` is what the caller says, whatever the table does.
"""

import math
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from raysee import schema, storage
from raysee.corpora import CORPORA
from raysee.emotions import EMOTIONS, canonical
from raysee.errors import ConfigurationError, CorpusError, StorageError
from raysee.storage import FileInfo

#: What a table's name ends in.
ENDINGS = (".csv", ".parquet")
REQUIRED = ("clip_id", "uri", "speaker", "label")

_OPTIONAL = ("session", "sentence", "intensity", "repetition")
_GENDERS = ("female", "male")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


class MissingValue(CorpusError):
    """A row without a value that every clip must have."""


class BadValue(CorpusError):
    """A row with a value that its column cannot hold."""


class BrokenRow(CorpusError):
    """A line of a CSV file with more or fewer values than its header."""


class DuplicateClip(CorpusError):
    """A second row of a clip, or of the same stretch of sound."""


class _Folder(NamedTuple):
    """Where relative paths begin: what stands before a path (`s3://bucket`, or nothing), and a path from its root."""

    prefix: str
    path: str


def read_table_corpus(uri: str, name: str, files: Iterable[FileInfo] = ()) -> tuple[pa.Table, pa.Table]:
    """The utterances (schema.UTTERANCES, sorted by clip_id) and rejects (schema.REJECTS) of the table at `uri`.

    `files` is a listing of where the sound lies. Clips elsewhere are as welcome, but nobody can tell when their files
    are replaced. A row is a reject where a required value is missing, a value is not of its column's kind, or the
    clip, or the same stretch of the same file, was there before. The sound itself is not looked for; extraction says
    what is missing.

    Raises CorpusError where the file is no table, lacks a required column, has one that is not of schema.UTTERANCES
    or one twice, or as `utterances_of` does; StorageError where it cannot be read.
    """
    uri = storage.normalise(uri)
    if not uri.lower().endswith(ENDINGS):
        raise CorpusError(f"{uri} is no table of clips: its name must end in {' or '.join(ENDINGS)}.")
    data, broken = pa.BufferReader(storage.read_bytes(uri)), []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        broken.append(
            BrokenRow(f"{row.actual_columns} values, the header has {row.expected_columns}: {row.text[:80]!r}")
        )
        return "skip"

    try:
        table = pq.read_table(data) if uri.lower().endswith(".parquet") else _read_csv(data, keep)
        _check_columns(table, uri)  # names that are not UTF-8 are found out here
    except (pa.ArrowInvalid, UnicodeError, OSError) as error:
        raise CorpusError(
            f"{uri} is no table that can be read ({error}): write it as UTF-8 CSV with commas, or as Parquet."
        ) from error
    if broken and not table.num_rows:
        raise CorpusError(f"No clip in {uri}: {len(broken)} rows, the first one has {broken[0]}. Mend the table.")
    utterances, rejects = utterances_of(_strings(table, uri).to_pylist(), name, uri, files)
    more = pa.Table.from_pylist([reject({}, uri, error) for error in broken], schema=schema.REJECTS)
    return utterances, pa.concat_tables([rejects, more]).combine_chunks()


def utterances_of(
    rows: Iterable[Mapping[str, Any]], name: str, place: str, files: Iterable[FileInfo] = ()
) -> tuple[pa.Table, pa.Table]:
    """The utterances (schema.UTTERANCES, sorted by clip_id) and rejects (schema.REJECTS) of rows as dicts.

    Values are strings or of their column's kind; relative uris are relative to the folder of `place`, which is where
    the rows come from; `files` are as in `read_table_corpus`. Raises ConfigurationError for a `name` that is
    taken or cannot be one of a folder; CorpusError where no row is left, or where a speaker is in two groups.
    """
    if name in CORPORA or not _NAME.match(name):
        raise ConfigurationError(
            f"{name!r} cannot name a corpus of your own: take letters, digits, '.', '_' and '-', "
            f"and none of {', '.join(CORPORA)}."
        )
    folder, listed = _folder(place), {file.uri: file for file in files}
    found: dict[str, dict[str, Any]] = {}
    stretches: dict[tuple[Any, ...], str] = {}
    rejects = []
    for row in rows:
        try:
            clip = _clip(row, name, folder, listed)
            if clip["clip_id"] in found:
                raise DuplicateClip(
                    f"a second row of this clip, the first one's sound is {found[clip['clip_id']]['uri']}"
                )
            stretch = (clip["uri"], clip["start_s"] or 0.0, clip["end_s"])
            if stretch in stretches:
                raise DuplicateClip(f"the same sound as clip {stretches[stretch]}")
        except CorpusError as error:
            rejects.append(reject(row, place, error))
            continue
        found[clip["clip_id"]] = clip
        stretches[stretch] = clip["clip_id"]
    if not found:
        first = f", the first one because: {rejects[0]['message']}" if rejects else ""
        raise CorpusError(f"No clip in {place}: {len(rejects)} rows, none of them can be used{first}. Mend the table.")
    groups: dict[str, str] = {}
    for clip in found.values():
        if groups.setdefault(clip["speaker"], clip["group"]) != clip["group"]:
            raise CorpusError(
                f"Speaker {clip['speaker']!r} of {place} is in the groups {groups[clip['speaker']]!r} and "
                f"{clip['group']!r}: give each speaker one, because groups are held out together."
            )
    return (
        pa.Table.from_pylist([found[clip_id] for clip_id in sorted(found)], schema=schema.UTTERANCES),
        pa.Table.from_pylist(rejects, schema=schema.REJECTS),
    )


def _read_csv(data: pa.BufferReader, keep: Any) -> pa.Table:
    return pyarrow.csv.read_csv(
        data,
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
        convert_options=pyarrow.csv.ConvertOptions(
            # Inferred types would make 3 of speaker 03, and a null of a sentence called NA.
            column_types=dict.fromkeys(schema.UTTERANCES.names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )


def _check_columns(table: pa.Table, uri: str) -> None:
    names = table.column_names
    optional = [name for name in schema.UTTERANCES.names if name not in REQUIRED]
    for problem, columns in (
        ("are missing", [name for name in REQUIRED if name not in names]),
        ("are not known", [name for name in dict.fromkeys(names) if name not in schema.UTTERANCES.names]),
        ("are there twice", [name for name in dict.fromkeys(names) if names.count(name) > 1]),
    ):
        if columns:
            raise CorpusError(
                f"Columns {', '.join(map(repr, columns))} {problem} in {uri}, which has {', '.join(map(repr, names))}. "
                f"Required are {', '.join(REQUIRED)}; there may be {', '.join(optional)}."
            )


def _strings(table: pa.Table, uri: str) -> pa.Table:
    """Every column as strings without space around them; each number is the shortest that reads as the same."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns[name] = pc.utf8_trim_whitespace(column.cast(pa.string()))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise CorpusError(f"Column {name} of {uri} has type {column.type}: give strings or numbers.") from error
    return pa.table(columns)


def _clip(row: Mapping[str, Any], name: str, folder: _Folder, listed: Mapping[str, FileInfo]) -> dict[str, Any]:
    """A row of schema.UTTERANCES. Raises MissingValue or BadValue."""
    given = {key: value for key, value in row.items() if value not in (None, "")}
    if missing := [column for column in REQUIRED if column not in given]:
        raise MissingValue(f"no {', '.join(missing)}: every clip must have it")
    start_s, end_s = _seconds(given, "start_s"), _seconds(given, "end_s")
    if end_s is not None and end_s <= (start_s or 0.0):
        raise BadValue(f"end_s {end_s:g} is not after the clip's beginning")
    uri = _resolve(given["uri"], folder)
    file = listed.get(uri) or FileInfo(uri, _size(given), given.get("etag", ""))
    return {
        **{column: given.get(column) for column in _OPTIONAL},
        "clip_id": given["clip_id"],
        "corpus": name,
        "uri": uri,
        "start_s": start_s,
        "end_s": end_s,
        "size_bytes": file.size_bytes,
        "etag": file.etag,
        "speaker": given["speaker"],
        "gender": _one_of(given, "gender", _GENDERS),
        "group": given.get("group", given["speaker"]),
        "language": given.get("language", "und"),
        "label": given["label"],
        "emotion": _one_of(given, "emotion", EMOTIONS) or _emotion(given["label"]),
    }


def _emotion(label: str) -> str:
    try:
        return canonical(label)
    except ValueError:
        return "other"


def _seconds(given: Mapping[str, Any], column: str) -> float | None:
    if column not in given:
        return None
    try:
        seconds = float(given[column])
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadValue(f"{column} is {given[column]!r}, expected seconds from the beginning of the file")
    return seconds


def _size(given: Mapping[str, Any]) -> int:
    text = str(given.get("size_bytes", 0))
    if not (text.isascii() and text.isdecimal()):
        raise BadValue(f"size_bytes is {text!r}, expected a whole number")
    return int(text)


def _one_of(given: Mapping[str, Any], column: str, known: tuple[str, ...]) -> str | None:
    value: str | None = given.get(column)
    if value is not None and value not in known:
        raise BadValue(f"{column} is {value!r}, expected one of {', '.join(known)}, or nothing")
    return value


def _folder(place: str) -> _Folder:
    folder = place.rpartition("/")[0]
    if folder.startswith("s3://"):
        bucket, _, path = folder.removeprefix("s3://").partition("/")
        return _Folder(f"s3://{bucket}", f"/{path}")
    return _Folder("", str(storage.local_folder(folder or "/")))


def _resolve(uri: str, folder: _Folder) -> str:
    """The URI of a place that may be a path relative to `folder`. Raises BadValue."""
    try:
        if "://" in uri or uri.startswith("/"):
            return storage.normalise(uri)
        return storage.normalise(folder.prefix + posixpath.normpath(posixpath.join(folder.path, uri)))
    except StorageError as error:
        raise BadValue(str(error)) from error


def reject(row: Mapping[str, Any], place: str, error: Exception, stage: str = "manifest") -> dict[str, str]:
    """A row of schema.REJECTS about a row of clips that come from `place`."""
    uri = row.get("uri") or place
    return {
        "id": row.get("clip_id") or uri,
        "uri": uri,
        "stage": stage,
        "error": type(error).__name__,
        "message": str(error),
    }
