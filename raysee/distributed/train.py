"""A cross-validated training run: one Ray task a fold and repeat, each with a receipt of its own."""

import dataclasses
import datetime
import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import ray
import safetensors.torch
import torch

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.corpora.manifest import about, utterances_of
from raysee.distributed.cluster import connect, explained
from raysee.errors import ConfigurationError
from raysee.evaluation.folds import FINAL, Fold, make_folds
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.features import front_end
from raysee.models import network
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.storage import join
from raysee.training import card as cards
from raysee.training.clips import Clips, load
from raysee.training.fit import FoldResult, fit_fold


def train(root: str, config: RunConfig, *, overwrite: bool = False, on_progress: OnProgress = quiet) -> Stage:
    """Cross-validate `config` on the features below the lake `root`, and fit the model that is delivered.

    `on_progress` counts trainings. Folds that have a receipt are not fitted again.
    Raises ConfigurationError for unknown names, missing features, or a corpus that the protocol cannot split.
    """
    began = time.perf_counter()
    root = storage.normalise(root)
    made_by, rules = front_end(config.features), protocol(config.protocol)
    network(config.model)
    listed = about(root, config.corpus)
    all_labels = listed.details["about"]["labels"]
    labels = _labels(all_labels, config.labels)
    # The same labels are the same run, in whatever order they were given.
    config = config.model_copy(update={"labels": () if len(labels) == len(all_labels) else tuple(labels)})
    source = lake.features(root, config.corpus, config.features, made_by)
    made = receipts.read(source)
    if made is None:
        raise ConfigurationError(
            f"{root} has no finished {config.features} of {config.corpus}: "
            f"run `raysee extract --corpus {config.corpus} --features {config.features} --to {root}` first."
        )
    if listed.fingerprint != made.inputs["utterances"]:
        raise ConfigurationError(
            f"The {config.features} of {config.corpus} in {root} were made from another manifest: "
            f"run `raysee extract --corpus {config.corpus} --features {config.features} --to {root}` first."
        )
    identity = {
        "config": config.model_dump(mode="json"),
        "protocol": rules.model_dump(),
        "labels": labels,
        "utterances": listed.fingerprint,
        "features": made.fingerprint,
    }
    place = lake.run(root, config, fingerprint(identity))
    if not overwrite and (found := receipts.find(place, "train", fingerprint(identity), identity)):
        return Stage(place, found, found=True)
    utterances = utterances_of(root, config.corpus)
    clips = load(utterances, storage.read_table(join(source, "clips"), schema.FEATURES), labels)
    labels = [label for label in labels if label in set(clips.labels)]
    if len(labels) < 2:
        raise ConfigurationError(f"Only clips of {labels[0]} have features: there is nothing to tell apart.")
    todo = _trainings(config, make_folds(rules, clips.groups, clips.labels, seed=config.training.seed))
    if overwrite:
        receipts.clear(place, "train")
    receipts.claim(place, "train", fingerprint(identity), identity)
    _fit_missing(place, config, clips, labels, todo, on_progress)

    predictions = pa.concat_tables(
        storage.read_table(join(_fold_place(place, fold, repeat), "predictions.parquet"), schema.PREDICTIONS)
        for fold, repeat in todo
        if fold.number != FINAL
    )
    storage.write_table(join(place, "predictions.parquet"), predictions, schema.PREDICTIONS)
    summary = summarise(predictions, labels)._asdict()
    folds = [_read_fold(place, fold, repeat) for fold, repeat in todo]
    _deliver(place, config, clips, labels, summary, listed, made)
    receipt = Receipt(
        stage="train",
        fingerprint=fingerprint(identity),
        config=identity,
        inputs={"features": made.fingerprint},
        counts={"in": len(clips) * config.repeats, "out": predictions.num_rows, "rejected": 0},
        rejects={},
        details={
            "lake": root,
            "labels": labels,
            "metrics": summary,
            "synthetic": made.details["synthetic"],
            "work_s": sum(fold["wall_s"] for fold in folds),
        },
        wall_s=time.perf_counter() - began,
    )
    return Stage(place, receipts.write(place, receipt), found=False)


def _labels(all_labels: Sequence[str], wanted: tuple[str, ...]) -> list[str]:
    if unknown := sorted(set(wanted) - set(all_labels)):
        raise ConfigurationError(f"Unknown labels {', '.join(unknown)}; this corpus has {', '.join(all_labels)}.")
    if len(set(wanted)) == 1:
        raise ConfigurationError(f"One label, {wanted[0]}, leaves nothing to tell apart: give two or more.")
    return [label for label in all_labels if not wanted or label in wanted]


def _trainings(config: RunConfig, folds: list[Fold]) -> list[tuple[Fold, int]]:
    """Fold and repeat of each training; the delivered model is fitted once, and first: it is the longest."""
    tested = [(fold, repeat) for repeat in range(config.repeats) for fold in folds if fold.number != FINAL]
    return [(folds[-1], 0), *tested]


def _fold_place(place: str, fold: Fold, repeat: int) -> str:
    name = "final" if fold.number == FINAL else f"repeat-{repeat}-fold-{fold.number:02d}"
    return join(place, "folds", name)


def _read_fold(place: str, fold: Fold, repeat: int) -> dict[str, Any]:
    uri = join(_fold_place(place, fold, repeat), receipts.NAME)
    receipt: dict[str, Any] = json.loads(storage.read_bytes(uri))
    return receipt


def _fit_missing(
    place: str,
    config: RunConfig,
    clips: Clips,
    labels: list[str],
    trainings: list[tuple[Fold, int]],
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
    config_ref, clips_ref = ray.put(config), ray.put(clips)
    waiting = [_fit_task.remote(place, config_ref, clips_ref, labels, fold, repeat) for fold, repeat in missing]
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


@ray.remote(num_cpus=1, max_retries=3)  # type: ignore[untyped-decorator]
def _fit_task(
    place: str, config: RunConfig, clips: Clips, labels: list[str], fold: Fold, repeat: int
) -> dict[str, Any]:
    torch.set_num_threads(1)  # the order of additions, and so the numbers, must not depend on the machine
    result = fit_fold(config, clips, labels, fold, repeat)
    return _write_fold(_fold_place(place, fold, repeat), result, clips, labels, fold)


def _write_fold(place: str, result: FoldResult, clips: Clips, labels: list[str], fold: Fold) -> dict[str, Any]:
    uar = None
    if fold.number == FINAL:
        storage.write_bytes(join(place, "model.safetensors"), safetensors.torch.save(result.weights))
    else:
        predictions = _predictions(result, clips, labels, fold)
        storage.write_table(join(place, "predictions.parquet"), predictions, schema.PREDICTIONS)
        uar = summarise(predictions, labels).uar_mean_of_folds
    receipt = {
        "fold": result.fold,
        "repeat": result.repeat,
        "seed": result.seed,
        "chosen_epoch": result.chosen_epoch,
        "uar": uar,
        "test_speakers": sorted({clips.speakers[clip] for clip in fold.test}),
        "mean": result.statistics.mean.tolist() if result.statistics else None,
        "std": result.statistics.std.tolist() if result.statistics else None,
        "curve": [dataclasses.asdict(epoch) for epoch in result.curve],
        "wall_s": result.wall_s,
    }
    storage.write_bytes(join(place, receipts.NAME), (json.dumps(receipt, indent=2) + "\n").encode())
    return receipt


def _predictions(result: FoldResult, clips: Clips, labels: list[str], fold: Fold) -> pa.Table:
    rows = [
        {
            "clip_id": clips.clip_ids[clip],
            "speaker": clips.speakers[clip],
            "repeat": result.repeat,
            "fold": result.fold,
            "label": clips.labels[clip],
            "predicted": labels[int(probabilities.argmax())],
            "labels": labels,
            "probabilities": probabilities,
        }
        for clip, probabilities in zip(fold.test.tolist(), result.probabilities, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=schema.PREDICTIONS)


def _deliver(
    place: str,
    config: RunConfig,
    clips: Clips,
    labels: list[str],
    summary: dict[str, Any],
    listed: Receipt,
    made: Receipt,
) -> None:
    """Write the model that is to be used, with a card that carries the cross-validation's figures."""
    known, made_by, synthetic = listed.details["about"], front_end(config.features), made.details["synthetic"]
    final = join(place, "folds", "final")
    fitted = json.loads(storage.read_bytes(join(final, receipts.NAME)))
    data = storage.read_bytes(join(final, "model.safetensors"))
    cards.save(
        place,
        safetensors.torch.load(data),
        cards.Card(
            labels=labels,
            num_columns=clips.num_columns,
            config=config,
            protocol=protocol(config.protocol),
            chosen_epoch=fitted["chosen_epoch"],
            front_end=made_by.model_dump(),
            front_end_fingerprint=made_by.fingerprint(),
            mean=fitted["mean"],
            std=fitted["std"],
            corpora=[
                cards.CardCorpus(
                    name=config.corpus,
                    title=f"a synthetic voice in the layout of {known['title']}" if synthetic else known["title"],
                    licence="made by raysee, free" if synthetic else known["licence"],
                    source="raysee synthesise" if synthetic else known["source"],
                    num_clips=len(clips),
                    num_speakers=len(set(clips.speakers)),
                    fingerprint=made.fingerprint,
                )
            ],
            synthetic=synthetic,
            metrics=summary,
            fingerprint=hashlib.sha256(data).hexdigest()[:12],
            versions=receipts.versions(),
            written_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        ),
    )
