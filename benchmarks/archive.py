"""RAVDESS as an archive of 1,440 short calls: what scoring says of unheard speakers beside the model's own evaluation.

    make bench-archive RAYSEE_REAL_DATA=/path            (with ravdess/ in it)

Some ten minutes on 2 cores. The evaluation hears whole clips; scoring finds speech in them, cuts it, and takes the mean
of its segments. Speakers of the validation part alone are counted. No weight was learned from them, but their clips
chose the epoch, and the default of `--room-s`.
"""

import argparse
import pathlib

import numpy as np
import results
from sklearn.metrics import balanced_accuracy_score

from raysee import schema, storage
from raysee.config import RunConfig, ScoreConfig
from raysee.corpora.manifest import manifest, utterances_of
from raysee.distributed.extract import extract
from raysee.distributed.large import train_large
from raysee.distributed.score import score
from raysee.models import published
from raysee.scoring import batches


def main() -> None:
    """Train, score, and compare by clip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="each a training; speakers stay")
    options = parser.parse_args()
    real = results.real_data()
    root = storage.normalise(options.lake)
    manifest(root, "ravdess", f"{real}/ravdess")
    extract(root, "ravdess", ["logmel40"])
    everybody = ScoreConfig(channels=(("caller",), ("caller", "unknown")))
    found = []
    for seed in options.seeds:
        training = published("aldeneh")[1].model_copy(update={"epochs": options.epochs, "seed": seed})
        config = RunConfig(corpora=("ravdess",), features="logmel40", model="aldeneh", training=training)
        trained = train_large(root, config, workers=(1, 2))
        scores = str(options.lake / f"archive-{seed}")
        (night,) = score(f"{real}/ravdess", trained.place, scores, everybody, date="2026-11-19")
        its = {"seed": seed, "epochs": options.epochs}
        found += [{**row, **its} for row in rows(root, trained.place, night.place)]
    results.write("archive", found)


def rows(root: str, trained: str, scores: str) -> list[dict[str, object]]:
    """UAR by clip of the evaluation and of scoring, on the same clips of the same speakers."""
    evaluated = storage.read_table(storage.join(trained, "predictions.parquet"), schema.PREDICTIONS)
    clips = dict(utterances_of(root, "ravdess").select(["clip_id", "uri"]).to_pandas().itertuples(index=False))
    calls = batches.read(scores, "calls", schema.CALLS)
    calls = calls.filter(calls["scored"])
    heard = dict(zip(calls["uri"].to_pylist(), calls["label"].to_pylist(), strict=True))
    assert len(heard) == calls.num_rows
    truth = np.array(evaluated["label"].to_pylist())
    whole = np.array(evaluated["predicted"].to_pylist())
    scored = np.array([heard[clips[clip]] or "no speech" for clip in evaluated["clip_id"].to_pylist()])
    silent = int((scored == "no speech").sum())
    shown = {"unit": "%", "clips": len(truth), "speakers": len(evaluated["speaker"].unique())}
    return [
        {
            "what": "UAR of the evaluation, whole clips",
            "value": percent(balanced_accuracy_score(truth, whole)),
            **shown,
        },
        {
            "what": "UAR of the night, by call",
            "value": percent(balanced_accuracy_score(truth, scored)),
            **shown,
            "remark": f"{silent} without speech, which count as wrong",
        },
        {"what": "clips of which both say the same", "value": percent(float((whole == scored).mean())), **shown},
    ]


def percent(share: float) -> float:
    """With one decimal."""
    return round(100 * share, 1)


if __name__ == "__main__":
    main()
