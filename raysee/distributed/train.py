"""A cross-validated training run: one Ray task a fold and repeat, each with a receipt of its own."""

import dataclasses
import json
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
import safetensors.torch
import torch

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.distributed.cluster import connect, explained
from raysee.errors import ConfigurationError, RayseeError
from raysee.evaluation.folds import FINAL, Fold
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.models import CLASSIFIERS, MODELS, build
from raysee.models.alexnet import load_pretrained
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.storage import join
from raysee.training import card, classifier
from raysee.training.fit import FoldResult, fit_fold
from raysee.training.inputs import Inputs, find
from raysee.training.predictions import example_predictions, predictions
from raysee.training.work import Work, prepare

_TUNING = "tuning.json"


def train(
    root: str,
    config: RunConfig,
    *,
    gpus: float = 0,
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
) -> Stage:
    """Cross-validate `config` on the features below the lake `root`, and fit the model that is delivered.

    Each training has `gpus` of a GPU, or a CPU core where that is 0. `on_progress` counts trainings. Folds that have a
    receipt are not fitted again. Classifiers are evaluated and not delivered.
    Raises ConfigurationError for unknown names, missing features, or a corpus that the protocol cannot split.
    """
    began = time.perf_counter()
    inputs = find(storage.normalise(root), config)
    place, identity = place_of(inputs), inputs.identity
    if not overwrite and (found := receipts.find(place, "train", fingerprint(identity), identity)):
        return Stage(place, found, found=True)
    work, folds = prepare(inputs)
    todo = _trainings(inputs.config, folds)
    _check(work, gpus)
    if overwrite:
        receipts.clear(place, "train")
    receipts.claim(place, "train", fingerprint(identity), identity)
    _fit_missing(place, work, folds, todo, gpus, on_progress)

    clips, seen, labels = work.clips, work.seen, work.labels
    tested = [_fold_place(place, fold, repeat) for fold, repeat in todo if fold.number != FINAL]
    said = together(tested, "predictions.parquet", schema.PREDICTIONS)
    storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
    summary = summarise(said, labels)._asdict()
    fitted = [read_fold(_fold_place(place, fold, repeat)) for fold, repeat in todo]
    if todo[0][0].number == FINAL:
        data = storage.read_bytes(join(_fold_place(place, *todo[0]), "model.safetensors"))
        card.deliver(place, inputs, data, fitted[0], clips, labels, summary)
    receipt = Receipt(
        stage="train",
        fingerprint=fingerprint(identity),
        config=identity,
        inputs={f"{corpus} {config.features}": made.fingerprint for corpus, made in inputs.made.items()},
        counts={"in": said.num_rows, "out": said.num_rows, "rejected": 0},
        rejects={},
        details={
            "lake": inputs.root,
            "labels": labels,
            "metrics": summary,
            "example_metrics": _example_metrics(tested, labels) if len(seen.clip) > len(clips) else None,
            "synthetic": inputs.synthetic,
            "work_s": sum(fold["wall_s"] for fold in fitted),
        },
        wall_s=time.perf_counter() - began,
    )
    return Stage(place, receipts.write(place, receipt), found=False)


def fit_first_folds(
    root: str, config: RunConfig, number: int, *, gpus: float = 0, on_progress: OnProgress = quiet
) -> None:
    """Fit what is missing of the first `number` folds of each repeat, as `train` does; it can go on from there."""
    inputs = find(storage.normalise(root), config)
    place, identity = place_of(inputs), inputs.identity
    if receipts.find(place, "train", fingerprint(identity), identity):
        return
    work, folds = prepare(inputs)
    _check(work, gpus)
    receipts.claim(place, "train", fingerprint(identity), identity)
    first = [fold.number for fold in folds if fold.number != FINAL][:number]
    todo = [(fold, repeat) for fold, repeat in _trainings(inputs.config, folds) if fold.number in first]
    _fit_missing(place, work, folds, todo, gpus, on_progress)


def place_of(inputs: Inputs) -> str:
    """Where the run of these inputs lies."""
    return lake.run(inputs.root, inputs.config, fingerprint(inputs.identity))


def _trainings(config: RunConfig, folds: list[Fold]) -> list[tuple[Fold, int]]:
    """Fold and repeat of each training; the delivered model is fitted once, and first: it is the longest."""
    tested = [(fold, repeat) for repeat in range(config.repeats) for fold in folds if fold.number != FINAL]
    delivered = config.deliver and config.model in MODELS
    return [*([(folds[-1], 0)] if delivered else []), *tested]


def _fold_place(place: str, fold: Fold, repeat: int) -> str:
    name = "final" if fold.number == FINAL else f"repeat-{repeat}-fold-{fold.number:02d}"
    return join(place, "folds", name)


def together(folds: list[str], name: str, kind: pa.Schema) -> pa.Table:
    """A table of all folds."""
    return pa.concat_tables(storage.read_table(join(fold, name), kind) for fold in folds)


def read_fold(place: str) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(storage.read_bytes(join(place, receipts.NAME)))
    return receipt


def _check(work: Work, gpus: float) -> None:
    """Find what every training would break on before anything is written or deleted."""
    if work.initial is not None:
        load_pretrained(build(work.config, work.clips.shape, len(work.labels)), work.initial)
    if not gpus:
        return
    connect()
    if not ray.cluster_resources().get("GPU"):
        raise ConfigurationError("A GPU was asked for and the cluster has none: leave --gpus out to train on CPUs.")


def _fit_missing(
    place: str,
    work: Work,
    folds: list[Fold],
    trainings: list[tuple[Fold, int]],
    gpus: float,
    on_progress: OnProgress,
) -> None:
    missing = [
        (fold, repeat)
        for fold, repeat in trainings
        if not storage.exists(join(_fold_place(place, fold, repeat), receipts.NAME))
    ]
    on_progress(len(trainings) - len(missing), len(trainings), "")
    if not missing:
        return
    connect()
    shared = ray.put(work)
    with explained():
        parameters = _tuned(place, work, shared, folds)
    resources = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
    waiting = [
        _fit_task.options(**resources).remote(place, shared, fold, repeat, parameters) for fold, repeat in missing
    ]
    try:
        with explained():
            while waiting:
                (ready,), waiting = ray.wait(waiting)
                fitted = ray.get(ready)
                remark = "" if fitted["uar"] is None else f"UAR of fold {fitted['fold']}: {fitted['uar']:.1%}"
                on_progress(len(trainings) - len(waiting), len(trainings), remark)
    finally:
        for task in waiting:
            ray.cancel(task, force=True)


def _tuned(place: str, work: Work, shared: ray.ObjectRef, folds: list[Fold]) -> dict[str, float] | None:
    """A classifier's parameters where the protocol searches them on the folds that it reports: on all of them."""
    config = work.config
    if config.model not in CLASSIFIERS or protocol(config.protocol).tune != "test-folds":
        return None
    uri = join(place, "folds", _TUNING)
    if storage.exists(uri):
        chosen: dict[str, float] = json.loads(storage.read_bytes(uri))
        return chosen
    chosen = ray.get(_tune_task.remote(shared, folds))
    storage.write_bytes(uri, (json.dumps(chosen) + "\n").encode())
    return chosen


@ray.remote(num_cpus=1, max_retries=3)  # type: ignore[untyped-decorator]
def _tune_task(work: Work, folds: list[Fold]) -> dict[str, float]:
    return classifier.tune(work.config, work.clips, work.labels, folds)


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def _fit_task(place: str, work: Work, fold: Fold, repeat: int, parameters: dict[str, float] | None) -> dict[str, Any]:
    torch.set_num_threads(1)  # the order of additions, and so the numbers, must not depend on the machine
    config, clips, labels = work.config, work.clips, work.labels
    if config.model in CLASSIFIERS:
        result = classifier.fit_fold(config, clips, labels, fold, repeat, parameters)
    else:
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        result = fit_fold(
            config, clips, labels, fold, repeat, altered=work.altered, initial=work.initial, device=device
        )
    return _write_fold(_fold_place(place, fold, repeat), work, fold, result)


def _write_fold(place: str, work: Work, fold: Fold, result: FoldResult) -> dict[str, Any]:
    clips, seen, labels = work.clips, work.seen, work.labels
    _check_finite(work.config, fold, result)
    uar = None
    if fold.number == FINAL:
        storage.write_bytes(join(place, "model.safetensors"), safetensors.torch.save(result.weights))
    else:
        said = predictions(work.config, clips, seen, labels, fold, result)
        storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
        uar = summarise(said, labels).uar_mean_of_folds
        if len(seen.clip) > len(clips):
            table = example_predictions(clips, seen, labels, fold, result)
            storage.write_table(join(place, "examples.parquet"), table, schema.EXAMPLES)
    receipt = {
        "fold": result.fold,
        "repeat": result.repeat,
        "seed": result.seed,
        "chosen_epoch": result.chosen_epoch,
        "parameters": result.parameters,
        "uar": uar,
        "examples": {"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)},
        "test_speakers": sorted({clips.speakers[clip] for clip in seen.clip[fold.test].tolist()}),
        "mean": result.statistics.mean.tolist() if result.statistics else None,
        "std": result.statistics.std.tolist() if result.statistics else None,
        "curve": [dataclasses.asdict(epoch) for epoch in result.curve],
        "wall_s": result.wall_s,
    }
    storage.write_bytes(join(place, receipts.NAME), (json.dumps(receipt, indent=2) + "\n").encode())
    return receipt


def _check_finite(config: RunConfig, fold: Fold, result: FoldResult) -> None:
    """RayseeError where the last step, whose loss nobody has seen, led to weights or answers that are no numbers."""
    said = np.isfinite(result.probabilities).all() and np.isfinite(result.validation).all()
    if not said or not all(torch.isfinite(weight).all() for weight in result.weights.values()):
        raise RayseeError(
            f"The model of fold {fold.number}, repeat {result.repeat} has weights or answers that are NaN or infinite: "
            f"lower the learning rate (it is {config.training.learning_rate:g})."
        )


def _example_metrics(folds: list[str], labels: list[str]) -> dict[str, Any]:
    """The figures of the tested examples, each by itself."""
    said = together(folds, "examples.parquet", schema.EXAMPLES)
    return summarise(said.filter(pc.equal(said["part"], "test")), labels)._asdict()
