"""Tiny runs as the stages leave them, written through raysee's own functions."""

import dataclasses
import itertools
import json
import pathlib
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import soundfile

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.evaluation.metrics import Summary, summarise
from raysee.evaluation.protocols import protocol
from raysee.receipts import Receipt
from raysee.storage import join
from raysee.synthesis.marker import mark
from raysee.training import finished
from raysee.training.loop import Epoch

LABELS = ["anger", "neutral", "sadness"]
SPEAKERS = ["03", "08", "09"]


def emodb(root: pathlib.Path, *, synthetic: bool = False) -> str:
    """A lake with the manifest of nine tones under EMO-DB's names."""
    wav = root / "emodb" / "wav"
    wav.mkdir(parents=True)
    if synthetic:
        mark(root / "emodb")
    for (hz, letter), speaker in itertools.product([(220, "W"), (330, "N"), (440, "T")], SPEAKERS):
        tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(8000) / 16_000)
        soundfile.write(wav / f"{speaker}a01{letter}a.wav", tone, 16_000)
    place = storage.normalise(root / "lake")
    manifest(place, "emodb", str(root / "emodb"), allow_count_mismatch=True)
    return place


def trained(
    root: str,
    *,
    protocol_name: str = "strict",
    synthetic: bool = False,
    right: float = 0.6,
    repeats: int = 1,
    epochs: int = 4,
    classes: tuple[str, ...] = (),
    size: Literal["published", "debug"] = "published",
) -> tuple[str, Summary]:
    """A training run whose answers are right with the probability `right`; its place and its figures."""
    run = RunConfig(
        corpora=("emodb",),
        features="logmel40",
        model="aldeneh",
        size=size,
        protocol=protocol_name,
        labels=classes,
        repeats=repeats,
        training=TrainingConfig(epochs=epochs),
    )
    labels = list(classes or LABELS)
    place, rules = lake.run(root, run, run.fingerprint()), protocol(protocol_name)
    rng = np.random.default_rng(0)
    rows = []
    for repeat, (fold, speaker), label, take in itertools.product(
        range(repeats), enumerate(SPEAKERS), labels, range(8)
    ):
        predicted = label if rng.random() < right else str(rng.choice(labels))
        rows.append(
            {
                "clip_id": f"{speaker}{label}{take}",
                "speaker": speaker,
                "gender": "male" if speaker == "03" else "female",
                "repeat": repeat,
                "fold": fold,
                "speaker_heard": bool(rules.leaks),
                "sentence_heard": True,
                "label": label,
                "predicted": predicted,
                "labels": labels,
                "probabilities": [1 / len(labels)] * len(labels),
            }
        )
    said = pa.Table.from_pylist(rows, schema=schema.PREDICTIONS)
    storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
    for repeat, fold in itertools.product(range(repeats), range(len(SPEAKERS))):
        its = said.filter(pc.and_(pc.equal(said["repeat"], repeat), pc.equal(said["fold"], fold)))
        uri = join(finished.folder(place, fold, repeat), "predictions.parquet")
        storage.write_table(uri, its, schema.PREDICTIONS)
    summary = summarise(said, labels)
    for repeat, fold in [(0, -1), *itertools.product(range(repeats), range(len(SPEAKERS)))]:
        name = "final" if fold == -1 else f"repeat-{repeat}-fold-{fold:02d}"
        validated = rules.select == "validation"
        curve = [
            Epoch(
                epoch=epoch,
                train_loss=float(2 / epoch + rng.random() / 5),
                train_accuracy=1 - 1 / (epoch + 1),
                validation_loss=1.0 if validated else None,
                validation_uar=float(0.8 - 0.5 / epoch + rng.random() / 10) if validated else None,
            )
            for epoch in range(1, epochs + 1)
        ]
        receipt = {
            "fold": fold,
            "repeat": repeat,
            "seed": 1,
            "parameters": {},
            "examples": {"train": 48, "validation": 0, "test": 24},
            "chosen_epoch": int(rng.integers(1, epochs + 1)) if validated else epochs,
            "uar": None if fold == -1 else summary.uar_by_fold[str(repeat)][fold],
            "test_speakers": [] if fold == -1 else [SPEAKERS[fold]],
            "mean": None,
            "std": None,
            "curve": [dataclasses.asdict(epoch) for epoch in curve],
            "wall_s": 1.0,
        }
        storage.write_bytes(join(place, "folds", name, receipts.NAME), json.dumps(receipt).encode())
    num_clips = summary.num_clips
    receipts.write(
        place,
        Receipt(
            stage="train",
            fingerprint=run.fingerprint(),
            config={"config": run.model_dump(mode="json"), "protocol": rules.model_dump(), "features": "0" * 12},
            inputs={"features": "0" * 12},
            counts={"in": num_clips, "out": num_clips * repeats, "rejected": 0},
            rejects={},
            details={
                "lake": root,
                "labels": labels,
                "metrics": summary._asdict(),
                "example_metrics": None,
                "synthetic": synthetic,
                "work_s": 12.0,
            },
            wall_s=6.0,
        ),
    )
    return place, summary
