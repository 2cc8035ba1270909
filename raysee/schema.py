"""The Arrow schema of every dataset that a stage hands to the next, with units in the names of its columns.

Anything that reads Parquet can look in between: no column needs raysee or Ray to be understood.
"""

import pyarrow as pa

from raysee.errors import StorageError


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_FLOATS = pa.list_(pa.field("element", pa.float32(), nullable=False))
_STRINGS = pa.list_(pa.field("element", pa.string(), nullable=False))

#: One row a clip: where its sound lies, who speaks, which emotion.
UTTERANCES = pa.schema(
    [
        _required("clip_id", pa.string()),  # unique in its corpus: the file's stem
        _required("corpus", pa.string()),
        _required("uri", pa.string()),
        pa.field("start_s", pa.float64()),  # null: from the beginning of the file
        pa.field("end_s", pa.float64()),  # null: to its end
        _required("size_bytes", pa.int64()),  # of the file
        _required("etag", pa.string()),  # changes when the file is replaced
        _required("speaker", pa.string()),
        pa.field("gender", pa.string()),  # "female", "male", or null where the corpus does not say
        pa.field("session", pa.string()),
        _required("group", pa.string()),  # what cross-validation holds out together: the speaker, session or language
        pa.field("sentence", pa.string()),
        pa.field("intensity", pa.string()),
        pa.field("repetition", pa.string()),
        _required("language", pa.string()),  # BCP 47
        _required("label", pa.string()),  # the corpus's own category, in English
        _required("emotion", pa.string()),  # the canonical emotion that it maps to, see emotions.py
    ]
)

#: One row a clip: the array that a front-end made of it, flat and row-major, and its shape.
FEATURES = pa.schema(
    [
        _required("clip_id", pa.string()),
        _required("content_sha256", pa.string()),  # of the audio file's bytes
        _required("duration_s", pa.float64()),
        _required("sample_rate_hz", pa.int32()),  # of the file, before resampling
        pa.field("level_dbfs", pa.float32()),  # RMS, as the front-end hears it; null: of an earlier version
        _required("shape", pa.list_(pa.field("element", pa.int32(), nullable=False))),
        _required("values", pa.large_list(pa.field("element", pa.float32(), nullable=False))),
    ]
)

#: One row a clip: the shard of an extraction that it is in, and stays in when other clips come or go.
FEATURE_PLAN = pa.schema([_required("clip_id", pa.string()), _required("shard", pa.int32())])

#: One row a test clip and repeat: what a model that never trained on it says.
PREDICTIONS = pa.schema(
    [
        _required("clip_id", pa.string()),
        _required("speaker", pa.string()),
        pa.field("gender", pa.string()),
        _required("repeat", pa.int32()),
        _required("fold", pa.int32()),
        _required("speaker_heard", pa.bool_()),  # whether the training part has clips of the speaker,
        pa.field("sentence_heard", pa.bool_()),  # and of the sentence; null where the corpus does not name sentences
        _required("label", pa.string()),
        _required("predicted", pa.string()),
        _required("labels", _STRINGS),  # the order of the probabilities
        _required("probabilities", _FLOATS),
    ]
)

#: One row an example and repeat, where the clips have several: windows, chunks, or vectors.
EXAMPLES = pa.schema(
    [
        _required("example", pa.int64()),  # the same number is the same example in every run on these features
        _required("part", pa.string()),  # "test" or "validation"
        *PREDICTIONS,
    ]
)

#: One row a figure of an experiment of the literature: the published one and ours, in [0, 1] or in seconds.
REPRODUCTIONS = pa.schema(
    [
        _required("experiment", pa.string()),
        _required("what", pa.string()),
        _required("corpus", pa.string()),
        _required("model", pa.string()),
        _required("features", pa.string()),
        _required("protocol", pa.string()),
        _required("figure", pa.string()),
        pa.field("published", pa.float64()),
        pa.field("ours", pa.float64()),  # null: owed, and `remark` says why, or only cited
        pa.field("pooled", pa.float64()),  # of a mean over folds: the same over all predictions at once
        pa.field("low", pa.float64()),  # the 95 % interval over speakers, of `pooled` where that is not null
        pa.field("high", pa.float64()),
        _required("incomparable", pa.string()),  # why `published` may not be held against `ours`; empty: it may
        _required("repeats", pa.int32()),
        _required("epochs", pa.int32()),
        _required("num_trainings", pa.int32()),
        _required("training_s", pa.float64()),  # of all these trainings
        _required("notes", _STRINGS),
        _required("remark", pa.string()),
        _required("run", pa.string()),
    ]
)

#: One row a cell of a crossing of corpora: what models of some say of another, beside the figure within that one.
CROSSINGS = pa.schema(
    [
        _required("trained_on", _STRINGS),
        _required("tested", pa.string()),
        _required("scheme", pa.string()),
        _required("model", pa.string()),
        _required("features", pa.string()),
        _required("protocol", pa.string()),
        _required("repeats", pa.int32()),
        _required("epochs", pa.int32()),
        _required("heard", _STRINGS),  # the classes of the models,
        _required("classes", _STRINGS),  # those of them that the tested corpus has,
        _required("unheard", _STRINGS),  # and its classes that nothing that was trained on has: their clips are dropped
        _required("num_unheard", pa.int64()),  # these clips
        pa.field("num_clips", pa.int64()),  # that were tested; all figures are null where the cell failed
        pa.field("num_speakers", pa.int32()),
        pa.field("chance", pa.float64()),
        pa.field("uar", pa.float64()),  # pooled,
        pa.field("low", pa.float64()),  # and its 95 % interval over speakers; null with one speaker
        pa.field("high", pa.float64()),
        pa.field("within", pa.float64()),  # the same of a cross-validation within the tested corpus, on the same clips
        pa.field("within_low", pa.float64()),
        pa.field("within_high", pa.float64()),
        pa.field("gap", pa.float64()),  # within - uar
        pa.field("gap_low", pa.float64()),
        pa.field("gap_high", pa.float64()),
        pa.field("p_value", pa.float64()),  # of the gap, two-sided
        _required("training_s", pa.float64()),  # of the trainings across corpora
        _required("remark", pa.string()),  # why a figure is null, or what is to be known of it
        _required("run", pa.string()),  # empty where it failed, as `within_run`
        _required("within_run", pa.string()),
    ]
)

_CARRIED = pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False))
_TIME = pa.timestamp("us", "UTC")

#: One row a recording that a night brings, and what is known of it.
RECORDINGS = pa.schema(
    [
        _required("uri", pa.string()),
        _required("size_bytes", pa.int64()),
        _required("etag", pa.string()),  # changes when the file is replaced
        _required("call_id", pa.string()),  # the list's; else the place below the prefix
        pa.field("start_time", _TIME),
        _required("roles", _STRINGS),  # of its channels in their order, as far as a list says
        _required("carried", _CARRIED),  # what else a list says, untouched
    ]
)

#: One row a recording that is to be scored, and the shard of the night's work that it belongs to.
CALL_PLAN = pa.schema(
    [
        _required("key", pa.string()),  # of uri, size and etag: a replaced recording is another call
        *RECORDINGS,
        _required("shard", pa.int32()),
        _required("synthetic", pa.bool_()),  # made by raysee.synthesis
    ]
)

#: One row a call that is settled.
LEDGER = pa.schema([_required("key", pa.binary(16))])

#: One row a scored stretch of speech on one channel. Stretches of a channel are in order and do not overlap.
SEGMENTS = pa.schema(
    [
        _required("key", pa.string()),  # of the call, as in CALLS
        _required("work", pa.string()),  # what scored it: fingerprint of model and configuration
        _required("call_id", pa.string()),
        _required("channel", pa.int32()),  # 0 is left
        _required("role", pa.string()),
        _required("start_s", pa.float64()),
        _required("end_s", pa.float64()),
        _required("speech_s", pa.float64()),  # of it; the rest are short pauses
        _required("level_dbfs", pa.float32()),
        _required("labels", _STRINGS),
        _required("probabilities", _FLOATS),
        _required("label", pa.string()),  # "unsure" where no probability reaches the threshold
        _required("confidence", pa.float32()),  # the highest probability
    ]
)

#: One row a channel of a call. What is said of emotions is null where the channel was not scored, or nobody speaks.
CALLS = pa.schema(
    [
        _required("key", pa.string()),
        _required("work", pa.string()),
        _required("call_id", pa.string()),
        _required("uri", pa.string()),
        pa.field("start_time", _TIME),
        _required("carried", _CARRIED),
        _required("channel", pa.int32()),
        _required("role", pa.string()),  # "customer", "agent", ..., or "unknown"
        _required("scored", pa.bool_()),  # whether emotions were looked for on this channel
        _required("num_channels", pa.int32()),  # of the recording
        _required("sample_rate_hz", pa.int32()),
        _required("duration_s", pa.float64()),
        _required("talk_s", pa.float64()),  # speech on this channel
        _required("silence_s", pa.float64()),  # of the call: outside of the segments of all channels
        _required("num_segments", pa.int32()),
        _required("flags", _STRINGS),  # what is to be known of the sound, see raysee.scoring.summary
        _required("labels", _STRINGS),
        pa.field("shares", _FLOATS),  # mean of the segments' probabilities, weighted by their speech
        pa.field("by_quarter", pa.list_(_FLOATS)),  # the same of each quarter of the call; null where nobody speaks
        pa.field("label", pa.string()),  # of the greatest share
        pa.field("confidence", pa.float32()),  # that share
        pa.field("trend", pa.float64()),  # of the share of negative emotions, per minute
        pa.field("negative_start_s", pa.float64()),  # the strongest negative passage, see raysee.scoring.summary
        pa.field("negative_end_s", pa.float64()),
        pa.field("negative_share", pa.float64()),
    ]
)

#: One row a thing that could not be used, and why. Nothing is dropped without one.
REJECTS = pa.schema(
    [
        _required("id", pa.string()),  # clip_id, or key of a call; the uri where there is neither
        _required("uri", pa.string()),
        _required("stage", pa.string()),
        _required("error", pa.string()),  # the class, to count by
        _required("message", pa.string()),  # the sentence, to read
    ]
)


#: Columns that files of an earlier version lack, and that may be null.
_LATER = {"level_dbfs"}


def check(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `table` with the columns of `schema` in its order and its widths of numbers; metadata is kept.

    What files of an earlier version lack is null. Raises StorageError where any other column is missing, one is of
    another kind, or holds a null where none may be.
    """
    for field in schema:
        if field.nullable and field.name in _LATER and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise StorageError(
            f"Columns {', '.join(missing)} are missing; found {', '.join(table.column_names) or 'none'}. "
            "The file was not written by this version of raysee: write it again."
        )
    table = table.select(schema.names)
    for field, column in zip(schema, table.columns, strict=True):
        if _kind(column.type) not in (_kind(field.type), "null"):
            raise StorageError(f"Column {field.name} has type {column.type}, expected {field.type}: write it again.")
        if not field.nullable and (nulls := _nulls(column)):
            raise StorageError(f"Column {field.name} holds {nulls} nulls; it may hold none.")
    try:
        return table.cast(schema).replace_schema_metadata(table.schema.metadata)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise StorageError(f"A column holds what its type cannot: {error}") from error


def _kind(kind: pa.DataType) -> str:
    """What may be cast into each other: numbers of any width, strings, lists."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_kind(kind.value_type)}"
    if pa.types.is_map(kind):
        return f"map from {_kind(kind.key_type)} to {_kind(kind.item_type)}"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "floating point"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "string"
    return str(kind)


def _nulls(column: pa.ChunkedArray) -> int:
    """Nulls in a column, and in its lists."""
    nulls = int(column.null_count)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        nulls += sum(int(chunk.flatten().null_count) for chunk in column.chunks)
    return nulls


def empty(schema: pa.Schema) -> pa.Table:
    """A table of no rows."""
    return schema.empty_table()
