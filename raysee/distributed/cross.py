"""Models of some corpora on another one: each cell an ordinary training run, beside the corpus's own figure."""

import collections
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import ray

from raysee import emotions, receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.distributed.cluster import connect, explained
from raysee.distributed.extract import extract
from raysee.distributed.train import train
from raysee.errors import ConfigurationError, RayseeError, StorageError
from raysee.evaluation.compare import compare
from raysee.evaluation.protocols import protocol
from raysee.models import published
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.report.cross import Asked, Counted, count, mean_gaps, write_cross
from raysee.storage import join

CELLS, PAGE = "cells.parquet", "cross.html"
WITHIN = "strict"  # the protocol of the figure within a corpus
_MOST_AT_ONCE = 8  # each run holds the features of its corpora in memory


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


class _Failed(NamedTuple):
    error: str
    reason: str


def plan(train: Sequence[str], test: Sequence[str], leave_one_out: Sequence[str], matrix: Sequence[str]) -> Plan:
    """The cells of what was asked for in one of three ways: `train` and `test`, `leave_one_out`, or `matrix`.

    Raises ConfigurationError for none or several of them, for a corpus on both sides, and for fewer than two corpora.
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
    where that is 0. `on_progress` counts runs.
    Raises ConfigurationError for unknown names, features that the model does not take, a corpus without a manifest, and
    where a GPU is asked for and there is none; StorageError where the lake does not answer.
    """
    began = time.perf_counter()
    root = storage.normalise(root)
    common = {"corpora": plan.corpora, "test": (), "labels": tuple(sorted(config.labels)), "deliver": False}
    config = config.model_copy(update=common)
    counted = count(root, plan.corpora, config)
    takes, _ = published(config.model)
    if config.features not in takes:
        raise ConfigurationError(f"{config.model} takes {', '.join(takes)}, not {config.features}: see --features.")
    made = {corpus: _features(root, corpus, config.features) for corpus in plan.corpora}
    features = {name: one.fingerprint for name, one in made.items() if isinstance(one, Receipt)}
    identity = {
        "config": config.model_dump(mode="json"),
        "kind": plan.kind,
        "cells": [[list(cell.trained_on), cell.tested] for cell in plan.cells],
        "protocols": [protocol(name).model_dump() for name in (config.protocol, WITHIN)],
        "scheme": emotions.SCHEMES[config.scheme],
        "features": features,
    }
    model = config.model if config.size == "published" else f"{config.model}-{config.size}"
    name = f"{plan.kind}-{model}-{config.features}-{config.scheme}"
    place = join(root, "cross", f"{name}-{fingerprint(identity)}")
    found = receipts.find(place, "cross", fingerprint(identity), identity)
    if found and not found.rejects:
        return Stage(place, found, found=True)
    receipts.claim(place, "cross", fingerprint(identity), identity)

    pairs = [_pair(cell, config, counted) for cell in plan.cells]
    hopeless = {pair.cell: failed for pair in pairs if (failed := _hopeless(pair, made))}
    possible = [pair for pair in pairs if pair.cell not in hopeless]
    runs = [run for pair in possible for run in (pair.within, pair.across)]
    fitted = _fit(root, runs, gpus, on_progress) if runs else {}
    rows, failures = [], []
    for pair in pairs:
        row, failed = _row(pair, hopeless.get(pair.cell), fitted)
        rows.append(row)
        failures += [failed] if failed else []
    cells = pa.Table.from_pylist(rows, schema=schema.CROSSINGS)
    storage.write_table(join(place, CELLS), cells, schema.CROSSINGS)
    gaps = mean_gaps(cells)
    receipt = Receipt(
        stage="cross",
        fingerprint=fingerprint(identity),
        config=identity,
        inputs={f"{corpus} {config.features}": one for corpus, one in features.items()},
        counts={"in": len(rows), "out": len(rows) - len(failures), "rejected": len(failures)},
        rejects=dict(collections.Counter(failed.error for failed in failures)),
        details={
            "lake": root,
            "scheme": {corpus: one._asdict() for corpus, one in counted.items()},
            "gap": sum(gaps.values()) / len(gaps) if gaps else None,
            "gap_by_tested": gaps,
            "synthetic": any(one.details["synthetic"] for one in made.values() if isinstance(one, Receipt)),
        },
        wall_s=time.perf_counter() - began,
    )
    write_cross(join(place, PAGE), Asked(plan.kind, config, counted), cells, place, receipt)
    return Stage(place, receipts.write(place, receipt), found=False)


def _features(root: str, corpus: str, features: str) -> Receipt | _Failed:
    """Nothing happens where the features of this manifest are there."""
    try:
        (stage,) = extract(root, corpus, [features])
    except StorageError:
        raise
    except RayseeError as error:
        return _Failed(type(error).__name__, f"{corpus} has no {features}: {error}")
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


def _hopeless(pair: _Pair, made: Mapping[str, Receipt | _Failed]) -> _Failed | None:
    for corpus in (*pair.cell.trained_on, pair.cell.tested):
        if isinstance(failed := made[corpus], _Failed):
            return failed
    if len(pair.classes) < 2:
        return _Failed(
            "ConfigurationError",
            f"{pair.cell.tested} has {len(pair.classes)} classes that {' or '.join(pair.cell.trained_on)} has too, and "
            "there must be two to tell apart: take another scheme, or other corpora.",
        )
    return None


def _fit(root: str, runs: Sequence[RunConfig], gpus: float, on_progress: OnProgress) -> dict[str, Stage | _Failed]:
    """The finished runs by the fingerprint of their configuration, several at once."""
    waiting = {run.fingerprint(): run for run in runs}
    total, done = len(waiting), dict[str, Stage | _Failed]()
    most = _at_once(gpus)
    running: dict[ray.ObjectRef, str] = {}
    on_progress(0, total, "")
    try:
        while waiting or running:
            while waiting and len(running) < most:
                key = next(iter(waiting))
                running[_run_task.remote(root, waiting.pop(key), gpus)] = key
            (ready,), _ = ray.wait(list(running), num_returns=1)
            key = running.pop(ready)
            try:
                with explained():
                    done[key] = ray.get(ready)
            except StorageError:
                raise  # what has been trained cannot be seen, and no other run will do better
            except RayseeError as error:
                done[key] = _Failed(type(error).__name__, str(error))
            on_progress(len(done), total, "")
    finally:
        for task in running:
            ray.cancel(task, force=True, recursive=False)  # a run's own tasks end with it, and without complaint
    return done


def _at_once(gpus: float) -> int:
    connect()
    resources = ray.cluster_resources()
    if gpus and not resources.get("GPU"):
        raise ConfigurationError("A GPU was asked for and the cluster has none: leave --gpus out to train on CPUs.")
    slots = resources["GPU"] / gpus if gpus else resources.get("CPU", 1)
    return max(1, min(_MOST_AT_ONCE, int(slots)))


@ray.remote(num_cpus=0, max_retries=3)  # type: ignore[untyped-decorator]
def _run_task(root: str, run: RunConfig, gpus: float) -> Stage:
    return train(root, run, gpus=gpus)  # whose own tasks ask for the cores


def _row(
    pair: _Pair, failed: _Failed | None, fitted: Mapping[str, Stage | _Failed]
) -> tuple[dict[str, Any], _Failed | None]:
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
        "remark": "",
        "run": "",
        "within_run": "",
    }
    found = failed or fitted[across.fingerprint()]
    if isinstance(found, _Failed):
        return row | {"remark": found.reason}, found
    figures = found.receipt.details["metrics"]
    row |= {"run": found.place, "training_s": found.receipt.details["work_s"], **_figures("uar", figures)}
    row |= {name: figures[name] for name in ("chance", "num_clips", "num_speakers")}
    labels = found.receipt.details["labels"]
    said = [label for label, *column in zip(labels, *figures["confusion"], strict=True) if any(column)]
    if len(said) == 1:
        row["remark"] = f"Every clip is called {said[0]}: the gap is of a model that does not tell them apart."
    beside = fitted[pair.within.fingerprint()]
    if isinstance(beside, _Failed):
        return row | {"remark": f"No figure within {cell.tested}: {beside.reason}"}, beside
    row |= {"within_run": beside.place, **_figures("within", beside.receipt.details["metrics"])}
    try:
        compared = compare(_predictions(found.place, cell.tested), _predictions(beside.place))
    except StorageError:
        raise
    except RayseeError as error:
        return row | {"remark": f"No gap: {error}"}, _Failed(type(error).__name__, str(error))
    row |= {"gap": compared.difference, "p_value": compared.p_value}
    return row | dict(zip(("gap_low", "gap_high"), compared.interval or (), strict=False)), None


def _figures(name: str, figures: Mapping[str, Any]) -> dict[str, float | None]:
    """The pooled UAR, which is what intervals and gaps are of."""
    prefix = "" if name == "uar" else f"{name}_"
    low, high = figures["uar_interval"] or (None, None)
    return {name: figures["uar_pooled"], f"{prefix}low": low, f"{prefix}high": high}


def _predictions(place: str, prefix: str = "") -> pa.Table:
    """Without the corpus before clips and speakers, as they are called within it."""
    said = storage.read_table(join(place, "predictions.parquet"), schema.PREDICTIONS)
    for name in ("clip_id", "speaker") if prefix else ():
        short = pc.utf8_slice_codeunits(said[name], start=len(prefix) + 1)
        said = said.set_column(said.schema.get_field_index(name), name, short)
    return said
