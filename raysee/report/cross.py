"""Corpora across each other -> one HTML page: the matrix, what another corpus costs, and where figures come from."""

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from raysee import emotions, receipts, storage
from raysee.config import RunConfig
from raysee.corpora.manifest import utterances_of
from raysee.errors import ConfigurationError
from raysee.evaluation.protocols import protocol
from raysee.models import MODELS
from raysee.receipts import Receipt
from raysee.report.experiment_runs import otherwise
from raysee.report.figures import FAINT, INK, Curve, Picture, as_picture, learning_curves, new_figure
from raysee.report.provenance import provenance
from raysee.report.template import render
from raysee.training import finished
from raysee.training.finished import FoldReceipt

WITHIN = "strict"  # the protocol of the figure within a corpus
_FRAME = "#E08A3C"
_MOST_CURVES = 20  # cells of which the page draws how they learned
_MOST_WITH_INTERVALS = 8  # columns whose cells have room for a second line
_OTHERS, _ITSELF = "all the others", "itself"


class Counted(NamedTuple):
    """What a scheme makes of a corpus: clips by class, and those that it drops by the corpus's own label."""

    classes: dict[str, int]
    dropped: dict[str, int]


@dataclass(frozen=True)
class Asked:
    """What was crossed. `kind` is "train-test", "leave-one-corpus-out" or "matrix"; `config` is common to the cells."""

    kind: str
    config: RunConfig
    counted: Mapping[str, Counted]  # by corpus


@dataclass(frozen=True)
class ShownRun:
    """A finished training run behind some of the figures."""

    anchor: str
    title: str
    place: str
    config: RunConfig
    receipt: Receipt
    curves: Picture | None  # of networks
    validation_uar: float | None  # of the speakers that chose the epochs, mean over trainings; of networks

    @property
    def synthetic(self) -> bool:
        return bool(self.receipt.details["synthetic"])


def count(root: str, corpora: Sequence[str], config: RunConfig) -> dict[str, Counted]:
    """What the scheme of `config` and its choice of classes make of each corpus of the lake `root`.

    Raises ConfigurationError for an unknown scheme or class, and where a corpus has no manifest.
    """
    known = emotions.scheme_classes(config.scheme)
    if strangers := sorted(set(config.labels) - set(known)):
        raise ConfigurationError(f"{config.scheme} has no class {', '.join(strangers)}; it has {', '.join(known)}.")
    wanted = [one for one in known if not config.labels or one in config.labels]
    counted = {}
    for corpus in corpora:
        clips = utterances_of(root, corpus)
        labels = clips["label"].to_pylist()
        classes, _ = emotions.apply_scheme(config.scheme, labels, clips["emotion"].to_pylist())
        found = collections.Counter(classes)
        dropped = collections.Counter(label for label, one in zip(labels, classes, strict=True) if one not in wanted)
        counted[corpus] = Counted({one: found[one] for one in wanted if found[one]}, dict(sorted(dropped.items())))
    return counted


def write_cross(uri: str, asked: Asked, cells: pa.Table, place: str, receipt: Receipt) -> str:
    """Draw the cells (schema.CROSSINGS), of which some may have failed, and return the URI of the page, `uri`.

    `place` is where they lie, and `receipt` is going to: it is written after the page.
    """
    rows = cells.to_pylist()
    runs = _runs(rows)
    made_by = receipt.model_copy(update={"versions": receipts.versions(), "machine": receipts.machine()})
    gaps = mean_gaps(cells)
    page = render(
        "cross.html",
        asked=asked,
        protocol=protocol(asked.config.protocol),
        within=protocol(WITHIN),
        otherwise=otherwise(asked.config),
        is_network=asked.config.model in MODELS,
        classes=[one for one in emotions.scheme_classes(asked.config.scheme) if _has(asked, one)],
        rows=rows,
        runs=runs,
        gaps=gaps,
        gap=float(np.mean(list(gaps.values()))) if gaps else None,
        synthetic=any(run.synthetic for run in runs.values()),
        debug=asked.config.size == "debug",
        matrix=_matrix(asked.kind, rows, any(run.synthetic for run in runs.values())),
        provenance=[(name, value) for name, value in provenance(place, made_by) if value],
    )
    storage.write_bytes(uri, page.encode())
    return uri


def as_text(cells: pa.Table) -> list[str]:
    """The cells (schema.CROSSINGS) for a terminal, a line each."""
    return [_line(row) for row in cells.to_pylist()]


def mean_gaps(cells: pa.Table) -> dict[str, float]:
    """By tested corpus: what its cells have less than it has within itself, the mean of those that are known."""
    gaps: dict[str, list[float]] = {}
    for tested, gap in zip(cells["tested"].to_pylist(), cells["gap"].to_pylist(), strict=True):
        if gap is not None:
            gaps.setdefault(tested, []).append(gap)
    return {tested: float(np.mean(known)) for tested, known in sorted(gaps.items())}


def _has(asked: Asked, name: str) -> bool:
    return any(name in counted.classes for counted in asked.counted.values())


def _runs(rows: Sequence[Mapping[str, Any]]) -> dict[str, ShownRun]:
    """The runs by place, those across corpora first."""
    runs: dict[str, ShownRun] = {}
    for column in ("run", "within_run"):
        for row in rows:
            place = row[column]
            if place in runs or not place or (receipt := receipts.read(place)) is None:
                continue
            trained = ", ".join(row["trained_on"]) if column == "run" else ""
            title = f"{trained} -> {row['tested']}" if trained else f"{row['tested']} within itself"
            # Runs of one corpus under one scheme may still differ in their classes.
            labels = receipt.details["labels"]
            config = RunConfig.model_validate(receipt.config["config"])
            synthetic = bool(receipt.details["synthetic"])
            folds = [finished.read(fold) for fold in finished.finished(place)]
            runs[place] = ShownRun(
                anchor=f"run-{len(runs) + 1}",
                title=f"{title}, {len(labels)} classes",
                place=place,
                config=config,
                receipt=receipt,
                curves=_curves(folds, synthetic) if len(rows) <= _MOST_CURVES else None,
                validation_uar=_validation_uar(folds),
            )
    return runs


def _curves(folds: Sequence[FoldReceipt], synthetic: bool) -> Picture | None:
    if not folds[0].curve:
        return None
    return learning_curves([Curve(fold.curve, fold.chosen_epoch) for fold in folds], None, synthetic=synthetic)


def _validation_uar(folds: Sequence[FoldReceipt]) -> float | None:
    chosen = [epoch for fold in folds for epoch in fold.curve if epoch.epoch == fold.chosen_epoch]
    known = [epoch.validation_uar for epoch in chosen if epoch.validation_uar is not None]
    return float(np.mean(known)) if known else None


class _Shown(NamedTuple):
    """A cell of the picture; without `uar` its run failed."""

    uar: float | None
    low: float | None
    high: float | None
    within: bool


def _matrix(kind: str, rows: Sequence[Mapping[str, Any]], synthetic: bool) -> Picture:
    """UAR as shades and text: rows are what was trained on, columns what was tested, framed cells are within."""
    tested = sorted({row["tested"] for row in rows})
    shown = _shown(kind, rows)
    names = sorted({name for name, _ in shown} - {_ITSELF})
    names += [_ITSELF] if kind != "matrix" else []
    wide = 0.95 if len(tested) <= _MOST_WITH_INTERVALS else 0.62
    longest = max(map(len, names))
    width = max(3.6, 1.9 + 0.07 * longest + wide * len(tested))
    figure, (axes,) = new_figure(width, 1.35 + 0.55 * len(names), 1, synthetic)
    shades = np.array([[_uar(shown.get((name, column))) for column in tested] for name in names])
    image = axes.imshow(shades, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shades):
        cell = shown.get((names[row], tested[column]))
        if cell is None:
            continue
        ink = "white" if share > 0.55 else INK
        axes.text(column, row, _text(cell, len(tested)), ha="center", va="center", color=ink, fontsize=8.5)
        if cell.within:
            axes.add_patch(
                Rectangle((column - 0.47, row - 0.46), 0.94, 0.92, fill=False, edgecolor=_FRAME, linewidth=2)
            )
    axes.set_xticks(range(len(tested)), tested, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("tested on", fontsize=9)
    axes.set_ylabel("trained on", fontsize=9)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1.0))
    bar.set_label("UAR", fontsize=9)
    bar.ax.tick_params(labelsize=8, color=FAINT)
    return as_picture(figure)


def _shown(kind: str, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], _Shown]:
    """By row and column. Of several figures within a corpus, the one of most classes is shown."""
    shown = {}
    for row in sorted(rows, key=lambda one: len(one["classes"])):
        itself = row["tested"] if kind == "matrix" else _ITSELF
        trained = _OTHERS if kind == "leave-one-corpus-out" else "+".join(row["trained_on"])
        shown[trained, row["tested"]] = _Shown(row["uar"], row["low"], row["high"], within=False)
        if row["within"] is not None:
            within = _Shown(row["within"], row["within_low"], row["within_high"], within=True)
            shown[itself, row["tested"]] = within
    return shown


def _uar(cell: _Shown | None) -> float:
    return np.nan if cell is None or cell.uar is None else cell.uar


def _text(cell: _Shown, num_columns: int) -> str:
    if cell.uar is None:
        return "failed"
    if cell.low is None or cell.high is None or num_columns > _MOST_WITH_INTERVALS:
        return f"{100 * cell.uar:.1f} %"
    return f"{100 * cell.uar:.1f} %\n{100 * cell.low:.0f} to {100 * cell.high:.0f}"


def _line(row: Mapping[str, Any]) -> str:
    name = f"{'+'.join(row['trained_on'])} -> {row['tested']}"
    if row["uar"] is None:
        return f"{name}: failed: {row['remark']}"
    told = [f"UAR {row['uar']:.1%}{_interval(row['low'], row['high'])}, chance {row['chance']:.1%}"]
    if row["within"] is not None:
        interval = _interval(row["within_low"], row["within_high"])
        told.append(f"within {row['tested']} {row['within']:.1%}{interval}")
    if row["gap"] is not None:
        told.append(f"gap {100 * row['gap']:+.1f} points{_interval(row['gap_low'], row['gap_high'])}")
    if row["unheard"]:
        told.append(f"dropped, because nobody was trained on it: {', '.join(row['unheard'])}")
    return "; ".join([f"{name}: {told[0]}", *told[1:], *([row["remark"]] if row["remark"] else [])])


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
