"""A night's receipt as the page reads it."""

from dataclasses import dataclass

from pydantic import BaseModel

from raysee.evaluation.metrics import Summary
from raysee.evaluation.protocols import Protocol
from raysee.receipts import Receipt
from raysee.scoring import summary, watch
from raysee.training.card import CardCorpus


class _Model(BaseModel):
    name: str
    protocol: Protocol
    metrics: Summary


class Details(BaseModel):
    """A night's receipt's `details`; a night without a new call has no tallies."""

    date: str
    work: str
    reason: str
    synthetic: bool
    audio_s: float
    work_s: float
    core_s: float
    unsettled: int
    labels: list[str]
    not_recordings: dict[str, int]
    model: _Model
    corpora: list[CardCorpus]
    synthetic_model: bool
    drift: dict[str, dict[str, float]]
    limits: watch.Limits
    warnings: dict[str, str]
    shards_found: int = 0  # that earlier starts had finished
    cut_short: dict[str, int | str] = {}  # who follows with the rest, where the night was not finished
    seconds: dict[str, float] = {}
    channels: dict[str, int] = {}
    unscored: dict[str, int] = {}
    talk_s: dict[str, float] = {}
    speech_s: dict[str, float] = {}
    hours: dict[str, list[float]] = {}
    histograms: dict[str, list[int]] = {}


@dataclass(frozen=True)
class Night:
    """A night as its receipt tells it. `same` is whether it is of the last night's model and configuration."""

    receipt: Receipt
    details: Details
    same: bool

    @property
    def synthetic(self) -> bool:
        return self.details.synthetic or self.details.synthetic_model

    @property
    def new(self) -> int:
        return self.receipt.counts["out"] + self.receipt.counts["rejected"]

    @property
    def rejected_share(self) -> float:
        return self.receipt.counts["rejected"] / self.new if self.new else 0.0

    @property
    def order(self) -> list[str]:
        """The labels, negative ones first, and last what the model was not sure of."""
        labels = self.details.labels
        bad = dict(zip(labels, summary.negative(labels).tolist(), strict=True))
        return [*sorted(labels, key=lambda label: not bad[label]), summary.UNSURE]

    @property
    def shares(self) -> dict[str, float]:
        """Of the scored speech, by label; empty where nobody spoke."""
        total = sum(self.details.speech_s.values())
        return {label: self.details.speech_s.get(label, 0.0) / total for label in self.order} if total else {}

    @property
    def top(self) -> tuple[str, float] | None:
        return max(self.shares.items(), key=lambda item: item[1], default=None)

    @property
    def negative(self) -> float | None:
        """Share of the labels that are negative emotions."""
        labels = self.details.labels
        bad = [label for label, is_bad in zip(labels, summary.negative(labels), strict=True) if is_bad]
        return sum(self.shares[label] for label in bad) if self.shares and bad else None

    @property
    def drift(self) -> float | None:
        """The greatest distance from the nights before it."""
        return max(self.details.drift["nights"].values(), default=None)

    @property
    def audio_hours_per_hour(self) -> float | None:
        """None where earlier starts have done a part: the wall time is that of the last one."""
        return None if self.details.shards_found else self.details.audio_s / self.receipt.wall_s
