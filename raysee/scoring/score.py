"""Recordings -> segments, calls and rejects."""

import pathlib
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from raysee import schema
from raysee.audio.stream import open_call
from raysee.errors import AudioError, RayseeError, StorageError
from raysee.features.table import reject
from raysee.scoring import hearing
from raysee.scoring.deaths import OpenEach
from raysee.scoring.hearing import Heard
from raysee.scoring.scorer import Scorer
from raysee.scoring.stopwatch import Stopwatch
from raysee.storage import FileInfo

_Row = dict[str, Any]


class Scores(NamedTuple):
    """Tables of schema.SEGMENTS, schema.CALLS and schema.REJECTS, the seconds of audio behind them, and of work."""

    segments: pa.Table
    calls: pa.Table
    rejects: pa.Table
    audio_s: float
    seconds: dict[str, float]  # by stage
    unsettled: list[str]  # keys of rejects that are not the recording's fault, or not certainly


def score(plan: pa.Table, work: str, scorer: Scorer, open_each: OpenEach) -> Scores:
    """Score every recording of `plan` (schema.CALL_PLAN) by channel; one that cannot be heard is a row of rejects.

    Only an AudioError settles it. What the store does not give, and what breaks in hearing a recording though nobody
    has foreseen it, is tried again by the next start; what is wrong with the model, the configuration or the machine is
    raised, because it would reject every recording alike.
    `work` is written beside each row, and says what scored it. A call is worked on while it is read. Of its samples one
    block of 30 s and the last 22 s are held, whatever its length, and of each channel the features of 256 segments, or
    512 while it is not certain that it may be heard: 36 MiB each 256 in log-mels. A model that standardises by speaker
    keeps those of a whole call, 60 MiB an hour of speech.
    """
    segments: list[_Row] = []
    calls: list[_Row] = []
    rejects: list[_Row] = []
    unsettled: list[str] = []
    audio_s, watch = 0.0, Stopwatch()
    for row, heard in _hear(plan.to_pylist(), scorer, open_each, watch):
        if isinstance(heard, Exception):
            rejects.append(reject(row["key"], row["uri"], "score", heard))
            if not isinstance(heard, RayseeError):
                rejects[-1]["message"] += f" ({_where(heard)})"
            if not isinstance(heard, AudioError):
                unsettled.append(row["key"])
            continue
        audio_s += heard.num_samples / scorer.front_end.sample_rate_hz
        whose = {"key": row["key"], "work": work, "call_id": row["call_id"]}
        told = {name: row[name] for name in ("uri", "start_time", "carried")}
        for its_segments, call in heard.answers():
            segments += [{**whose, **segment} for segment in its_segments]
            calls.append({**whose, **told, **call})
    return Scores(
        pa.Table.from_pylist(segments, schema=schema.SEGMENTS),
        pa.Table.from_pylist(calls, schema=schema.CALLS),
        pa.Table.from_pylist(rejects, schema=schema.REJECTS),
        audio_s,
        dict(watch.seconds),
        unsettled,
    )


def _hear(
    rows: Sequence[_Row], scorer: Scorer, open_each: OpenEach, watch: Stopwatch
) -> Iterator[tuple[_Row, Heard | Exception]]:
    """Each call with what was heard of it; the model answers for many at once."""
    waiting: list[tuple[_Row, Heard]] = []
    files = open_each([FileInfo(row["uri"], row["size_bytes"], row["etag"]) for row in rows])
    for row, file in zip(rows, watch.each("read", files), strict=True):
        try:
            if isinstance(file, RayseeError):
                raise file
            with open_call(file, scorer.front_end.sample_rate_hz, name=row["uri"]) as call:
                heard = Heard(call, row["roles"], scorer, watch)
                heard.read(call)
        except (AudioError, StorageError) as error:
            yield row, error
            continue
        except (RayseeError, hearing.Unanswered, MemoryError, ImportError):
            raise
        except Exception as error:
            yield row, error
            continue
        waiting.append((row, heard))
        if sum(channel.num_waiting for _, one in waiting for channel in one.channels) >= hearing.ASK_AT:
            yield from _answered(waiting, scorer, watch)
            waiting = []
    yield from _answered(waiting, scorer, watch)


def _answered(waiting: Sequence[tuple[_Row, Heard]], scorer: Scorer, watch: Stopwatch) -> Sequence[tuple[_Row, Heard]]:
    hearing.ask([channel for _, heard in waiting for channel in heard.channels], scorer, watch)
    return waiting


def _where(error: Exception) -> str:
    """The line that raised it, which is all that is left of it in a table."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{pathlib.PurePath(last.filename).name}, line {last.lineno}"
