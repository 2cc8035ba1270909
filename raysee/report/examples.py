"""What each emotion sounds like, for the eye: one clip of each label."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raysee import lake, schema, storage
from raysee.audio.decode import Samples, decode
from raysee.audio.resample import mono, resample
from raysee.errors import AudioError, StorageError, UnreachableError
from raysee.features.logmel import LogMel
from raysee.report.figures import Picture, clip

_SHOWN = LogMel(num_bands=40)  # whatever the model listens to: a reader can see speech in it
_TRIES = 8  # clips of a label that are tried before its place says what is wrong


@dataclass(frozen=True)
class Example:
    """A clip of `label`, or the problem that stands in its place."""

    label: str
    clip_id: str = ""
    speaker: str = ""
    duration_s: float = 0.0
    picture: Picture | None = None
    problem: str = ""


def examples(root: str, corpus: str, labels: Sequence[str], *, synthetic: bool) -> list[Example]:
    """One clip of each label, the first that can be read, from the manifest of `corpus` below the lake `root`."""
    manifest = storage.join(lake.utterances(root, corpus), "clips")
    columns = ["clip_id", "speaker", "label", "uri", "start_s", "end_s"]
    try:
        table = storage.read_table(manifest, schema.UTTERANCES, columns)
    except StorageError as error:
        return [Example(label, problem=str(error)) for label in labels]
    rows = sorted(table.to_pylist(), key=lambda row: str(row["clip_id"]))
    found = {label: _first(row for row in rows if row["label"] == label) or f"{manifest} has none" for label in labels}
    read = [heard for heard in found.values() if not isinstance(heard, str)]
    longest_s = max((heard.duration_s for heard in read), default=0.0)
    return [
        Example(label, problem=heard) if isinstance(heard, str) else heard.example(label, longest_s, synthetic)
        for label, heard in found.items()
    ]


@dataclass(frozen=True)
class _Heard:
    row: dict[str, Any]
    samples: Samples
    log_mels: npt.NDArray[np.float32]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / _SHOWN.sample_rate_hz

    def example(self, label: str, longest_s: float, synthetic: bool) -> Example:
        drawn = clip(self.samples, _SHOWN.sample_rate_hz, self.log_mels, longest_s=longest_s, synthetic=synthetic)
        return Example(label, self.row["clip_id"], self.row["speaker"], self.duration_s, drawn)


def _first(rows: Iterable[dict[str, Any]]) -> _Heard | str:
    """The first clip that reads, or what was wrong with the first that did not; "" where there is no clip."""
    problem = ""
    for attempt, row in zip(range(_TRIES), rows, strict=False):
        try:
            samples = _read(row)
            return _Heard(row, samples, _SHOWN(samples))
        except UnreachableError as error:
            return str(error)
        except (AudioError, StorageError) as error:
            problem = str(error) if attempt == 0 else problem
    return problem


def _read(row: dict[str, Any]) -> Samples:
    audio = decode(storage.read_bytes(row["uri"])).part(row["start_s"], row["end_s"])
    return resample(mono(audio), audio.sample_rate_hz, _SHOWN.sample_rate_hz)
