"""Utterances to and from the formats of others: audformat databases and Lhotse manifests.

An audformat database (https://audeering.github.io/audformat) is a folder with a header, db.yaml, and tables whose
index is a file, or a file and a stretch of it. Lhotse (https://lhotse.readthedocs.io) has recordings and supervisions
as JSON lines. Each is an extra: raysee[audformat], raysee[lhotse]. Both write to a folder of this machine; the sound
stays where it is.

Exported, every column of schema.UTTERANCES is there: in the format's own field where it has one, else as a column or a
custom field of the same name. Times are kept to the nanosecond, and where they say no more than the file's own ends
they come back as null, which means the same. Imported, every clip needs a speaker and an emotion (or label).
"""

import importlib
import pathlib
import urllib.parse
from typing import Any

import pyarrow as pa

from raysee import schema, storage
from raysee.audio.decode import decode
from raysee.config import fingerprint
from raysee.corpora import CORPORA
from raysee.corpora.table import reject, utterances_of
from raysee.emotions import EMOTIONS
from raysee.errors import AudioError, ConfigurationError, CorpusError, MissingError, StorageError

HEADER = "db.yaml"
RECORDINGS, SUPERVISIONS = "recordings.jsonl.gz", "supervisions.jsonl.gz"

#: What an audformat index and a Lhotse supervision say by themselves; the rest are columns and custom fields.
_INDEX = ("uri", "start_s", "end_s")
_SUPERVISION = ("clip_id", *_INDEX, "speaker", "gender", "language")
_GENDERS = {"f": "female", "m": "male"}  # by first letter: F, Female, m; others have more, raysee has null
_NANO = 9  # digits of seconds


class OtherSound(CorpusError):
    """A Lhotse supervision of sound that is not one whole file with all of its channels."""


def to_audformat(utterances: pa.Table, folder: str) -> pa.Table:
    """Write `utterances` (schema.UTTERANCES) as an audformat database of one table, `clips`, into a local folder.

    Files below the folder are named relative to it, so that all of it can be moved. Returns rejects, of which there
    are none: nothing is decoded. Raises ConfigurationError where audformat is not installed, CorpusError where two
    clips are the same stretch of a file, StorageError where the folder holds a database already.
    """
    audformat, root = _package("audformat"), _new(folder, HEADER)
    rows = utterances.to_pylist()
    index = audformat.segmented_index(
        [_below(root, row["uri"]) for row in rows],
        [row["start_s"] or 0.0 for row in rows],
        [row["end_s"] for row in rows],
    )
    if index.has_duplicates:
        raise CorpusError(
            f"{int(index.duplicated().sum())} clips are the same stretch of a file as another one; an audformat table "
            "holds each once: leave them out."
        )
    corpora = sorted({row["corpus"] for row in rows})
    licences = [f"{name}: {CORPORA[name].licence}" for name in corpora if name in CORPORA]
    database = audformat.Database(
        "-".join(corpora),
        usage=audformat.define.Usage.OTHER,  # the default says that everything is allowed
        license="; ".join(licences) or None,
    )
    labels = {"emotion": list(EMOTIONS), "gender": ["female", "male"]}
    table = database["clips"] = audformat.Table(index)
    for field in schema.UTTERANCES:
        if field.name not in _INDEX:
            kind = None if field.name in labels else "int" if pa.types.is_integer(field.type) else "str"
            database.schemes[field.name] = audformat.Scheme(kind, labels=labels.get(field.name))
            table[field.name] = audformat.Column(scheme_id=field.name)
            table[field.name].set([row[field.name] for row in rows])
    database.save(str(root))
    return schema.empty(schema.REJECTS)


def from_audformat(folder: str, name: str) -> tuple[pa.Table, pa.Table]:
    """The utterances (schema.UTTERANCES) and rejects (schema.REJECTS) of an audformat database, as the corpus `name`.

    A database of others is gathered by its schemes, in whichever tables they are used: `emotion`, `speaker` and what
    else is called like a column; what describes a speaker, e.g. a gender, goes with it. Its emotions become labels; a
    clip_id is the file's path and the stretch. Raises ConfigurationError where audformat is not installed, CorpusError
    where there is no such database, its tables contradict each other or are pickled, and as `utterances_of` does.
    """
    audformat, root = _package("audformat"), storage.local_folder(folder)
    place = storage.normalise(root / HEADER)
    if pickled := sorted(path.name for path in root.glob("*.pkl")):
        raise CorpusError(
            f"{folder} holds {pickled[0]}: a pickle can run any code, and audformat prefers it. Save the tables as CSV "
            "or Parquet, and delete it."
        )
    try:
        database = audformat.Database.load(str(root))
        columns = [one for one in schema.UTTERANCES.names if one in database.schemes and one != "emotion"]
        frame = database.get("emotion", columns, strict=True)
        speakers = _speakers(database)
    except Exception as error:  # the reader of another's format fails in its own ways
        raise CorpusError(f"{place} is no audformat database that can be read: {error}.") from error
    if "emotion" not in database.schemes:
        raise CorpusError(f"{place} has no scheme emotion, only {', '.join(database.schemes)}: rename what means it.")
    rows = []
    index = audformat.utils.to_segmented_index(frame.index)
    for (file, start, end), values in zip(index, frame.to_dict("records"), strict=True):
        row = _strings(speakers.get(values.get("speaker"), {})) | _strings(values)
        start_s = start.total_seconds() or None
        end_s = end.total_seconds() if end == end else None
        stretch = "" if start_s is end_s is None else f"-{start_s or 0:g}-{'end' if end_s is None else f'{end_s:g}'}"
        made_up = {"clip_id": str(pathlib.PurePosixPath(file).with_suffix("")) + stretch}
        rows.append({**made_up, **_labelled(row), "uri": file, "start_s": start_s, "end_s": end_s})
    return utterances_of(rows, name, place, storage.list_files(str(root)))


def to_lhotse(utterances: pa.Table, folder: str) -> pa.Table:
    """Write `utterances` (schema.UTTERANCES) as recordings.jsonl.gz and supervisions.jsonl.gz into a local folder.

    A Lhotse recording has the number of its samples, so every file is read and decoded. Returns the rejects
    (schema.REJECTS): the clips whose file cannot be, or does not reach as far as they do. Raises ConfigurationError
    where Lhotse is not installed, StorageError where the folder holds manifests already or a store does not answer.
    """
    lhotse, root = _package("lhotse"), _new(folder, RECORDINGS)
    clips: dict[str, list[dict[str, Any]]] = {}
    for row in utterances.to_pylist():
        clips.setdefault(row["uri"], []).append(row)
    recordings, supervisions, rejects = [], [], []
    for uri, data in zip(clips, storage.read_each(list(clips)), strict=True):
        try:
            recordings.append(recording := _recording(lhotse, uri, data))
        except (AudioError, MissingError) as error:
            rejects += [reject(row, uri, error, stage="export") for row in clips[uri]]
            continue
        for row in clips[uri]:
            try:
                supervisions.append(_supervision(lhotse, recording, row))
            except AudioError as error:
                rejects.append(reject(row, uri, error, stage="export"))
    root.mkdir(parents=True, exist_ok=True)
    lhotse.SupervisionSet.from_segments(supervisions).to_file(root / SUPERVISIONS)
    lhotse.RecordingSet.from_recordings(recordings).to_file(root / RECORDINGS)
    return pa.Table.from_pylist(rejects, schema=schema.REJECTS)


EXPORTS = {"audformat": to_audformat, "lhotse": to_lhotse}


def from_lhotse(folder: str, name: str) -> tuple[pa.Table, pa.Table]:
    """The utterances (schema.UTTERANCES) and rejects (schema.REJECTS) of Lhotse's manifests, as the corpus `name`.

    The folder holds recordings.jsonl.gz and supervisions.jsonl.gz; paths in them are relative to it. The label is the
    custom field `label`, or `emotion`. A supervision is a reject where its recording is not one plain file, or where
    it is of some of the channels only, because raysee mixes them. Raises ConfigurationError where Lhotse is not
    installed, CorpusError where the manifests are not there or cannot be read, and as `utterances_of` does.
    """
    lhotse, root = _package("lhotse"), storage.local_folder(folder)
    place = storage.normalise(root / SUPERVISIONS)
    try:
        recordings = {one.id: one for one in lhotse.RecordingSet.from_file(root / RECORDINGS)}
        supervisions = list(lhotse.SupervisionSet.from_file(root / SUPERVISIONS))
    except Exception as error:  # the reader of another's format fails in its own ways
        raise CorpusError(
            f"{folder} holds no {RECORDINGS} and {SUPERVISIONS} that can be read ({error}): write them with Lhotse."
        ) from error
    rows, rejects = [], []
    for one in supervisions:
        try:
            rows.append(_row(one, recordings.get(one.recording_id)))
        except OtherSound as error:
            rejects.append(reject({"clip_id": one.id}, place, error))
    utterances, more = utterances_of(rows, name, place, storage.list_files(str(root)))
    return utterances, pa.concat_tables([pa.Table.from_pylist(rejects, schema=schema.REJECTS), more]).combine_chunks()


def _recording(lhotse: Any, uri: str, data: bytes | MissingError) -> Any:
    """A lhotse.Recording. Raises AudioError or MissingError."""
    if isinstance(data, MissingError):
        raise data
    audio = decode(data)
    num_samples, num_channels = audio.samples.shape
    channels = list(range(num_channels))
    kind, source = ("url", uri) if uri.startswith("s3://") else ("file", _path(uri))
    return lhotse.Recording(
        id=f"{pathlib.PurePosixPath(source).stem}-{fingerprint(uri)}",
        sources=[lhotse.AudioSource(type=kind, channels=channels, source=source)],
        sampling_rate=audio.sample_rate_hz,
        num_samples=num_samples,
        duration=audio.duration_s,
        channel_ids=channels,
    )


def _supervision(lhotse: Any, recording: Any, row: dict[str, Any]) -> Any:
    """A lhotse.SupervisionSegment. Raises AudioError where it is not within the recording."""
    start_s, end_s = row["start_s"] or 0.0, row["end_s"] or recording.duration
    if not start_s < recording.duration or round(end_s * recording.sampling_rate) > recording.num_samples:
        raise AudioError(f"the clip is {start_s:g} to {end_s:g} s, the file has {recording.duration:g} s")
    channels = recording.channel_ids
    return lhotse.SupervisionSegment(
        id=row["clip_id"],
        recording_id=recording.id,
        start=start_s,
        duration=round(min(end_s, recording.duration) - start_s, _NANO),  # annotated times may be rounded up
        channel=channels[0] if len(channels) == 1 else channels,
        speaker=row["speaker"],
        gender=row["gender"],
        language=row["language"],
        custom={key: value for key, value in row.items() if key not in _SUPERVISION and value is not None},
    )


def _row(one: Any, recording: Any) -> dict[str, Any]:
    """The row of a supervision and its recording. Raises OtherSound."""
    if recording is None:
        raise OtherSound(f"there is no recording {one.recording_id!r}")
    sources = recording.sources
    if len(sources) != 1 or sources[0].type not in ("file", "url") or recording.transforms:
        raise OtherSound(f"recording {recording.id!r} is not one plain file: save it as one")
    channels = one.channel if isinstance(one.channel, list) else [one.channel]
    if set(channels) != set(recording.channel_ids):
        raise OtherSound(f"it is of channels {channels} of {recording.channel_ids}: save them as a file of their own")
    end_s = round(one.start + one.duration, _NANO)
    said = {"speaker": one.speaker, "gender": one.gender, "language": one.language}
    return {
        **_labelled(_strings(one.custom or {}) | _strings(said)),
        "clip_id": one.id,
        "uri": str(sources[0].source),
        "start_s": one.start or None,
        "end_s": None if end_s >= round(recording.duration, _NANO) else end_s,
    }


def _speakers(database: Any) -> dict[Any, dict[str, Any]]:
    """What an audformat database says of each speaker: in the labels of the scheme, or in the table that they name."""
    labels = database.schemes["speaker"].labels if "speaker" in database.schemes else None
    if isinstance(labels, str):
        labels = database[labels].get().to_dict("index")
    return {key: said for key, said in labels.items() if isinstance(said, dict)} if isinstance(labels, dict) else {}


def _strings(values: dict[str, Any]) -> dict[str, str]:
    """The values that are there, as strings; those that are not are None, NaN, or pandas' NA, which equals nothing."""
    return {key: str(value) for key, value in values.items() if value is not None and (value == value) is True}


def _labelled(row: dict[str, str]) -> dict[str, str | None]:
    """A row in raysee's terms: where others give an emotion only, it is the label, and may be any word."""
    given = {"label": row["emotion"], "emotion": None} if "label" not in row and "emotion" in row else {}
    return {**row, **given, "gender": _GENDERS.get(row.get("gender", "")[:1].lower())}


def _package(name: str) -> Any:
    """A package that is an extra of raysee. ConfigurationError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"{name} is not installed: run `pip install 'raysee[{name}]'`.") from error


def _new(folder: str, file: str) -> pathlib.Path:
    """A local folder without `file` in it. StorageError where it is there already."""
    root = storage.local_folder(folder)
    if (root / file).exists():
        raise StorageError(f"{folder} holds a {file} already: choose another folder, or delete it first.")
    return root


def _path(uri: str) -> str:
    """What others take for a place: the path of a local file, the URI of an object."""
    return uri if uri.startswith("s3://") else urllib.parse.unquote(uri.removeprefix("file://"))


def _below(root: pathlib.Path, uri: str) -> str:
    """The path of a file relative to `root` where it is below it, else as `_path` gives it."""
    path = pathlib.PurePosixPath(_path(uri))
    return str(path.relative_to(root)) if path.is_relative_to(root) else _path(uri)
