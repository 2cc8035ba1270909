"""The table of an experiment: one line a figure, the published one beside ours."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raysee import schema
from raysee.config import RunConfig
from raysee.experiments.experiment import Cited, Claim, Experiment
from raysee.experiments.readings import IN_SECONDS, Value


@dataclass(frozen=True)
class Line:
    """A figure, and what it was made with. Without `value` it is owed, and `remark` says why."""

    config: RunConfig
    claim: Claim
    value: Value | None
    num_trainings: int  # behind the figure
    seconds: float  # of all these trainings
    place: str
    remark: str = ""
    synthetic: bool = False  # whether nobody has spoken what it was made with

    @property
    def other_corpora(self) -> bool:
        """Whether the published figure is of other corpora than ours."""
        return bool(self.claim.corpora) and set(self.claim.corpora) != set(self.config.corpora)

    @property
    def incomparable(self) -> str:
        """Why the published figure may not be held against ours; empty where it may, or where one of them is none."""
        if self.value is None or self.claim.published is None:
            return ""
        reasons = {
            "synthetic": self.synthetic,
            "debug size": self.config.size == "debug",
            "other corpora": self.other_corpora,
        }
        return ", ".join(reason for reason, holds in reasons.items() if holds)

    @property
    def difference(self) -> float | None:
        """Ours less the published one, where they may be compared."""
        if self.value is None or self.claim.published is None or self.incomparable:
            return None
        return self.value.value - self.claim.published

    @property
    def in_seconds(self) -> bool:
        """Whether the figure is a time and not a share."""
        return self.claim.figure in IN_SECONDS


def to_table(name: str, told: Experiment, lines: Sequence[Line]) -> pa.Table:
    """Rows of schema.REPRODUCTIONS of the experiment of that name, with what it cites."""
    rows = [{"experiment": name, **_row(one)} for one in _in_order(told, lines)]
    return pa.Table.from_pylist(rows, schema=schema.REPRODUCTIONS)


def as_text(told: Experiment, lines: Sequence[Line]) -> str:
    """The table for a terminal, with what the experiment cites, and below it the footnotes that are referred to."""
    ordered = _in_order(told, lines)
    used = [key for key in told.notes if any(key in one.claim.notes for one in ordered)]
    heads = (
        "corpus",
        "what",
        "figure",
        "protocol",
        "published",
        "ours",
        "difference",
        "pooled, 95 %",
        "repeats",
        "seconds",
    )
    rows = [heads, *(_cells(one, used) for one in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*texts, *(f"[{number}] {told.notes[key]}" for number, key in enumerate(used, start=1))])


def _in_order(told: Experiment, lines: Sequence[Line]) -> list[Line | Cited]:
    """Behind the lines of each corpus what is cited of it."""
    ordered: list[Line | Cited] = []
    for corpus, its in itertools.groupby(lines, key=lambda line: line.config.corpus):
        ordered += [*its, *(one for one in told.cited if one.corpus == corpus)]
    return ordered


def _row(one: Line | Cited) -> dict[str, Any]:
    claim = one.claim
    said = {"what": claim.what, "figure": claim.figure, "published": claim.published, "notes": list(claim.notes)}
    if isinstance(one, Cited):
        nothing = dict.fromkeys(("model", "features", "protocol", "incomparable", "run"), "")
        none = dict.fromkeys(("repeats", "epochs", "num_trainings", "training_s"), 0)
        return {**said, **nothing, **none, "corpus": one.corpus, "remark": "cited: nothing is trained"}
    config, value = one.config, one.value
    return {
        **said,
        "corpus": config.corpus,
        "model": config.model if config.size == "published" else f"{config.model} (debug)",
        "features": config.features,
        "protocol": config.protocol,
        "ours": value and value.value,
        "pooled": value and value.pooled,
        "low": value and value.low,
        "high": value and value.high,
        "incomparable": one.incomparable,
        "repeats": config.repeats,
        "epochs": config.training.epochs,
        "num_trainings": one.num_trainings,
        "training_s": one.seconds,
        "remark": one.remark,
        "run": one.place,
    }


def _cells(one: Line | Cited, used: Sequence[str]) -> tuple[str, ...]:
    claim = one.claim
    marks = "".join(f"[{used.index(key) + 1}]" for key in claim.notes if key in used)
    what, published = f"{claim.what}{marks}", "" if claim.published is None else _f(claim, claim.published)
    if isinstance(one, Cited):
        return one.corpus, what, claim.figure, "", published, *[""] * 5
    value = one.value
    pooled = "" if value is None or value.pooled is None else _f(claim, value.pooled)
    if value is not None and value.low is not None and value.high is not None:
        pooled = f"{pooled} ({100 * value.low:.1f} to {100 * value.high:.1f})".strip()
    difference = one.incomparable
    if one.difference is not None:
        difference = f"{one.difference if one.in_seconds else 100 * one.difference:+.1f}"
    return (
        one.config.corpus,
        what,
        claim.figure,
        one.config.protocol,
        published,
        " ".join(filter(None, ["" if value is None else _f(claim, value.value), one.remark])),
        difference,
        pooled,
        str(one.config.repeats),
        f"{one.seconds:,.0f}",
    )


def _f(claim: Claim, value: float) -> str:
    return f"{value:.1f} s" if claim.figure in IN_SECONDS else f"{100 * value:.1f} %"
