"""A scoring run as the page shows it."""

import collections
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from raysee import schema, storage
from raysee.config import ScoreConfig
from raysee.evaluation.metrics import Summary
from raysee.evaluation.protocols import Protocol
from raysee.receipts import Receipt
from raysee.report import figures
from raysee.report.figures import Picture, Span
from raysee.report.provenance import provenance
from raysee.training.card import CardCorpus

MOST_ROWS = 200
MOST_TIMELINES = 6


class _Identity(BaseModel):
    """What the page needs of a scoring receipt's `config`."""

    config: ScoreConfig
    model: str  # fingerprint


class _Model(BaseModel):
    name: str
    protocol: Protocol
    metrics: Summary


class _Details(BaseModel):
    """A scoring receipt's `details`."""

    audio_s: float
    work_s: float
    labels: list[str]
    not_recordings: dict[str, int]
    model: _Model
    corpora: list[CardCorpus]
    synthetic: bool
    synthetic_model: bool


@dataclass(frozen=True)
class CallRow:
    """One channel of a call. `label` and `confidence` are None where nobody speaks."""

    call_id: str
    name: str
    channel: str
    duration_s: float
    speech_s: float
    num_segments: int
    label: str | None
    confidence: float | None


@dataclass(frozen=True)
class Timeline:
    """Emotion over the time of one call."""

    call_id: str
    name: str
    picture: Picture


@dataclass(frozen=True)
class RejectRow:
    """A recording that could not be scored."""

    name: str
    error: str
    message: str


@dataclass(frozen=True)
class ScoringRun:
    """Last night's calls at a glance."""

    anchor: str
    place: str
    receipt: Receipt
    config: ScoreConfig
    model_name: str
    model_fingerprint: str
    protocol: Protocol
    expected: Summary  # of the model's cross-validation
    corpora: list[CardCorpus]
    synthetic_calls: bool
    synthetic_model: bool
    audio_s: float
    work_s: float
    not_recordings: dict[str, int]
    labels: list[str]
    channels: list[int]  # with at least one scored segment
    segments: dict[tuple[int, str], int]  # (channel, label) -> number
    calls: list[CallRow]
    num_call_rows: int
    timelines: list[Timeline]
    rejects: list[RejectRow]
    provenance: list[tuple[str, str]]

    @property
    def synthetic(self) -> bool:
        return self.synthetic_calls or self.synthetic_model

    @property
    def title(self) -> str:
        return f"Scores of {self.receipt.inputs['source']}"

    @property
    def speed(self) -> float:
        """Seconds of audio scored in a second of one worker."""
        return self.audio_s / self.work_s

    def segments_of(self, channel: int) -> int:
        """All scored segments of a channel."""
        return sum(number for (its_channel, _), number in self.segments.items() if its_channel == channel)


def gather(place: str, receipt: Receipt, anchor: str) -> ScoringRun:
    """Read what scoring has left below `place` and draw its pictures."""
    identity = _Identity.model_validate(receipt.config)
    details = _Details.model_validate(receipt.details)
    calls = storage.read_table(storage.join(place, "calls"), schema.CALLS)
    rejects = storage.read_table(storage.join(place, "rejects"), schema.REJECTS).slice(0, MOST_ROWS)
    segments = storage.read_table(
        storage.join(place, "segments"),
        schema.SEGMENTS,
        columns=["call_id", "channel", "start_s", "end_s", "probabilities", "label"],
    )
    counted = collections.Counter(zip(segments["channel"].to_pylist(), segments["label"].to_pylist(), strict=True))
    synthetic = details.synthetic or details.synthetic_model
    return ScoringRun(
        anchor=anchor,
        place=place,
        receipt=receipt,
        config=identity.config,
        model_name=details.model.name,
        model_fingerprint=identity.model,
        protocol=details.model.protocol,
        expected=details.model.metrics,
        corpora=details.corpora,
        synthetic_calls=details.synthetic,
        synthetic_model=details.synthetic_model,
        audio_s=details.audio_s,
        work_s=details.work_s,
        not_recordings=details.not_recordings,
        labels=details.labels,
        channels=sorted({channel for channel, _ in counted}),
        segments=dict(counted),
        calls=_call_rows(calls.slice(0, MOST_ROWS)),
        num_call_rows=calls.num_rows,
        timelines=_timelines(calls, segments, details.labels, synthetic),
        rejects=[RejectRow(storage.basename(row["uri"]), row["error"], row["message"]) for row in rejects.to_pylist()],
        provenance=provenance(place, receipt),
    )


def _call_rows(calls: pa.Table) -> list[CallRow]:
    return [
        CallRow(
            call_id=row["call_id"],
            name=storage.basename(row["uri"]),
            channel=figures.channel_name(row["channel"], row["num_channels"]),
            duration_s=row["duration_s"],
            speech_s=row["speech_s"],
            num_segments=row["num_segments"],
            label=row["label"],
            confidence=row["confidence"],
        )
        for row in calls.to_pylist()
    ]


def _timelines(calls: pa.Table, segments: pa.Table, labels: Sequence[str], synthetic: bool) -> list[Timeline]:
    """The first calls of the table in which anybody speaks."""
    spoken = calls.filter(pc.greater(calls["num_segments"], 0))["call_id"].to_pylist()
    chosen = list(itertools.islice(dict.fromkeys(spoken), MOST_TIMELINES))
    rows = calls.filter(pc.is_in(calls["call_id"], pa.array(chosen, pa.string()))).to_pylist()
    scored = segments.filter(pc.is_in(segments["call_id"], pa.array(chosen, pa.string()))).to_pylist()
    timelines = []
    for call_id in chosen:
        mine = [row for row in rows if row["call_id"] == call_id]
        spans: dict[int, list[Span]] = {row["channel"]: [] for row in mine}
        for row in scored:
            if row["call_id"] == call_id:
                spans[row["channel"]].append(Span(row["start_s"], row["end_s"], row["probabilities"]))
        picture = figures.over_time(dict(spans), labels, mine[0]["duration_s"], synthetic=synthetic)
        timelines.append(Timeline(call_id, storage.basename(mine[0]["uri"]), picture))
    return timelines
