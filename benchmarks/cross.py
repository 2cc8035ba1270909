"""Models of EMO-DB on RAVDESS and the other way round, on real recordings, beside each corpus within itself.

    make bench-cross RAYSEE_REAL_DATA=/path          (with emodb/ and ravdess/ in it)

mlp-standardised takes minutes and is standardised in all three ways; aldeneh takes hours on 2 cores, --epochs says how
many. What is finished is kept in .bench/lake and not trained again; --table-only writes what there is.
"""

import argparse
import pathlib
from typing import Any

import results

from raysee import receipts, schema, storage
from raysee.config import RunConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.cross import CELLS, cross, plan
from raysee.models import published

CORPORA = ["emodb", "ravdess"]
SCHEMES = ("big6+neutral", "iemocap4")  # the 6 classes that both have, and 4
#: Model, features, protocols.
PARTS = {
    "mlp-standardised": ("summary180", ("cross-corpus", "cross-corpus-by-corpus", "cross-corpus-by-speaker")),
    "aldeneh": ("logmel40", ("cross-corpus-by-corpus",)),
}


def main() -> None:
    """Train what is missing, and write a row a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--only", choices=list(PARTS), help="train this model only; all that is finished is written")
    parser.add_argument("--epochs", type=int, default=15, help="of aldeneh")
    parser.add_argument("--table-only", action="store_true")
    options = parser.parse_args()
    root = storage.normalise(options.lake)
    if not options.table_only:
        real = results.real_data()
        for corpus in CORPORA:
            manifest(root, corpus, f"{real}/{corpus}")
    rows = []
    for model in PARTS:
        for config in configs(model, options.epochs):
            if not options.table_only and options.only in (None, model):
                print(f"{model}, {config.scheme}, {config.protocol}", flush=True)
                cross(
                    root,
                    plan([], [], [], CORPORA),
                    config,
                    on_progress=lambda done, total, remark: print(f"  {done}/{total} {remark}", flush=True),
                )
            rows += [row(cell) for cell in finished(root, config) if cell["uar"] is not None]
    results.write("cross", rows)


def configs(model: str, epochs: int) -> list[RunConfig]:
    """The matrices of a model, by scheme and protocol."""
    features, protocols = PARTS[model]
    training = published(model)[1]
    if model == "aldeneh":
        training = training.model_copy(update={"epochs": epochs})
    return [
        RunConfig(
            corpora=tuple(CORPORA),
            features=features,
            model=model,
            protocol=protocol,
            scheme=scheme,
            deliver=False,
            training=training,
        )
        for scheme in SCHEMES
        for protocol in protocols
    ]


def finished(root: str, config: RunConfig) -> list[dict[str, Any]]:
    """The cells (schema.CROSSINGS) of the newest finished matrix of `config`; none where there is none."""
    places = [storage.join(root, "cross", name) for name in storage.names(storage.join(root, "cross"))]
    found = [
        (receipt.written_at, place)
        for place in places
        if (receipt := receipts.read(place))
        and receipt.config["kind"] == "matrix"
        and receipt.config["config"] == config.model_dump(mode="json")
    ]
    if not found:
        return []
    cells: list[dict[str, Any]] = storage.read_table(storage.join(max(found)[1], CELLS), schema.CROSSINGS).to_pylist()
    return cells


def row(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell, in per cent and points."""
    return {
        "what": f"{'+'.join(cell['trained_on'])} -> {cell['tested']}, {len(cell['classes'])} classes of "
        f"{cell['scheme']}, {cell['model']} on {cell['features']}, {cell['protocol']}",
        "value": results.percent(cell["uar"]),
        "unit": "% UAR, pooled",
        "spread": [results.percent(cell["low"]), results.percent(cell["high"])],
        "within": results.percent(cell["within"]),
        "within_spread": [results.percent(cell["within_low"]), results.percent(cell["within_high"])],
        "gap": results.percent(cell["gap"]),
        "gap_spread": [results.percent(cell["gap_low"]), results.percent(cell["gap_high"])],
        "p": cell["p_value"],
        "chance": results.percent(cell["chance"]),
        "protocol": cell["protocol"],
        "epochs": cell["epochs"],
        "speakers": cell["num_speakers"],
        "clips": cell["num_clips"],
        "training_s": round(cell["training_s"], 1),
        "remark": cell["remark"],
    }


if __name__ == "__main__":
    main()
