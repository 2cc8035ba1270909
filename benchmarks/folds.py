"""A cross-validation as Ray tasks beside the same trainings in a loop, in one process: what the tasks cost.

    make bench-folds RAYSEE_REAL_DATA=/path          (with emodb/ in it)

60 folds of a debug network; one thread, one core, Ray started and its worker warm. The loop writes nothing.
"""

import argparse
import pathlib
import time

import ray
import results
import torch

from raysee import storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.run import trainings_of
from raysee.distributed.train import train
from raysee.training.fit import fit_fold
from raysee.training.inputs import find
from raysee.training.work import prepare

CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    repeats=6,
    deliver=False,
    training=TrainingConfig(epochs=1),
)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=pathlib.Path, default=pathlib.Path(".bench/lake"))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    real = results.real_data()
    root = storage.normalise(options.lake)
    manifest(root, "emodb", f"{real}/emodb")
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    extract(root, "emodb", ["logmel40"])
    torch.set_num_threads(1)
    number = len(trainings_of(CONFIG, prepare(find(root, CONFIG))[1]))

    def as_tasks() -> float:
        began = time.perf_counter()
        train(root, CONFIG, overwrite=True)
        return number * 3600 / (time.perf_counter() - began)

    def in_a_loop() -> float:
        began = time.perf_counter()
        work, folds = prepare(find(root, CONFIG))
        for fold, repeat in trainings_of(CONFIG, folds):
            fit_fold(work.config, work.clips, work.labels, fold, repeat)
        return number * 3600 / (time.perf_counter() - began)

    as_tasks()
    what, peer = f"{number} folds of aldeneh (debug, 1 epoch) on EMO-DB as Ray tasks, 1 core", "the same in a loop"
    figures = results.in_turn({what: as_tasks, peer: in_a_loop}, options.repeats)
    results.write("folds", [results.compared(what, peer, figures, unit="trainings / h", target=0.9)])


if __name__ == "__main__":
    main()
