"""What a search is worth on speakers that it has not heard, and what Ray Tune costs.

    make bench-tune RAYSEE_REAL_DATA=/path          (with emodb/ in it)

The MLP on 180 means of EMO-DB: a nested search in its space, tuned beside untuned on the outer folds. Then the trials
of one search again, through Ray Tune and as a plain loop over the same configurations and folds in one process, one at
a time. Under an hour on 2 cores; finished trials are kept in .bench/lake and not made again.
"""

import argparse
import itertools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import ray
import results
import torch
from ray.util import placement_group, remove_placement_group

from raysee import storage
from raysee.config import RunConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.cluster import connect
from raysee.distributed.extract import extract
from raysee.distributed.search import Plan, Progress, search
from raysee.distributed.tune import tune
from raysee.lock import Lock
from raysee.models import published
from raysee.models.spaces import Space, space_of
from raysee.progress import quiet
from raysee.receipts import Receipt
from raysee.storage import join
from raysee.training import tuning
from raysee.training.inputs import find
from raysee.training.tuning import Material, Trial, read_trials

MODEL, FEATURES = "mlp-standardised", "summary180"
OUTER = 5


def main() -> None:
    """Search, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--trials", type=int, default=20, help="in each of the six searches; 0: only the overhead")
    parser.add_argument("--overhead-trials", type=int, default=8)
    parser.add_argument("--overhead-epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    real = results.real_data()
    torch.set_num_threads(1)
    lake = storage.normalise(options.lake)
    manifest(lake, "emodb", f"{real}/emodb")
    extract(lake, "emodb", [FEATURES])
    config = RunConfig(corpora=("emodb",), features=FEATURES, model=MODEL, training=published(MODEL)[1])
    rows = []
    if options.trials:
        stage = tune(
            lake,
            config,
            space_of(MODEL, "published"),
            trials=options.trials,
            outer=OUTER,
            on_progress=lambda done, total, remark: print(f"  {done}/{total} {remark}", flush=True),
        )
        rows += outer_rows(stage.receipt, stage.place)
    rows += overhead(lake, config, options.overhead_trials, options.overhead_epochs, options.repeats)
    results.write("tune", rows)


def outer_rows(receipt: Receipt, place: str) -> list[dict[str, Any]]:
    """Tuned beside untuned on the outer folds, in per cent, and what the searches thought of themselves."""
    details = receipt.details
    found, tuned = details["comparison"], details["metrics"]
    trials = [trial for name in details["searches"] for trial in read_trials(join(place, "folds", name))]
    believed = [Trial.model_validate(one).uar or 0.0 for one in details["chosen"][:-1]]
    return [
        {
            "what": f"EMO-DB, {MODEL} on {FEATURES}, tuned by {receipt.config['trials']} trials, {OUTER} outer folds",
            "value": results.percent(found["second_uar"]),
            "unit": "% UAR, pooled",
            "spread": [results.percent(end) for end in tuned["uar_interval"]],
            "peer": "untuned, on the same folds",
            "peer_value": results.percent(found["first_uar"]),
            "peer_spread": [results.percent(end) for end in details["untuned_metrics"]["uar_interval"]],
            "ratio": round(found["second_uar"] / found["first_uar"], 3),
            "difference": results.percent(found["difference"]),
            "difference_spread": [results.percent(end) for end in found["interval"]],
            "p": round(found["p_value"], 4),
            "speakers": found["num_speakers"],
            "clips": found["num_clips"],
            "believed": [results.percent(one) for one in believed],
            "trials": {status: sum(one.status == status for one in trials) for status in ("finished", "stopped")},
            "failed": sum(one.status == "failed" for one in trials),
            "training_s": round(sum(one.wall_s for one in trials)),
            "wall_s": round(receipt.wall_s),
            "fingerprint": receipt.fingerprint,
        }
    ]


def overhead(lake: str, config: RunConfig, trials: int, epochs: int, repeats: int) -> list[dict[str, Any]]:
    """Milliseconds of a trial through Ray Tune on one core and of the same folds in a plain loop, in turns."""
    config = config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
    space = {name: one for name, one in space_of(MODEL, "published").items() if name != "training.epochs"}
    material = tuning.gather([find(lake, config)])
    connect()
    # All cores but one are kept from Ray Tune, so that a trial has the machine to itself, as in the loop.
    idle = placement_group([{"CPU": ray.cluster_resources()["CPU"] - 1}])
    ray.get(idle.ready())
    by_tune, plain, around = [], [], []
    for repeat in range(repeats):
        made, wall_s = through_tune(config, space, trials, material)
        between_s = made[-1].elapsed_s - made[0].elapsed_s
        by_tune.append(1000 * between_s / (len(made) - 1))
        plain.append(1000 * in_a_loop(config, made[1:], material) / (len(made) - 1))
        around.append(wall_s - between_s - made[0].wall_s)
        print(f"  {repeat + 1}/{repeats} {by_tune[-1]:.0f} ms, {plain[-1]:.0f} ms in a loop; {around[-1]:.1f} s around")
    remove_placement_group(idle)
    work = f"a trial of {MODEL}, {epochs} epochs in up to {tuning.num_search_folds(material)} folds, on one core"
    pairs = list(zip(by_tune, plain, strict=True))
    return [
        {
            **summed(f"{work}, through Ray Tune", by_tune, "ms"),
            "peer": "plain loop in one process",
            "peer_value": round(statistics.median(plain), 1),
            "peer_spread": [round(min(plain), 1), round(max(plain), 1)],
            "ratio": round(statistics.median(one / other for one, other in pairs), 3),
            "trials": trials,
        },
        summed("what Ray Tune adds to that trial", [one - other for one, other in pairs], "ms"),
        summed("what Ray Tune adds to a search: its workers start and end", around, "s"),
    ]


def through_tune(config: RunConfig, space: Space, trials: int, material: Material) -> tuple[list[Trial], float]:
    """The trials of a search, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        place = storage.normalise(folder)
        with Lock(place) as lock:
            plan = Plan(place, config, space, trials, None, 0, lock)
            began = time.perf_counter()
            search(plan, "one", material, Progress(quiet, trials))
            return read_trials(join(place, "folds", "one")), time.perf_counter() - began


def in_a_loop(config: RunConfig, trials: Sequence[Trial], material: Material) -> float:
    """Seconds of the same configurations on the same folds."""
    began = time.perf_counter()
    for trial in trials:
        for _ in itertools.islice(tuning.scores(material, config, trial.point), len(trial.folds)):
            pass
    return time.perf_counter() - began


def summed(what: str, figures: Sequence[float], unit: str) -> dict[str, Any]:
    """A row without a peer: median and spread."""
    return {
        "what": what,
        "value": round(statistics.median(figures), 1),
        "unit": unit,
        "spread": [round(min(figures), 1), round(max(figures), 1)],
    }


if __name__ == "__main__":
    main()
