"""Aldeneh's network on EMO-DB's log-mels, under `paper` and under `strict`, beside the published figure.

    make bench-emodb RAYSEE_REAL_DATA=/path          (with emodb/ in it)

About an hour and a half on 2 cores; what is finished is kept in .bench/ and not trained again.
"""

import argparse
import pathlib
from typing import Any

import results

from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.train import train
from raysee.receipts import Receipt

#: The paper's figure (Keesing et al. 2020, Table 3, A1), and what an independent implementation of it gave.
PUBLISHED, INDEPENDENT = 73.2, 76.7
FOUR = ("anger", "happiness", "neutral", "sadness")
INDEPENDENT_FOUR = 82.3


def main() -> None:
    """Train what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    options = parser.parse_args()
    real = results.real_data()
    lake = str(options.lake)
    manifest(lake, "emodb", f"{real}/emodb")
    extract(lake, "emodb", ["logmel40"])

    def run(protocol: str, repeats: int, labels: tuple[str, ...] = ()) -> Receipt:
        config = RunConfig(
            corpora=("emodb",),
            features="logmel40",
            model="aldeneh",
            protocol=protocol,
            labels=labels,
            repeats=repeats,
            training=TrainingConfig(precision=options.precision),
        )
        print(f"{protocol}, {repeats} repeats, {len(labels) or 7} classes", flush=True)
        return train(lake, config, on_progress=lambda done, total, remark: print(f"  {done}/{total} {remark}")).receipt

    results.write(
        "emodb",
        [
            row(run("paper", options.repeats), INDEPENDENT, published=PUBLISHED),
            row(run("strict", options.repeats), None),
            row(run("paper", 1, FOUR), INDEPENDENT_FOUR),
        ],
    )


def row(receipt: Receipt, target: float | None, **more: Any) -> dict[str, Any]:
    """A row of a run's UAR in per cent, by fold too."""
    figures, run = receipt.details["metrics"], receipt.config["config"]
    means = [100 * sum(folds) / len(folds) for folds in figures["uar_by_fold"].values()]
    return {
        "what": f"EMO-DB, {len(receipt.details['labels'])} classes, aldeneh on logmel40, protocol {run['protocol']}, "
        f"{run['training']['epochs']} epochs, {run['repeats']} repeats, {run['training']['precision']}",
        "value": round(100 * figures["uar_mean_of_folds"], 1),
        "unit": "% UAR, mean of folds",
        "spread": [round(min(means), 1), round(max(means), 1)],
        "target": target,
        **more,
        "pooled": round(100 * figures["uar_pooled"], 1),
        "accuracy": round(100 * figures["accuracy"], 1),
        "speakers": figures["num_speakers"],
        "clips": figures["num_clips"],
        "chance": round(100 * figures["chance"], 1),
        "uar_by_fold": {
            repeat: [round(100 * uar, 1) for uar in folds] for repeat, folds in figures["uar_by_fold"].items()
        },
        "training_s": round(receipt.details["work_s"]),
        "fingerprint": receipt.fingerprint,
    }


if __name__ == "__main__":
    main()
