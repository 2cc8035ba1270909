"""RAVDESS as an archive of 1,440 short calls: what scoring says of unheard speakers beside the model's own evaluation.

    make bench-archive RAYSEE_REAL_DATA=/path            (with ravdess/ in it)

Some twenty minutes on 2 cores. The evaluation hears whole clips. So does scoring with --detector none, and must say the
same; by default it finds speech in them, cuts it, and takes the mean of its segments. Speakers of the validation part
alone are counted. No weight was learned from them, but their clips chose the epoch, and the default of `--room-s`.
"""

import argparse
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
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

NIGHTS = {"the night, whole clips by --detector none": "none", "the night, by call, of the speech that is found": ""}
NO_SPEECH = "no speech"


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
        said = [evaluated(trained.place)]
        for what, detector in NIGHTS.items():
            scores = str(options.lake / f"archive-{seed}-{detector or 'speech'}")
            how = everybody.model_copy(update={"detector": detector})
            (night,) = score(f"{real}/ravdess", trained.place, scores, how, date="2026-11-19")
            said.append(scored(root, night.place, said[0], what))
        its = {"seed": seed, "epochs": options.epochs}
        found += [{**row, **its} for row in rows(said)]
    results.write("archive", found)


class Said(NamedTuple):
    """What somebody says of the clips, in one order."""

    who: str
    clip_ids: list[str]
    truth: npt.NDArray[np.str_]
    labels: npt.NDArray[np.str_]
    num_speakers: int


def evaluated(trained: str) -> Said:
    """The evaluation of the training."""
    table = storage.read_table(storage.join(trained, "predictions.parquet"), schema.PREDICTIONS)
    wanted = ("clip_id", "label", "predicted", "speaker")
    clip_ids, truth, labels, speakers = (table[name].to_pylist() for name in wanted)
    return Said("the evaluation, whole clips", clip_ids, np.array(truth), np.array(labels), len(set(speakers)))


def scored(root: str, scores: str, beside: Said, who: str) -> Said:
    """A night, on the clips that were evaluated."""
    uris = dict(utterances_of(root, "ravdess").select(["clip_id", "uri"]).to_pandas().itertuples(index=False))
    calls = batches.read(scores, "calls", schema.CALLS)
    calls = calls.filter(calls["scored"])
    heard = dict(zip(calls["uri"].to_pylist(), calls["label"].to_pylist(), strict=True))
    assert len(heard) == calls.num_rows
    return beside._replace(who=who, labels=np.array([heard[uris[clip]] or NO_SPEECH for clip in beside.clip_ids]))


def rows(said: Sequence[Said]) -> list[dict[str, object]]:
    """UAR by clip of each, and how many clips each night says the same of as the evaluation, which is the first."""
    evaluation, found = said[0], []
    for one in said:
        shown = {"unit": "%", "clips": len(one.truth), "speakers": one.num_speakers}
        uar = results.percent(balanced_accuracy_score(one.truth, one.labels))
        row = {"what": f"UAR of {one.who}", "value": uar, **shown}
        if one is not evaluation:
            row["remark"] = f"{int((one.labels == NO_SPEECH).sum())} without speech, which count as wrong"
            row["says the same"] = results.percent(float((one.labels == evaluation.labels).mean()))
        found.append(row)
    return found


if __name__ == "__main__":
    main()
