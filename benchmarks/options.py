"""What mixed precision, torch.compile and CUDA graphs do to the UAR, beside what another seed does to it.

    make bench-options RAYSEE_REAL_DATA=/path          (with emodb/ in it)

EMO-DB, protocol `paper`. A row says how long the same trainings took, compiling included. Some hours on one core, of
which --networks and --options choose; what is finished is kept in .bench/lake and not trained again.
"""

import argparse
import pathlib
import statistics
from typing import Any

import results
import torch

from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.train import train
from raysee.receipts import Receipt

#: Network, features, epochs. Compiled again for every length of a batch, networks of whole clips compile for minutes.
NETWORKS = {"stanford-r2": ("chunks64", 40), "mlp-standardised": ("summary180", 100), "aldeneh": ("logmel40", 15)}
OPTIONS = {
    "bfloat16": {"precision": "bfloat16"},
    "compile": {"compile": "default"},
    "cuda-graphs": {"compile": "cuda-graphs"},
}


def main() -> None:
    """Train what is missing and write a row a network and option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--options", nargs="*", default=["bfloat16", "compile"])
    options = parser.parse_args()
    gpu = torch.cuda.is_available()
    lake = str(options.lake)
    manifest(lake, "emodb", f"{results.real_data()}/emodb")
    extract(lake, "emodb", sorted({NETWORKS[name][0] for name in options.networks}))

    def run(name: str, how: dict[str, Any]) -> Receipt:
        features, epochs = NETWORKS[name]
        config = RunConfig(
            corpora=("emodb",),
            features=features,
            model=name,
            size="published" if gpu else "debug",
            protocol="paper",
            repeats=options.repeats,
            deliver=False,
            training=TrainingConfig(epochs=epochs, **how),
        )
        print(f"{name}, {how or 'float32'}", flush=True)
        return train(
            lake,
            config,
            gpus=float(gpu),
            on_progress=lambda done, total, remark: print(f"  {done}/{total} {remark}", flush=True),
        ).receipt

    rows = []
    for name in options.networks:
        plain = run(name, {})
        rows += [row(f"{name}, {option}", run(name, OPTIONS[option]), plain) for option in options.options]
    results.write("options.gpu" if gpu else "options", rows, keep=True)


def row(what: str, with_it: Receipt, plain: Receipt) -> dict[str, Any]:
    """The median UAR of the repeats, and how far it moved beside the distance of the best repeat from the worst."""
    ours, theirs = (
        [100 * statistics.mean(folds) for folds in receipt.details["metrics"]["uar_by_fold"].values()]
        for receipt in (with_it, plain)
    )
    moved = statistics.median(ours) - statistics.median(theirs)
    run = with_it.config["config"]
    return {
        "what": f"{what}, {run['size']} size, {run['training']['epochs']} epochs, EMO-DB",
        "value": round(statistics.median(ours), 1),
        "unit": f"% UAR, median of {len(ours)} repeats",
        "spread": [round(min(ours), 1), round(max(ours), 1)],
        "float32": round(statistics.median(theirs), 1),
        "float32_spread": [round(min(theirs), 1), round(max(theirs), 1)],
        "moved": round(moved, 1),
        "target": "moved no further than two repeats of float32 are apart",
        "seconds": round(with_it.details["work_s"]),
        "float32_seconds": round(plain.details["work_s"]),
    }


if __name__ == "__main__":
    main()
