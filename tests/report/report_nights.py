"""Nights of scored calls as `raysee score` leaves them, written through raysee's own functions."""

import collections
import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raysee import receipts, schema, storage
from raysee.config import ScoreConfig
from raysee.evaluation.metrics import Summary
from raysee.evaluation.protocols import protocol
from raysee.receipts import Receipt
from raysee.scoring import batches, watch
from raysee.scoring.score import Scores
from raysee.scoring.summary import Scored, summarise
from raysee.scoring.tally import tally
from raysee.storage import join

LABELS = ["anger", "neutral", "sadness"]
DATE = "2026-11-19"
MODEL = "2" * 12

Row = dict[str, Any]


class Call(NamedTuple):
    """One channel of a call: a row of schema.CALLS and those of schema.SEGMENTS."""

    row: Row
    segments: list[Row]


def call(
    name: str,
    probabilities: Sequence[Sequence[float]] = (),
    *,
    role: str = "customer",
    channel: int = 1,
    scored: bool = True,
    start: datetime.datetime | None = None,
    flags: Sequence[str] = (),
) -> Call:
    """A channel with a segment of 8 s every 10 s for each of `probabilities`; the call is 10 s longer."""
    num = len(probabilities)
    starts, duration_s = 10.0 * np.arange(num), 10.0 * num + 10
    given = np.array(probabilities).reshape(num, len(LABELS))
    whose = {"key": name.encode().hex().rjust(32, "0")[-32:], "work": "w", "call_id": name, "channel": channel}
    whose |= {"role": role, "labels": LABELS}
    its = Scored(starts, starts + 8, np.full(num, 8.0), given)
    segments = [
        {
            **whose,
            "start_s": 10.0 * number,
            "end_s": 10.0 * number + 8,
            "speech_s": 8.0,
            "level_dbfs": -20.0,
            "probabilities": list(one),
            "label": LABELS[int(np.argmax(one))],
            "confidence": max(one),
        }
        for number, one in enumerate(probabilities)
    ]
    row = {
        **whose,
        "uri": f"s3://archive/{name}.wav",
        "start_time": start,
        "carried": [],
        "scored": scored,
        "num_channels": 2,
        "sample_rate_hz": 8000,
        "duration_s": duration_s,
        "talk_s": 8.0 * num,
        "silence_s": 1.0,
        "num_segments": num,
        "flags": list(flags),
        **summarise(its, duration_s, LABELS, 0.0),
    }
    return Call(row, segments)


def a_night() -> list[list[Call]]:
    """Two shards: a call that turns angry, one that is calm, one in which the customer is silent, and its agent."""
    return [
        [
            call("angry", [[0.2, 0.7, 0.1], [0.6, 0.2, 0.2], [0.9, 0.1, 0.0]], flags=["quiet", "narrow_band"]),
            call("angry", [], role="agent", channel=0, scored=False, flags=["narrow_band"]),
        ],
        [call("calm", [[0.1, 0.8, 0.1], [0.1, 0.9, 0.0]]), call("silent", [], flags=["no_speech"])],
    ]


def write_night(
    place: str,
    summary: Summary,
    shards: Sequence[Sequence[Call]],
    *,
    rejects: Sequence[Row] = (),
    number: int = 0,
    date: str = DATE,
    work: str = "w",
    already: int = 0,
    synthetic: bool = False,
    synthetic_model: bool = False,
    model: str = "s3://lake/runs/model",
    before: Sequence[Receipt] = (),
    training: watch.Histograms | None = None,
) -> Receipt:
    """Write the tables and the receipt of a night; shards are numbered from 10 a night on."""
    first = 10 * number
    rows = {
        "calls": [[one.row for one in shard] for shard in shards],
        "segments": [[segment for one in shard for segment in one.segments] for shard in shards],
        "rejects": [list(rejects), *[[] for _ in shards[1:]]],
    }
    schemas = {"calls": schema.CALLS, "segments": schema.SEGMENTS, "rejects": schema.REJECTS}
    for table, its_schema in schemas.items():
        for shard, its_rows in enumerate(rows[table], start=first):
            part = join(place, table, batches.partition(date), f"part-{shard:05d}.parquet")
            storage.write_table(part, pa.Table.from_pylist(its_rows, schema=its_schema), its_schema)
    tables = [
        pa.Table.from_pylist([row for shard in rows[table] for row in shard], schema=schemas[table])
        for table in ("segments", "calls", "rejects")
    ]
    its_tally = tally(Scores(*tables, 7200.0, {"decode": 3.0, "model": 6.0}, []), LABELS)
    out = len({row["key"] for shard in rows["calls"] for row in shard})
    counts = {"in": out + len(rejects) + already, "out": out, "rejected": len(rejects), "already": already}
    errors = collections.Counter(row["error"] for row in rejects)
    drifts = watch.drifts(its_tally["histograms"], training or {}, before)
    receipt = Receipt(
        stage="score",
        fingerprint="1" * 12,
        config={"config": ScoreConfig().model_dump(), "model": MODEL, "front_end": "3" * 12},
        inputs={"source": "s3://archive/last-night", "model": model},
        counts=counts,
        rejects=dict(sorted(errors.items())),
        details={
            "date": date,
            "work": work,
            "reason": "",
            "synthetic": synthetic,
            "first_shard": first,
            "num_shards": len(shards),
            **its_tally,
            "audio_s": 7200.0,
            "work_s": 18_000.0,
            "core_s": 9000.0,
            "unsettled": 0,
            "labels": LABELS,
            "not_recordings": {".txt": 3},
            "model": {"name": "aldeneh", "protocol": protocol("strict").model_dump(), "metrics": summary._asdict()},
            "corpora": [
                {
                    "name": "emodb",
                    "title": "EMO-DB",
                    "licence": "free for research",
                    "source": "http://emodb.bilderbar.info",
                    "num_clips": 535,
                    "num_speakers": 10,
                    "fingerprint": "0" * 12,
                }
            ],
            "synthetic_model": synthetic_model,
            "drift": drifts,
            "limits": watch.Limits()._asdict(),
            "warnings": watch.warnings(counts, drifts, watch.Limits()),
        },
        wall_s=3600.0,
    )
    return receipts.write(place, receipt, f"nights/{number:05d}.json")


def reject(name: str, error: str = "NotAudio", message: str = "It is no sound.") -> Row:
    """A row of schema.REJECTS."""
    return {"id": name, "uri": f"s3://archive/{name}.wav", "stage": "score", "error": error, "message": message}
