"""Models of clean and of telephone sound on EMO-DB, each on unheard speakers, clean and through each codec.

    make bench-telephone RAYSEE_REAL_DATA=/path          (with emodb/ in it)

Hours of a core, nearly all of them Aldeneh's network (--epochs). Each fold's model of a cross-validation under `strict`
answers for its test speakers in all conditions; the one of telephone sound heard every training clip through one codec
by chance.
"""

import argparse
import dataclasses
import pathlib
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import results
import torch

from raysee import storage
from raysee.audio.decode import decode
from raysee.audio.resample import mono, resample
from raysee.audio.telephone import CODECS, through
from raysee.config import Channel, RunConfig
from raysee.corpora.manifest import manifest, utterances_of
from raysee.distributed.extract import extract
from raysee.distributed.run import trainings_of
from raysee.evaluation.compare import compare
from raysee.evaluation.metrics import Summary, summarise
from raysee.features import front_end
from raysee.models import build, network, published
from raysee.training.clips import Array, Clips, Indices
from raysee.training.fit import FoldResult, fit_fold
from raysee.training.inputs import find
from raysee.training.predict import predict_clips
from raysee.training.predictions import predictions
from raysee.training.work import prepare

MODELS = {"mlp-standardised": "summary180", "aldeneh": "logmel40"}  # and what they are trained on


def main() -> None:
    """Train, test in all conditions, and write a row a model and condition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--epochs", type=int, help="of Aldeneh's network; by default as published, 50")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    options = parser.parse_args()
    real = results.real_data()
    torch.set_num_threads(1)
    root = storage.normalise(options.lake)
    manifest(root, "emodb", f"{real}/emodb")
    rows = []
    for model in options.models:
        features = MODELS[model]
        training = published(model)[1]
        if model == "aldeneh" and options.epochs:
            training = training.model_copy(update={"epochs": options.epochs})
        config = RunConfig(corpora=("emodb",), features=features, model=model, deliver=False, training=training)
        rows += in_all_conditions(root, config)
    results.write("telephone", rows, keep=True)


def in_all_conditions(root: str, config: RunConfig) -> list[dict[str, Any]]:
    """A row for each kind of sound that the model is trained on, and each that it is tested on."""
    said: dict[str, dict[str, tuple[pa.Table, Summary]]] = {}
    conditions: dict[str, Clips] = {}
    for channel in get_args(Channel):
        extract(root, "emodb", [config.features], channel=channel)
        its = config.model_copy(update={"channel": channel})
        conditions = conditions or heard(root, config.features, prepare(find(root, its))[0].clips)
        print(f"{config.model}, trained on {channel} sound", flush=True)
        said[channel] = cross_validated(root, its, conditions)
    return [row(config, said, channel, tested) for channel in said for tested in conditions]


def heard(root: str, features: str, clean: Clips) -> dict[str, Clips]:
    """All clips in each condition: as they were recorded, and through each codec."""
    make, found = front_end(features), {name: [] for name in CODECS}
    uris = dict(utterances_of(root, "emodb").select(["clip_id", "uri"]).to_pandas().itertuples(index=False))
    for data in storage.read_each([uris[clip_id] for clip_id in clean.clip_ids]):
        audio = decode(data)
        samples = resample(mono(audio), audio.sample_rate_hz, make.sample_rate_hz)
        for name, arrays in found.items():
            arrays.append(make(through(samples, make.sample_rate_hz, name)))
    coded = {name: dataclasses.replace(clean, values=np.concatenate(arrays)) for name, arrays in found.items()}
    return {"clean": clean, **coded}


def cross_validated(root: str, config: RunConfig, conditions: dict[str, Clips]) -> dict[str, tuple[pa.Table, Summary]]:
    """By condition what the folds' models say of their test speakers (schema.PREDICTIONS), and its figures."""
    work, folds = prepare(find(root, config))
    tables: dict[str, list[pa.Table]] = {name: [] for name in conditions}
    for fold, repeat in trainings_of(config, folds):
        fitted = fit_fold(config, work.clips, work.labels, fold, repeat)
        for name, clips in conditions.items():
            tested = dataclasses.replace(fitted, probabilities=answers(config, fitted, work.labels, clips, fold.test))
            tables[name].append(predictions(config, clips, work.seen, work.labels, fold, tested))
    joined = {name: pa.concat_tables(its) for name, its in tables.items()}
    return {name: (table, summarise(table, work.labels)) for name, table in joined.items()}


def answers(config: RunConfig, fitted: FoldResult, labels: list[str], clips: Clips, test: Indices) -> Array:
    """The probabilities (num_clips, num_labels) that a fold's model gives to the clips `test`."""
    assert fitted.statistics is not None  # as `strict` has it
    model = build(config, clips.shape, len(labels))
    model.load_state_dict(fitted.weights)
    return predict_clips(
        model,
        network(config.model),
        [fitted.statistics.apply(clips.array(clip)) for clip in test.tolist()],
        batch_size=config.training.batch_size,
        hop_ms=config.hop_ms,
        aggregation=config.aggregation,
    )


def row(
    config: RunConfig, said: dict[str, dict[str, tuple[pa.Table, Summary]]], channel: str, tested: str
) -> dict[str, Any]:
    """The figures of a model in a condition, in per cent and points; those of telephone sound beside the clean ones."""
    table, figures = said[channel][tested]
    beside = {}
    if channel != "clean":
        found = compare(said["clean"][tested][0], table)
        beside = {
            "trained_clean": results.percent(found.first_uar),
            "gain": results.percent(found.difference),
            "gain_spread": [results.percent(end) for end in found.interval],
            "p": found.p_value,
        }
    return {
        "what": f"EMO-DB, {config.model} on {config.features}, strict, trained on {channel} sound, tested on {tested}",
        "value": results.percent(figures.uar_pooled),
        "unit": "% UAR, pooled",
        "spread": [results.percent(end) for end in figures.uar_interval],
        **beside,
        "chance": results.percent(figures.chance),
        "speakers": figures.num_speakers,
        "clips": figures.num_clips,
        "epochs": config.training.epochs,
        "repeats": len(figures.uar_by_fold),
    }


if __name__ == "__main__":
    main()
