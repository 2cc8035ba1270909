"""The tasks of a cross-validation: one fits a fold and leaves its receipt."""

import json

import ray
import safetensors.torch
import torch

from raysee import schema, storage
from raysee.distributed import metrics
from raysee.evaluation.folds import FINAL, Fold
from raysee.evaluation.metrics import summarise
from raysee.models import CLASSIFIERS
from raysee.report import first_layer
from raysee.storage import join
from raysee.training import classifier, finished
from raysee.training.finished import FoldReceipt
from raysee.training.fit import FoldResult, fit_fold
from raysee.training.loop import check_result
from raysee.training.predictions import example_predictions, predictions, temperature
from raysee.training.work import Work

_TUNING = "tuning.json"


@ray.remote(num_cpus=1, max_retries=3)  # type: ignore[untyped-decorator]
def tune_task(place: str, work: Work, folds: list[Fold]) -> dict[str, float]:
    """A classifier's parameters where the protocol searches them on the folds that it reports: on all of them."""
    uri = join(place, "folds", _TUNING)
    if storage.exists(uri):
        chosen: dict[str, float] = json.loads(storage.read_bytes(uri))
        return chosen
    chosen = classifier.tune(work.config, work.clips, work.labels, folds)
    storage.write_bytes(uri, (json.dumps(chosen) + "\n").encode())
    return chosen


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def fit_task(place: str, work: Work, fold: Fold, repeat: int, parameters: dict[str, float] | None) -> FoldReceipt:
    """Fit one fold of the run at `place`."""
    torch.set_num_threads(1)  # the order of additions, and so the numbers, must not depend on the machine
    config, clips, labels = work.config, work.clips, work.labels
    if config.model in CLASSIFIERS:
        result = classifier.fit_fold(config, clips, labels, fold, repeat, parameters)
    else:
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        result = fit_fold(
            config, clips, labels, fold, repeat, altered=work.altered, initial=work.initial, device=device
        )
    return _write_fold(finished.folder(place, fold.number, repeat), work, fold, result)


def _write_fold(place: str, work: Work, fold: Fold, result: FoldResult) -> FoldReceipt:
    clips, seen, labels = work.clips, work.seen, work.labels
    name = f"fold {fold.number}, repeat {result.repeat}"
    check_result(name, work.config.training, result.weights, result.probabilities, result.validation)
    uar = None
    if fold.number == FINAL:
        storage.write_bytes(join(place, "model.safetensors"), safetensors.torch.save(result.weights))
    else:
        said = predictions(work.config, clips, seen, labels, fold, result)
        storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
        uar = summarise(said, labels).uar_mean_of_folds
        if not work.config.deliver and (fold.number, result.repeat) == (0, 0):
            first_layer.keep(place, result.weights)
        if len(seen.clip) > len(clips):
            table = example_predictions(clips, seen, labels, fold, result)
            storage.write_table(join(place, "examples.parquet"), table, schema.EXAMPLES)
    receipt = FoldReceipt(
        fold=result.fold,
        repeat=result.repeat,
        seed=result.seed,
        chosen_epoch=result.chosen_epoch,
        parameters=result.parameters,
        uar=uar,
        examples={"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)},
        test_speakers=sorted({clips.speakers[clip] for clip in seen.clip[fold.test].tolist()}),
        mean=result.statistics.mean.tolist() if result.statistics else None,
        std=result.statistics.std.tolist() if result.statistics else None,
        temperature=temperature(work.config, clips, seen, labels, fold, result.validation, result.lstm),
        curve=result.curve,
        wall_s=result.wall_s,
    )
    finished.write(place, receipt)
    metrics.count_fold(receipt.wall_s)
    return receipt
