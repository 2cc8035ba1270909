"""Utterances -> a table of features and a table of rejects."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysee import schema
from raysee.audio.decode import decode
from raysee.audio.resample import mono, resample
from raysee.errors import AudioError, MissingError
from raysee.features.frontend import FrontEnd

#: Gives the bytes of each uri in turn, or the error that says that it is not there.
ReadEach = Callable[[Sequence[str]], Iterable[bytes | MissingError]]


def featurise(utterances: pa.Table, front_end: FrontEnd, read_each: ReadEach) -> tuple[pa.Table, pa.Table]:
    """One row of schema.FEATURES or one of schema.REJECTS for each row of `utterances`, in their order.

    What `read_each` raises goes through.
    """
    rows, arrays, rejects = [], [], []
    wanted = utterances.select(["clip_id", "uri", "start_s", "end_s"]).to_pylist()
    for clip, data in zip(wanted, read_each([clip["uri"] for clip in wanted]), strict=True):
        try:
            if isinstance(data, MissingError):
                raise data
            audio = decode(data)
            first, last = _span(clip, audio.sample_rate_hz, len(audio.samples))
            cut = audio._replace(samples=audio.samples[first:last])
            values = front_end(resample(mono(cut), audio.sample_rate_hz, front_end.sample_rate_hz))
        except (AudioError, MissingError) as error:
            rejects.append(reject(clip["clip_id"], clip["uri"], "extract", error))
            continue
        arrays.append(values)
        rows.append(
            {
                "clip_id": clip["clip_id"],
                "content_sha256": hashlib.sha256(data).hexdigest(),
                "duration_s": cut.duration_s,
                "sample_rate_hz": cut.sample_rate_hz,
                "shape": list(values.shape),
            }
        )
    described = [field for field in schema.FEATURES if field.name != "values"]
    table = pa.Table.from_pylist(rows, schema=pa.schema(described))
    table = table.append_column(schema.FEATURES.field("values"), _flat_lists(arrays))
    # Readers that don't know raysee find in the file itself what made it.
    table = table.select(schema.FEATURES.names).replace_schema_metadata(
        {"front_end": json.dumps(front_end.model_dump()), "front_end_fingerprint": front_end.fingerprint()}
    )
    return table, pa.Table.from_pylist(rejects, schema=schema.REJECTS)


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


def _span(clip: dict[str, Any], sample_rate_hz: int, num_samples: int) -> tuple[int, int]:
    first = round((clip["start_s"] or 0.0) * sample_rate_hz)
    last = num_samples if clip["end_s"] is None else round(clip["end_s"] * sample_rate_hz)
    if not 0 <= first <= last <= num_samples:
        raise AudioError(f"the clip is samples {first} to {last}, the file has {num_samples}")
    return first, last


def _flat_lists(arrays: Sequence[npt.NDArray[np.float32]]) -> pa.Array:
    """A large_list<float32> array without a Python object for each number."""
    offsets = np.cumsum([0, *(array.size for array in arrays)], dtype=np.int64)
    flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0, np.float32)
    return pa.LargeListArray.from_arrays(
        offsets, pa.array(flat, pa.float32()), type=schema.FEATURES.field("values").type
    )
