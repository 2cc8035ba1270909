"""Models of some corpora on another one: each cell an ordinary training run, beside the corpus's own figure."""

import collections
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raysee import emotions, receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.corpora import voices
from raysee.distributed.cluster import check_gpus
from raysee.distributed.extract import extract
from raysee.distributed.train import train_all
from raysee.errors import ConfigurationError, RayseeError, StorageError
from raysee.evaluation.compare import compare
from raysee.evaluation.protocols import protocol
from raysee.lock import Lock
from raysee.models import published
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.report.cross import WITHIN, Asked, Counted, count, mean_gaps, write_cross
from raysee.storage import join

CELLS, PAGE = "cells.parquet", "cross.html"


class Cell(NamedTuple):
    """Models of `trained_on` are tested on another corpus."""

    trained_on: tuple[str, ...]
    tested: str


class Plan(NamedTuple):
    """The cells, and how they were asked for: "train-test", "leave-one-corpus-out" or "matrix"."""

    kind: str
    cells: tuple[Cell, ...]

    @property
    def corpora(self) -> tuple[str, ...]:
        """All that are trained on or tested."""
        return tuple(sorted({corpus for cell in self.cells for corpus in (*cell.trained_on, cell.tested)}))


class _Pair(NamedTuple):
    """A cell and its runs: the one across corpora, and the one within the tested corpus on the same classes."""

    cell: Cell
    classes: tuple[str, ...]  # that are tested
    unheard: dict[str, int]  # clips of the tested corpus whose classes the training corpora lack
    across: RunConfig
    within: RunConfig


def plan(train: Sequence[str], test: Sequence[str], leave_one_out: Sequence[str], matrix: Sequence[str]) -> Plan:
    """The cells of what was asked for in one of three ways: `train` and `test`, `leave_one_out`, or `matrix`.

    Raises ConfigurationError for none or several of them, for a corpus or its speakers on both sides, and for fewer
    than two corpora.
    """
    if sum([bool(train or test), bool(leave_one_out), bool(matrix)]) != 1 or bool(train) != bool(test):
        raise ConfigurationError(
            "Corpora are crossed in one of three ways: give --train and --test, or --leave-one-corpus-out, or --matrix."
        )
    asked = [*train, *test, *leave_one_out, *matrix]
    if both := sorted(set(train) & set(test)):
        raise ConfigurationError(
            f"{', '.join(both)} cannot be trained on and tested by the same model: leave it out of --train or --test."
        )
    if twice := sorted(name for name, times in collections.Counter(asked).items() if times > 1):
        raise ConfigurationError(f"{', '.join(twice)} is named twice: name each corpus once.")
    if len(asked) < 2:
        raise ConfigurationError(f"{asked[0]} alone crosses nothing: name two corpora or more.")
    asked.sort()
    for one, other in itertools.combinations(asked, 2):
        together = {one, other} <= set(train) or {one, other} <= set(test)
        if voices(one) == voices(other) and not together:
            raise ConfigurationError(f"{one} and {other} have the same speakers: leave one of them out.")
    if matrix:
        return Plan("matrix", tuple(Cell((one,), other) for one in asked for other in asked if one != other))
    if leave_one_out:
        others = {one: tuple(name for name in asked if name != one) for one in asked}
        return Plan("leave-one-corpus-out", tuple(Cell(others[one], one) for one in asked))
    return Plan("train-test", tuple(Cell(tuple(sorted(train)), one) for one in sorted(test)))


def cross(root: str, plan: Plan, config: RunConfig, *, gpus: float = 0, on_progress: OnProgress = quiet) -> Stage:
    """Train and test the cells of `plan` on the corpora of the lake `root`, and draw their page.

    `config` is what the runs have in common, under a protocol across corpora; its `corpora` and `test` are each
    cell's. Features that are not there are extracted. A cell that cannot be had is a row that says why; it is tried
    again by the next start, which does nothing where all are there. Each training has `gpus` of a GPU, or a CPU core
    where that is 0. `on_progress` counts trainings.
    Raises ConfigurationError for unknown names, features that the model does not take, a corpus without a manifest, a
    GPU that is asked for and not there, and where no cell can be had; StorageError where the lake does not answer;
    BusyError where another start is at it.
    """
    began = time.perf_counter()
    root = storage.normalise(root)
    common = {"corpora": plan.corpora, "test": (), "labels": tuple(sorted(config.labels)), "deliver": False}
    config = config.model_copy(update=common)
    counted = count(root, plan.corpora, config)
    if gpus:
        check_gpus(gpus)  # before hours of extraction
    takes, _ = published(config.model)
    if config.features not in takes:
        raise ConfigurationError(f"{config.model} takes {', '.join(takes)}, not {config.features}: see --features.")
    tried = {corpus: _features(root, corpus, config.features) for corpus in plan.corpora}
    made = {corpus: one for corpus, one in tried.items() if isinstance(one, Receipt)}
    identity = {
        "config": config.model_dump(mode="json"),
        "kind": plan.kind,
        "cells": [[list(cell.trained_on), cell.tested] for cell in plan.cells],
        "protocols": [protocol(name).model_dump() for name in (config.protocol, WITHIN)],
        "scheme": emotions.SCHEMES[config.scheme],
        "utterances": {corpus: one.inputs["utterances"] for corpus, one in made.items()},
        "features": {corpus: one.fingerprint for corpus, one in made.items()},
    }
    model = config.model if config.size == "published" else f"{config.model}-{config.size}"
    name = "-".join([plan.kind, model, config.features, config.scheme, config.protocol, fingerprint(identity)])
    place = join(root, "cross", name)

    def finished() -> Stage | None:
        stage = receipts.finished(place, "cross", identity)
        return stage if stage and not stage.receipt.rejects else None

    if stage := finished():
        return stage
    pairs = [_pair(cell, config, counted) for cell in plan.cells]
    hopeless = {pair.cell: failed for pair in pairs if (failed := _hopeless(pair, tried))}
    if len(hopeless) == len(pairs):
        raise ConfigurationError(str(hopeless[pairs[0].cell]))
    with Lock(place) as lock:
        if stage := finished():  # by a start that has ended meanwhile
            return stage
        receipts.claim(place, "cross", fingerprint(identity), identity)
        possible = [pair for pair in pairs if pair.cell not in hopeless]
        runs = {run.fingerprint(): run for pair in possible for run in (pair.within, pair.across)}
        trained = train_all(root, list(runs.values()), gpus=gpus, on_progress=on_progress)
        fitted = {key: one for key, one in zip(runs, trained, strict=True) if one is not None}
        told = [_row(pair, hopeless.get(pair.cell), fitted) for pair in pairs]
        failures = [failed for _, failed in told if failed]
        cells = pa.Table.from_pylist([row for row, _ in told], schema=schema.CROSSINGS)
        storage.write_table(join(place, CELLS), cells, schema.CROSSINGS)
        gaps = mean_gaps(cells)
        receipt = Receipt(
            stage="cross",
            fingerprint=fingerprint(identity),
            config=identity,
            inputs={f"{corpus} {config.features}": one.fingerprint for corpus, one in made.items()},
            counts={"in": len(told), "out": len(told) - len(failures), "rejected": len(failures)},
            rejects=dict(collections.Counter(type(failed).__name__ for failed in failures)),
            details={
                "lake": root,
                "scheme": {corpus: one._asdict() for corpus, one in counted.items()},
                "gap": sum(gaps.values()) / len(gaps) if gaps else None,
                "gap_by_tested": gaps,
                "synthetic": any(one.details["synthetic"] for one in made.values()),
            },
            wall_s=time.perf_counter() - began,
        )
        write_cross(join(place, PAGE), Asked(plan.kind, config, counted), cells, place, receipt)
        lock.check()
        return Stage(place, receipts.write(place, receipt), found=False)


def _features(root: str, corpus: str, features: str) -> Receipt | RayseeError:
    """Nothing happens where the features of this manifest are there."""
    try:
        (stage,) = extract(root, corpus, [features])
    except StorageError:
        raise
    except RayseeError as error:
        return type(error)(f"{corpus} has no {features}: {error}")
    return stage.receipt


def _pair(cell: Cell, config: RunConfig, counted: Mapping[str, Counted]) -> _Pair:
    """What the tested corpus holds decides what is tested of it, and nothing of how the models are trained."""
    its = counted[cell.tested].classes
    trained = {one for corpus in cell.trained_on for one in counted[corpus].classes}
    heard = tuple(one for one in emotions.scheme_classes(config.scheme) if one in trained)
    classes = tuple(one for one in heard if one in its)
    corpora = tuple(sorted([*cell.trained_on, cell.tested]))
    return _Pair(
        cell,
        classes,
        unheard={one: number for one, number in its.items() if one not in trained},
        across=config.model_copy(update={"corpora": corpora, "test": (cell.tested,), "labels": heard}),
        within=config.model_copy(update={"corpora": (cell.tested,), "protocol": WITHIN, "labels": classes}),
    )


def _hopeless(pair: _Pair, tried: Mapping[str, Receipt | RayseeError]) -> RayseeError | None:
    for corpus in (*pair.cell.trained_on, pair.cell.tested):
        if isinstance(failed := tried[corpus], RayseeError):
            return failed
    if len(pair.classes) < 2:
        return ConfigurationError(
            f"{pair.cell.tested} has {', '.join(pair.classes) or 'no class'} in common with "
            f"{', '.join(pair.cell.trained_on)}, and there must be two classes to tell apart: take another --scheme, "
            "more --labels, or other corpora.",
        )
    return None


def _row(
    pair: _Pair, failed: RayseeError | None, fitted: Mapping[str, Stage | RayseeError]
) -> tuple[dict[str, Any], RayseeError | None]:
    """A row of schema.CROSSINGS, and what of it could not be had."""
    cell, across = pair.cell, pair.across
    row: dict[str, Any] = {
        "trained_on": list(cell.trained_on),
        "tested": cell.tested,
        **{name: getattr(across, name) for name in ("scheme", "model", "features", "protocol", "repeats")},
        "epochs": across.training.epochs,
        "heard": list(across.labels),
        "classes": list(pair.classes),
        "unheard": list(pair.unheard),
        "num_unheard": sum(pair.unheard.values()),
        "training_s": 0.0,
        **dict.fromkeys(("remark", "run", "within_run"), ""),
    }
    found, beside = failed or fitted[across.fingerprint()], failed or fitted[pair.within.fingerprint()]
    if isinstance(beside, Stage):
        row |= {"within_run": beside.place, **_figures("within", beside.receipt.details["metrics"])}
    if isinstance(found, RayseeError):
        return row | {"remark": str(found)}, found
    figures = found.receipt.details["metrics"]
    row |= {"run": found.place, "training_s": found.receipt.details["work_s"], **_figures("uar", figures)}
    row |= {name: figures[name] for name in ("chance", "num_clips", "num_speakers")}
    labels = found.receipt.details["labels"]
    said = [label for label, *column in zip(labels, *figures["confusion"], strict=True) if any(column)]
    if len(said) == 1:
        row["remark"] = f"Every clip is called {said[0]}: the gap is of a model that does not tell them apart."
    if isinstance(beside, RayseeError):
        return row | {"remark": f"No figure within {cell.tested}: {beside}"}, beside
    compared = compare(_predictions(found.place, across=True), _predictions(beside.place))
    row |= {"gap": compared.difference, "p_value": compared.p_value}
    return row | dict(zip(("gap_low", "gap_high"), compared.interval or (), strict=False)), None


def _figures(name: str, figures: Mapping[str, Any]) -> dict[str, float | None]:
    """The pooled UAR, which is what intervals and gaps are of."""
    prefix = "" if name == "uar" else f"{name}_"
    low, high = figures["uar_interval"] or (None, None)
    return {name: figures["uar_pooled"], f"{prefix}low": low, f"{prefix}high": high}


def _predictions(place: str, *, across: bool = False) -> pa.Table:
    """As clips and speakers are called within their corpus: across corpora its name, or its voices', is before them."""
    said = storage.read_table(join(place, "predictions.parquet"), schema.PREDICTIONS)
    for name in ("clip_id", "speaker") if across else ():
        short = pc.replace_substring_regex(said[name], pattern=r"^[^/]*/", replacement="")
        said = said.set_column(said.schema.get_field_index(name), name, short)
    return said
