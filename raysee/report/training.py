"""A training run as the page shows it."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from raysee import receipts, storage
from raysee.config import RunConfig
from raysee.evaluation.folds import FINAL
from raysee.evaluation.metrics import Summary
from raysee.evaluation.protocols import Protocol
from raysee.receipts import Receipt
from raysee.report import figures
from raysee.report.examples import Example, examples
from raysee.report.figures import Curve, Picture
from raysee.report.provenance import provenance
from raysee.report.published import published_uar
from raysee.training.fit import Epoch


class _Identity(BaseModel):
    """What the page needs of a training receipt's `config`."""

    config: RunConfig
    protocol: Protocol


class _Details(BaseModel):
    """A training receipt's `details`."""

    lake: str
    labels: list[str]
    metrics: Summary
    synthetic: bool
    work_s: float


class _FoldReceipt(BaseModel):
    fold: int
    repeat: int
    chosen_epoch: int
    uar: float | None
    test_speakers: list[str]
    curve: list[Epoch]


@dataclass(frozen=True)
class FoldRow:
    """One fold over all repeats. `chosen_epochs` has one entry a repeat, and so has `uars`."""

    number: int
    test_speakers: list[str]
    chosen_epochs: list[int]
    uars: list[float]

    @property
    def uar(self) -> float:
        return float(np.mean(self.uars))


@dataclass(frozen=True)
class TrainingRun:
    """A cross-validation and its delivered model."""

    anchor: str
    place: str
    config: RunConfig
    protocol: Protocol
    labels: list[str]
    summary: Summary
    published: float | None  # UAR
    synthetic: bool
    folds: list[FoldRow]
    confusion: Picture
    curves: Picture
    examples: list[Example]
    provenance: list[tuple[str, str]]

    @property
    def model(self) -> str:
        """The network, with its size where that is not the published one."""
        return self.config.model if self.config.size == "published" else f"{self.config.model} ({self.config.size})"

    @property
    def title(self) -> str:
        return f"{self.config.corpus}: {self.model}, {self.config.features}"

    @property
    def recalls(self) -> list[tuple[str, float | None]]:
        """Each label's recall over all repeats; None where the truth has none of it."""
        rows = zip(self.labels, self.summary.confusion, strict=True)
        return [(label, row[index] / sum(row) if sum(row) else None) for index, (label, row) in enumerate(rows)]


def gather(place: str, receipt: Receipt, anchor: str) -> TrainingRun:
    """Read what a training has left below `place` and draw its pictures."""
    identity = _Identity.model_validate(receipt.config)
    details = _Details.model_validate(receipt.details)
    fitted = _fold_receipts(place)
    tested = [one for one in fitted if one.fold != FINAL]
    (final,) = (one for one in fitted if one.fold == FINAL)
    config, synthetic = identity.config, details.synthetic
    return TrainingRun(
        anchor=anchor,
        place=place,
        config=config,
        protocol=identity.protocol,
        labels=details.labels,
        summary=details.metrics,
        published=published_uar(config, synthetic=synthetic),
        synthetic=synthetic,
        folds=_rows(tested),
        confusion=figures.confusion(details.metrics.confusion, details.labels, synthetic=synthetic),
        curves=figures.learning_curves([_curve(one) for one in tested], _curve(final), synthetic=synthetic),
        examples=examples(details.lake, config.corpus, details.labels, synthetic=synthetic),
        provenance=[
            *provenance(place, receipt),
            ("seed", str(config.training.seed)),
            ("learning", f"Adam at {config.training.learning_rate:g}, batches of {config.training.batch_size}"),
            ("all trainings together", f"{details.work_s:,.0f} s on their workers"),
        ],
    )


def leaks(runs: Sequence[TrainingRun]) -> list[str]:
    """For each two runs that differ in whether their protocol leaks: a sentence that says what the leak is worth."""
    return [
        _price(leaky, clean)
        for leaky, clean in itertools.product(runs, runs)
        if leaky.protocol.leaks and not clean.protocol.leaks and _comparable(leaky) == _comparable(clean)
    ]


def _comparable(run: TrainingRun) -> tuple[object, ...]:
    config = run.config
    return config.corpus, config.model, config.features, config.size, config.labels, run.synthetic


def _price(leaky: TrainingRun, clean: TrainingRun) -> str:
    high, low = leaky.summary.uar_mean_of_folds, clean.summary.uar_mean_of_folds
    theirs, ours = (run.config.training.model_dump() | {"repeats": run.config.repeats} for run in (leaky, clean))
    others = [name.replace("_", " ") for name in theirs if theirs[name] != ours[name]]
    caveat = f" The two also differ in {', '.join(others)}." if others else ""
    voice = ", synthetic voice" if leaky.synthetic else ""
    return (
        f"The price of the leak ({leaky.title}{voice}): UAR is {100 * high:.1f} % under {leaky.protocol.name}, "
        f"which leaks {leaky.protocol.leaks}, and {100 * low:.1f} % under {clean.protocol.name}, a difference of "
        f"{100 * (high - low):+.1f} points.{caveat}"
    )


def _fold_receipts(place: str) -> list[_FoldReceipt]:
    folder = storage.join(place, "folds")
    uris = [storage.join(folder, name, receipts.NAME) for name in sorted(storage.names(folder))]
    return [_FoldReceipt.model_validate(json.loads(storage.read_bytes(uri))) for uri in uris]


def _rows(tested: Sequence[_FoldReceipt]) -> list[FoldRow]:
    rows = []
    for number in sorted({one.fold for one in tested}):
        repeats = sorted((one for one in tested if one.fold == number), key=lambda one: one.repeat)
        rows.append(
            FoldRow(
                number=number,
                test_speakers=repeats[0].test_speakers,
                chosen_epochs=[one.chosen_epoch for one in repeats],
                uars=[one.uar for one in repeats if one.uar is not None],
            )
        )
    return rows


def _curve(fitted: _FoldReceipt) -> Curve:
    return Curve(fitted.curve, fitted.chosen_epoch)
