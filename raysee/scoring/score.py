"""Recordings -> segments, calls and rejects."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from raysee import schema
from raysee.audio import speech
from raysee.audio.decode import Samples
from raysee.audio.headers import File
from raysee.audio.stream import open_call
from raysee.errors import AudioError, MissingError
from raysee.features.table import reject
from raysee.scoring import hearing
from raysee.scoring.hearing import Heard, part, segment_config
from raysee.scoring.scorer import Scorer
from raysee.storage import FileInfo

#: Opens each file in turn, or gives the error that says that it is not there.
OpenEach = Callable[[Sequence[FileInfo]], Iterator[File | MissingError]]


class Scores(NamedTuple):
    """Tables of schema.SEGMENTS, schema.CALLS and schema.REJECTS, and the seconds of audio behind them."""

    segments: pa.Table
    calls: pa.Table
    rejects: pa.Table
    audio_s: float


def score(plan: pa.Table, scorer: Scorer, open_each: OpenEach) -> Scores:
    """Score every recording of `plan` (schema.CALL_PLAN) by channel; one that cannot be read is a row of rejects.

    The samples of a call of any length take 64 MiB, and copies of them: what is longer than 8 minutes of two channels
    (at 16 kHz) is worked on while it is read. A model that standardises by speaker keeps the features of a call too, 60
    MiB an hour of speech in log-mels.
    """
    tables: dict[str, list[dict[str, Any]]] = {"segments": [], "calls": [], "rejects": []}
    audio_s = 0.0
    rows = plan.select(["call_id", "uri", "size_bytes", "etag"]).to_pylist()
    for row, heard in _hear(rows, scorer, open_each):
        if isinstance(heard, Exception):
            tables["rejects"].append(reject(row["call_id"], row["uri"], "score", heard))
            continue
        audio_s += heard.num_samples / scorer.front_end.sample_rate_hz
        for its_segments, call in heard.answers():
            tables["segments"] += [{"call_id": row["call_id"], **segment} for segment in its_segments]
            tables["calls"].append({"call_id": row["call_id"], "uri": row["uri"], **call})
    return Scores(
        pa.Table.from_pylist(tables["segments"], schema=schema.SEGMENTS),
        pa.Table.from_pylist(tables["calls"], schema=schema.CALLS),
        pa.Table.from_pylist(tables["rejects"], schema=schema.REJECTS),
        audio_s,
    )


def _hear(
    rows: Sequence[dict[str, Any]], scorer: Scorer, open_each: OpenEach
) -> Iterator[tuple[dict[str, Any], Heard | AudioError | MissingError]]:
    """Each call with what was heard of it; short ones side by side, because a detector is faster so."""
    group: list[tuple[dict[str, Any], Heard, Samples]] = []
    held = 0
    files = open_each([FileInfo(row["uri"], row["size_bytes"], row["etag"]) for row in rows])
    for row, file in zip(rows, files, strict=True):
        try:
            if isinstance(file, MissingError):
                raise file
            with open_call(file, scorer.front_end.sample_rate_hz, name=row["uri"]) as call:
                heard = Heard(call, scorer)
                samples = heard.read(call)
        except (AudioError, MissingError) as error:
            yield row, error
            continue
        if samples is None:
            yield row, heard
            continue
        group.append((row, heard, samples))
        held += samples.size
        if held > hearing.HELD:
            yield from _listen(group, scorer)
            group, held = [], 0
    yield from _listen(group, scorer)


def _listen(
    group: list[tuple[dict[str, Any], Heard, Samples]], scorer: Scorer
) -> Iterator[tuple[dict[str, Any], Heard]]:
    rate, config = scorer.front_end.sample_rate_hz, segment_config(scorer.config)
    channels = [samples[:, channel] for _, _, samples in group for channel in range(samples.shape[1])]
    found = iter(speech.find_segments(channels, rate, config, scorer.config.detector))
    for row, heard, samples in group:
        for channel, answers in enumerate(heard.channels):
            for segment in next(found):
                answers.add(segment, part(samples[:, channel], segment, rate, 0))
        yield row, heard
