"""The table of an experiment: one line a figure, the published one beside ours."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from raysee import schema
from raysee.config import RunConfig
from raysee.experiments.experiment import Claim
from raysee.experiments.readings import Value


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

    @property
    def difference(self) -> float | None:
        """Ours less the published one."""
        if self.value is None or self.claim.published is None:
            return None
        return self.value.value - self.claim.published

    @property
    def in_seconds(self) -> bool:
        """Whether the figure is a time and not a share."""
        return self.claim.figure == "training seconds"


def to_table(experiment: str, lines: Sequence[Line]) -> pa.Table:
    """Rows of schema.REPRODUCTIONS."""
    rows = [
        {
            "experiment": experiment,
            "what": line.claim.what,
            "corpus": line.config.corpus,
            "model": line.config.model if line.config.size == "published" else f"{line.config.model} (debug)",
            "features": line.config.features,
            "protocol": line.config.protocol,
            "figure": line.claim.figure,
            "published": line.claim.published,
            "ours": line.value and line.value.value,
            "pooled": line.value and line.value.pooled,
            "low": line.value and line.value.low,
            "high": line.value and line.value.high,
            "repeats": line.config.repeats,
            "epochs": line.config.training.epochs,
            "num_trainings": line.num_trainings,
            "training_s": line.seconds,
            "notes": list(line.claim.notes),
            "remark": line.remark,
            "run": line.place,
        }
        for line in lines
    ]
    return pa.Table.from_pylist(rows, schema=schema.REPRODUCTIONS)


def as_text(lines: Sequence[Line], notes: dict[str, str]) -> str:
    """The table for a terminal, and below it the footnotes that its lines refer to."""
    used = [key for key in notes if any(key in line.claim.notes for line in lines)]
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
    rows = [heads, *(_cells(line, used) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*texts, *(f"[{number}] {notes[key]}" for number, key in enumerate(used, start=1))])


def _cells(line: Line, used: Sequence[str]) -> tuple[str, ...]:
    marks = "".join(f"[{used.index(key) + 1}]" for key in line.claim.notes if key in used)
    value, published = line.value, line.claim.published
    pooled = "" if value is None or value.pooled is None else _f(line, value.pooled)
    if value is not None and value.low is not None and value.high is not None:
        pooled = f"{pooled} ({100 * value.low:.1f} to {100 * value.high:.1f})".strip()
    return (
        line.config.corpus,
        f"{line.claim.what}{marks}",
        line.claim.figure,
        line.config.protocol,
        "" if published is None else _f(line, published),
        " ".join(filter(None, ["" if value is None else _f(line, value.value), line.remark])),
        "" if line.difference is None else f"{line.difference if line.in_seconds else 100 * line.difference:+.1f}",
        pooled,
        str(line.config.repeats),
        f"{line.seconds:,.0f}",
    )


def _f(line: Line, value: float) -> str:
    return f"{value:.1f} s" if line.in_seconds else f"{100 * value:.1f} %"
