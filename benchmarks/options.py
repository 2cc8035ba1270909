"""What mixed precision and torch.compile do to UAR, beside what another seed does to it.

    make bench-options RAYSEE_REAL_DATA=/path          (with emodb/ in it; torch.compile needs g++)

What is finished is kept in .bench/ and not trained again.
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

#: Option -> what is given to the training; the first one is what the others are compared with.
OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    "torch.compile": {"compile": "default"},
}


def main() -> None:
    """Train what is missing, and write a row an option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    lake = str(options.lake)
    manifest(lake, "emodb", f"{results.real_data()}/emodb")
    extract(lake, "emodb", ["logmel40"])

    def run(option: str) -> Receipt:
        config = RunConfig(
            corpora=("emodb",),
            features="logmel40",
            model="aldeneh",
            size="debug",
            protocol="paper",
            repeats=options.repeats,
            training=TrainingConfig(epochs=options.epochs, learning_rate=1e-3, **OPTIONS[option]),
        )
        print(option, flush=True)
        return train(
            lake, config, on_progress=lambda done, total, remark: print(f"  {done}/{total} {remark}", flush=True)
        ).receipt

    made = {option: run(option) for option in OPTIONS}
    results.write("options", [row(option, made) for option in made])


def row(option: str, made: dict[str, Receipt]) -> dict[str, Any]:
    """An option's UAR in per cent; wanted is a difference that is no larger than what float32's repeats differ in."""
    config = made[option].config["config"]
    its, plain = (by_repeat(made[name]) for name in (option, next(iter(OPTIONS))))
    return {
        "what": f"EMO-DB, aldeneh of debug size on logmel40, protocol paper, {config['training']['epochs']} epochs, "
        f"{config['repeats']} repeats: {option}",
        "value": round(sum(its) / len(its), 1),
        "unit": "% UAR, mean of folds",
        "spread": [round(min(its), 1), round(max(its), 1)],
        "difference": round(sum(its) / len(its) - sum(plain) / len(plain), 2),
        "target": round(max(plain) - min(plain), 2),
        "training_s": round(made[option].details["work_s"]),
    }


def by_repeat(receipt: Receipt) -> list[float]:
    """UAR in per cent, the mean of each repeat's folds."""
    return [100 * sum(folds) / len(folds) for folds in receipt.details["metrics"]["uar_by_fold"].values()]


if __name__ == "__main__":
    main()
