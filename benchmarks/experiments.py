"""The experiments of the literature on real recordings, as far as 2 cores get within some hours, beside their figures.

    make bench-experiments RAYSEE_REAL_DATA=/path          (with emodb/ and ravdess/ in it; IS09 needs raysee[is09])

What is finished is kept in .bench/lake and not trained again; --table-only writes what there is.
"""

import argparse
import pathlib
from typing import Any

import results

from raysee import storage
from raysee.corpora.manifest import manifest
from raysee.distributed.reproduce import left_out, reproduce
from raysee.experiments import Choice, experiment
from raysee.experiments.table import Line
from raysee.report.experiment import write_experiment


def _badshah(protocol: str, seed: int = 0) -> Choice:
    return Choice(columns=("fresh",), protocol=protocol, seed=seed, precision="bfloat16")


#: S4 was not trained: by `--plan` it takes twice as long as all the others together.
_ALL_BUT_S4 = tuple(column for column in experiment("stanford2015").columns if column != "S4")

#: Experiment, what is chosen of it, its corpora, and how many folds; None: all.
PARTS: list[tuple[str, Choice, tuple[str, ...], int | None]] = [
    # The MLP's features are not scaled: another processor is worth several points.
    ("mlp-vs-cnn", Choice(columns=("MLP", "MLP-standardised")), ("ravdess",), None),
    ("mlp-vs-cnn", Choice(columns=("CNN",), protocol="mlp-vs-cnn"), ("ravdess",), None),
    ("keesing2020", Choice(columns=("SVM", "SVM-nested")), ("emodb", "ravdess"), None),
    ("stanford2015", Choice(columns=_ALL_BUT_S4, epochs=40), ("emodb",), None),
    ("alexnet-ravdess", Choice(columns=("windows",), hop_ms=500), ("ravdess",), None),
    ("keesing2020", Choice(columns=("A1",), repeats=1, precision="bfloat16"), ("ravdess",), None),
    ("keesing2020", Choice(columns=("L",), repeats=1, precision="bfloat16"), ("emodb",), None),
    ("badshah2017", _badshah("badshah2017-spectrogram"), ("emodb",), 1),
    # With the first seed it dies in the second pass, and answers by how frequent classes are for good.
    ("badshah2017", _badshah("badshah2017", seed=1), ("emodb",), 1),
    ("badshah2017", _badshah("badshah2017-speaker"), ("emodb",), 1),
    ("keesing2020", Choice(columns=("O",), repeats=1, precision="bfloat16"), ("emodb",), None),
]


def main() -> None:
    """Train what is missing, and write a row a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--table-only", action="store_true")
    options = parser.parse_args()
    real = results.real_data()
    root = storage.normalise(options.lake)
    for corpus in ("emodb", "ravdess"):
        manifest(root, corpus, f"{real}/{corpus}")
    rows = []
    for name, choice, corpora, first_folds in PARTS:
        print(f"{name}, {', '.join(choice.columns)}", flush=True)
        lines = reproduce(
            root,
            name,
            choice,
            corpora=corpora,
            train_missing=not options.table_only,
            first_folds=first_folds,
            on_progress=lambda done, total, remark: print(f"  {done}/{total} {remark}", flush=True),
        )
        page = storage.join(root, "experiments", f"{name}-{choice.columns[0]}.html")
        write_experiment(root, name, lines, page, left_out=left_out(root, name, corpora))
        rows += [row(name, line) for line in lines if line.value is not None]
    results.write("experiments", rows, keep=True)


def row(name: str, line: Line) -> dict[str, Any]:
    """A figure, in per cent or in seconds."""
    assert line.value is not None
    factor = 1 if line.in_seconds else 100
    figures = {"published": line.claim.published, "pooled": line.value.pooled}
    spread = [line.value.low, line.value.high] if line.value.low is not None else None
    return {
        "what": f"{experiment(name).source}: {line.claim.what}, {line.config.corpus}",
        "value": round(factor * line.value.value, 1),
        "unit": "s" if line.in_seconds else f"% {line.claim.figure}",
        **{key: None if value is None else round(factor * value, 1) for key, value in figures.items()},
        "spread": spread and [round(factor * (one or 0.0), 1) for one in spread],
        "protocol": line.config.protocol,
        "epochs": line.config.training.epochs,
        "precision": line.config.training.precision,
        "repeats": line.config.repeats,
        "seed": line.config.training.seed,
        "trainings": line.num_trainings,
        "remark": ", ".join(filter(None, [line.remark, line.incomparable])),
    }


if __name__ == "__main__":
    main()
