"""What trainings would take, before any is started: their work is known, and the speed of each network is measured."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import ray
import torch

from raysee import receipts, storage
from raysee.config import RunConfig, fingerprint
from raysee.distributed.cluster import check_gpus, explained
from raysee.distributed.run import place_of, trainings_of
from raysee.errors import RayseeError, StorageError
from raysee.evaluation.folds import Fold
from raysee.models import MODELS, build, network
from raysee.progress import OnProgress, quiet
from raysee.training import finished, memory
from raysee.training.batches import Batches
from raysee.training.clips import Examples, Indices
from raysee.training.inputs import find
from raysee.training.schedule import lower_bound, makespan, rows_of
from raysee.training.store import contents, find_parts, prepare_outlined
from raysee.training.trainer import Trainer
from raysee.training.work import Work

WORKERS = (1, 8, 64)
_LONG_S = 0.5  # a measurement that is long enough


class Planned(NamedTuple):
    """A run: how many of its trainings are finished, and the seconds of each one that is missing."""

    config: RunConfig
    num_finished: int = 0
    seconds: tuple[float, ...] = ()
    seconds_a_row: float = 0.0
    remark: str = ""  # why there is no more to say
    unknown: bool = False  # the run lacks something, and its trainings are not counted


def plan(
    root: str,
    configs: Sequence[RunConfig],
    *,
    first_folds: int | None = None,
    gpus: float = 0,
    on_progress: OnProgress = quiet,
) -> list[Planned]:
    """What `train_all` would train, and how long each training takes on one of this cluster's cores or GPUs.

    Each network is timed once, over made-up values of the lengths that the clips have. Classifiers take seconds, and
    are not timed. A run that cannot be made is a remark. `on_progress` counts runs.
    Raises StorageError where the lake does not answer, ConfigurationError where a GPU is asked for and there is none.
    """
    root = storage.normalise(root)
    check_gpus(gpus)
    speeds: dict[str, float] = {}
    found = []
    for number, config in enumerate(configs):
        on_progress(number, len(configs), config.model)
        try:
            found.append(_planned(root, config, first_folds, gpus, speeds))
        except StorageError:
            raise
        except RayseeError as error:
            found.append(Planned(config, remark=str(error), unknown=True))
    return found


def as_text(planned: Sequence[Planned], gpus: float, price: float = 0) -> str:
    """A line a run, and what all take together; `price` is that of an hour of a GPU or a core."""
    worker = "GPU" if gpus else "CPU core"
    lines = []
    for one in planned:
        config, seconds = one.config, one.seconds
        said = one.remark or f"{one.num_finished} finished"
        if seconds:
            said = f"{_trainings(seconds)}, at most {_time(max(seconds))} each, {_time(sum(seconds))} together; {said}"
        lines.append(f"  {config.corpus} {config.model} {config.features} {config.protocol}: {said}")
    runs = sorted((one.seconds for one in planned if one.seconds), key=lambda its: -max(its))
    everything = [its for run in runs for its in run]
    cost = f", {price * sum(everything) / 3600:,.2f} at {price:g} an hour" if price else ""
    unknown = sum(one.unknown for one in planned)
    besides = f"; without {unknown} run{'s' * (unknown > 1)} that something is missing for" if unknown else ""
    lines.append(f"{_trainings(everything)}: {_time(sum(everything))} of one {worker}{cost}{besides}")
    for workers in WORKERS if runs else ():
        ends, least = makespan(runs, workers), lower_bound(runs, workers)
        lines.append(f"  on {workers} {worker}{'s' * (workers > 1)}: {_time(ends)}; nothing ends before {_time(least)}")
    return "\n".join(lines)


def _trainings(seconds: Sequence[float]) -> str:
    return f"{len(seconds)} training{'s' * (len(seconds) != 1)}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _planned(root: str, config: RunConfig, first_folds: int | None, gpus: float, speeds: dict[str, float]) -> Planned:
    inputs = find(root, config)
    place, identity = place_of(inputs), inputs.identity
    done = receipts.find(place, "train", fingerprint(identity), identity) is not None
    if done:
        return Planned(config, remark="finished")
    parts = find_parts(inputs)
    work, folds = prepare_outlined(inputs, parts, [contents(part) for part in parts])
    trainings = trainings_of(inputs.config, folds, first_folds)
    missing = [
        (fold, repeat)
        for fold, repeat in trainings
        if not finished.is_finished(finished.folder(place, fold.number, repeat))
    ]
    num_finished = len(trainings) - len(missing)
    if config.model not in MODELS:
        return Planned(config, num_finished, remark=f"{len(missing)} fits of a classifier" if missing else "")
    if not missing:
        return Planned(config, num_finished)
    key = _key(config)
    if key not in speeds:
        resources = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
        with explained():
            speeds[key] = ray.get(_seconds_a_row.options(**resources).remote(work, folds[-1]))
    epochs = config.training.epochs
    seconds = tuple(speeds[key] * rows_of(epochs, work.seen.length, fold) for fold, _ in missing)
    return Planned(config, num_finished, seconds, speeds[key])


def _key(config: RunConfig) -> str:
    """What the speed of a network depends on: not on the corpus."""
    training = config.training.model_dump(include={"batch_size", "optimiser", "precision", "compile"})
    return fingerprint([config.model, config.size, config.options, config.features, training])


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def _seconds_a_row(work: Work, fold: Fold) -> float:
    """Timed over two batches, of rather short and of rather long examples."""
    config, clips = work.config, work.clips
    torch.set_num_threads(1)
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    length = _typical(work.seen.length[fold.train], config.training.batch_size)
    ends = np.cumsum([0, *length.tolist()])
    everything = np.arange(len(length))
    values = torch.rand(int(ends[-1]), *clips.shape, device=device)
    spec = network(config.model)
    batches = Batches(spec, values, Examples(everything, ends[:-1], length), everything, config.training.batch_size)
    model = build(config, clips.shape, len(work.labels)).to(device)
    classes = torch.from_numpy(everything % len(work.labels)).to(device)
    trainer = Trainer(model, spec, config.training, classes, torch.ones(len(length), device=device))
    with memory.kept():
        began = time.perf_counter()
        trainer.epoch(batches)  # the first one also gets memory, compiles, and chooses kernels
        if (took := time.perf_counter() - began) > _LONG_S:
            return took / float(ends[-1])
        began, passes = time.perf_counter(), 0
        while (took := time.perf_counter() - began) < _LONG_S:
            trainer.epoch(batches)
            passes += 1
        return took / passes / float(ends[-1])


def _typical(length: Indices, batch_size: int) -> Indices:
    """Those of two batches of like lengths, at a quarter and at three quarters of all."""
    length = np.sort(length)
    if len(length) <= 2 * batch_size:
        return length
    starts = [int(share * (len(length) - batch_size)) for share in (0.25, 0.75)]
    return np.concatenate([length[start : start + batch_size] for start in starts])
