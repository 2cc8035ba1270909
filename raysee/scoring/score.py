"""Recordings -> segments, calls and rejects."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from raysee import schema
from raysee.audio import speech
from raysee.audio.decode import Samples
from raysee.audio.headers import File
from raysee.audio.stream import open_call
from raysee.errors import AudioError, StorageError
from raysee.features.table import reject
from raysee.scoring import hearing
from raysee.scoring.hearing import Heard, part, segment_config
from raysee.scoring.scorer import Scorer
from raysee.scoring.stopwatch import Stopwatch
from raysee.storage import FileInfo

#: Opens each file in turn, or gives the error that says why it cannot be read.
OpenEach = Callable[[Sequence[FileInfo]], Iterator[File | StorageError]]

_Row = dict[str, Any]


class Scores(NamedTuple):
    """Tables of schema.SEGMENTS, schema.CALLS and schema.REJECTS, the seconds of audio behind them, and of work."""

    segments: pa.Table
    calls: pa.Table
    rejects: pa.Table
    audio_s: float
    seconds: dict[str, float]  # by stage
    unsettled: list[str]  # keys of rejects that say nothing of the recording: the store did not give it


def score(plan: pa.Table, work: str, scorer: Scorer, open_each: OpenEach) -> Scores:
    """Score every recording of `plan` (schema.CALL_PLAN) by channel; one that cannot be read is a row of rejects.

    `work` is written beside each row, and says what scored it. The samples of a call of any length take 64 MiB, and
    copies of them: what is longer than 8 minutes of two channels (at 16 kHz) is worked on while it is read. A model
    that standardises by speaker keeps the features of a call too, 60 MiB an hour of speech in log-mels.
    """
    segments: list[_Row] = []
    calls: list[_Row] = []
    rejects: list[_Row] = []
    unsettled: list[str] = []
    audio_s, watch = 0.0, Stopwatch()
    for row, heard in _hear(plan.to_pylist(), scorer, open_each, watch):
        if isinstance(heard, Exception):
            rejects.append(reject(row["key"], row["uri"], "score", heard))
            if isinstance(heard, StorageError):
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
) -> Iterator[tuple[_Row, Heard | AudioError | StorageError]]:
    """Each call with what was heard of it; short ones side by side, because detector and model are faster so."""
    group: list[tuple[_Row, Heard, Samples]] = []
    held = 0
    files = open_each([FileInfo(row["uri"], row["size_bytes"], row["etag"]) for row in rows])
    for row, file in zip(rows, watch.each("read", files), strict=True):
        try:
            if isinstance(file, StorageError):
                raise file
            with open_call(file, scorer.front_end.sample_rate_hz, name=row["uri"]) as call:
                heard = Heard(call, row["roles"], scorer, watch)
                samples = heard.read(call)
        except (AudioError, StorageError) as error:
            yield row, error
            continue
        if samples is None:
            yield row, heard
            continue
        group.append((row, heard, samples))
        held += samples.size
        if held > hearing.HELD:
            yield from _listen(group, scorer, watch)
            group, held = [], 0
    yield from _listen(group, scorer, watch)


def _listen(
    group: Sequence[tuple[_Row, Heard, Samples]], scorer: Scorer, watch: Stopwatch
) -> Iterator[tuple[_Row, Heard]]:
    rate, config = scorer.front_end.sample_rate_hz, segment_config(scorer.config)
    sides = [(side, samples[:, number]) for _, heard, samples in group for number, side in enumerate(heard.channels)]
    with watch.of("speech"):
        found = speech.find_segments([samples for _, samples in sides], rate, config, scorer.config.detector)
    for (channel, samples), its_segments in zip(sides, found, strict=True):
        for segment in its_segments:
            channel.add(segment, part(samples, segment, rate, 0))
    hearing.ask([channel for channel, _ in sides], scorer, watch)
    yield from ((row, heard) for row, heard, _ in group)
