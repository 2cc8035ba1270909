"""Utterances -> a table of features and a table of rejects."""

import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysee import schema
from raysee.audio.decode import Audio, Samples, decode
from raysee.audio.measure import level_dbfs
from raysee.audio.resample import mono, resample
from raysee.audio.telephone import CHANNELS, codec_of, through
from raysee.config import Channel
from raysee.errors import AudioError, MissingError
from raysee.features.frontend import FrontEnd

#: Gives the bytes of each uri in turn, or the error that says that it is not there.
ReadEach = Callable[[Sequence[str]], Iterable[bytes | MissingError]]


def featurise(
    utterances: pa.Table,
    front_ends: Sequence[FrontEnd],
    read_each: ReadEach,
    earlier: Sequence[pa.Table] = (),
    channel: Channel = "clean",
) -> list[tuple[pa.Table, pa.Table]]:
    """For each front-end, one row of schema.FEATURES or one of schema.REJECTS for each row of `utterances`, in order.

    `earlier` holds for each front-end a table of its features; what it has of a whole file of the same bytes is taken
    over. Through the telephone each clip has a codec by chance, which follows from its clip_id. What `read_each` raises
    goes through.
    """
    makers = [_Maker(front_end, table, channel) for front_end, table in itertools.zip_longest(front_ends, earlier)]
    clips = utterances.select(["clip_id", "uri", "start_s", "end_s"]).to_pylist()
    by_file = [list(group) for _, group in itertools.groupby(clips, key=lambda clip: clip["uri"])]
    for group, data in zip(by_file, read_each([group[0]["uri"] for group in by_file]), strict=True):
        file = _File(data)
        for clip in group:
            sound = _Sound(clip, file, channel)
            for maker in makers:
                maker.add(clip, sound)
    return [maker.tables() for maker in makers]


class _File:
    """What several clips and front-ends need of one file, made when the first of them asks."""

    def __init__(self, data: bytes | MissingError) -> None:
        self._data = data

    @property
    def data(self) -> bytes:
        if isinstance(self._data, MissingError):
            raise self._data
        return self._data

    @functools.cached_property
    def content_sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @functools.cached_property
    def audio(self) -> Audio:
        return decode(self.data)


class _Sound:
    """What several front-ends need of one clip, made when the first of them asks."""

    def __init__(self, clip: dict[str, Any], file: _File, channel: Channel) -> None:
        self.clip, self.file, self.channel = clip, file, channel
        self._at: dict[int, Samples] = {}

    @functools.cached_property
    def audio(self) -> Audio:
        """The clip, all its channels, at its own rate."""
        return self.file.audio.part(self.clip["start_s"], self.clip["end_s"])

    def at(self, sample_rate_hz: int) -> Samples:
        """The clip's mean of channels, (num_samples,), at another rate."""
        if sample_rate_hz not in self._at:
            samples = resample(mono(self.audio), self.audio.sample_rate_hz, sample_rate_hz)
            if self.channel == "telephone":
                samples = through(samples, sample_rate_hz, codec_of(self.clip["clip_id"]))
            self._at[sample_rate_hz] = samples
        return self._at[sample_rate_hz]


class _Maker:
    """The rows of one front-end."""

    def __init__(self, front_end: FrontEnd, earlier: pa.Table | None, channel: Channel) -> None:
        self.front_end, self.channel = front_end, channel
        self.rows: list[dict[str, Any]] = []
        self.arrays: list[npt.NDArray[np.float32]] = []
        self.rejects: list[dict[str, str]] = []
        self.earlier: dict[str, tuple[dict[str, Any], npt.NDArray[np.float32]]] = {}
        if earlier is not None and earlier.num_rows:
            described = earlier.drop_columns(["values"]).to_pylist()
            self.earlier = {row["clip_id"]: (row, array) for row, array in zip(described, arrays(earlier), strict=True)}

    def add(self, clip: dict[str, Any], sound: _Sound) -> None:
        try:
            row, values = self._earlier(clip, sound) or self._new(clip, sound)
        except (AudioError, MissingError) as error:
            self.rejects.append(reject(clip["clip_id"], clip["uri"], "extract", error))
            return
        self.rows.append(row)
        self.arrays.append(values)

    def _earlier(self, clip: dict[str, Any], sound: _Sound) -> tuple[dict[str, Any], npt.NDArray[np.float32]] | None:
        """What is there already of the same bytes; of parts of files it is not known which part it was."""
        whole = clip["start_s"] is None and clip["end_s"] is None
        row, array = self.earlier.get(clip["clip_id"], (None, None))
        if not whole or row is None or array is None or row["content_sha256"] != sound.file.content_sha256:
            return None
        return row, array

    def _new(self, clip: dict[str, Any], sound: _Sound) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
        samples = sound.at(self.front_end.sample_rate_hz)
        values = self.front_end(samples)
        row = {
            "clip_id": clip["clip_id"],
            "content_sha256": sound.file.content_sha256,
            "duration_s": sound.audio.duration_s,
            "sample_rate_hz": sound.audio.sample_rate_hz,
            "level_dbfs": float(level_dbfs(samples)),
            "shape": list(values.shape),
        }
        return row, values

    def tables(self) -> tuple[pa.Table, pa.Table]:
        described = [field for field in schema.FEATURES if field.name != "values"]
        table = pa.Table.from_pylist(self.rows, schema=pa.schema(described))
        table = table.append_column(schema.FEATURES.field("values"), _flat_lists(self.arrays))
        # Readers that don't know raysee find in the file itself what made it.
        made_by = {
            "front_end": json.dumps(self.front_end.model_dump()),
            "front_end_fingerprint": self.front_end.fingerprint(),
            **{name: json.dumps(settings) for name, settings in CHANNELS[self.channel].items()},
        }
        table = table.select(schema.FEATURES.names).replace_schema_metadata(made_by)
        return table, pa.Table.from_pylist(self.rejects, schema=schema.REJECTS)


def reject(identity: str, uri: str, stage: str, error: Exception) -> dict[str, str]:
    """A row of schema.REJECTS."""
    return {"id": identity, "uri": uri, "stage": stage, "error": type(error).__name__, "message": str(error)}


def arrays(features: pa.Table) -> list[npt.NDArray[np.float32]]:
    """The arrays of a table of features, each of its row's shape."""
    lists = features["values"].combine_chunks()
    values, offsets = lists.values.to_numpy(), lists.offsets.to_numpy()
    shapes = features["shape"].to_pylist()
    return [
        values[first:last].reshape(shape) for first, last, shape in zip(offsets[:-1], offsets[1:], shapes, strict=True)
    ]


def _flat_lists(arrays: Sequence[npt.NDArray[np.float32]]) -> pa.Array:
    """A large_list<float32> array without a Python object for each number."""
    offsets = np.cumsum([0, *(array.size for array in arrays)], dtype=np.int64)
    flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0, np.float32)
    return pa.LargeListArray.from_arrays(
        offsets, pa.array(flat, pa.float32()), type=schema.FEATURES.field("values").type
    )
