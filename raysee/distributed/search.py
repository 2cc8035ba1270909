"""One search by Ray Tune: what proposes is Optuna's TPE, what stops is ASHA, what remembers are receipts.

Nothing of Ray Tune's own state is kept: it is pickled, and a restart would have to unpickle it. A finished trial is a
JSON file; a restart tells the sampler and the scheduler of those that are there and makes the trials that are missing.
"""

import contextlib
import logging
import os
import pathlib
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import optuna
import ray
import torch
from ray import tune as ray_tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from raysee import storage
from raysee.config import RunConfig
from raysee.distributed import metrics
from raysee.distributed.cluster import explained, num_workers
from raysee.errors import RayseeError
from raysee.lock import Lock
from raysee.models.spaces import Point, Space, point_of
from raysee.progress import OnProgress
from raysee.storage import join
from raysee.training import tuning
from raysee.training.tuning import Material, Trial, read_trials, trial_place

# Half of the trials end after two folds, half of the others after four, and so on.
_GRACE_FOLDS, _REDUCTION = 2, 2
_FOLD, _UAR = "fold", "uar"


class Plan(NamedTuple):
    """What all searches of a tuning share."""

    place: str
    config: RunConfig  # the untuned one
    space: Space
    trials: int
    budget_s: float | None  # of a search, over all starts
    gpus: float  # of a trial
    lock: Lock  # of the place


@dataclass
class Progress:
    """How many trials and outer trainings are done."""

    tell: OnProgress
    total: int
    done: int = 0

    def add(self, number: int, remark: str) -> None:
        self.done += number
        self.tell(self.done, self.total, remark)


def search(plan: Plan, name: str, material: Material, progress: Progress) -> list[Trial]:
    """Make the trials that a search still lacks, and return those with all folds, the best first.

    A search that has chosen does nothing. Raises RayseeError where no trial went over all folds, or where another
    start has taken over.
    """
    place = join(plan.place, "folds", name)
    uri = join(place, "chosen.json")
    num_folds = tuning.num_search_folds(material)
    done = read_trials(place)
    if storage.exists(uri):
        progress.add(plan.trials, name)
        return tuning.ranked(done, num_folds)
    progress.add(len(done), name)
    book = _Book(plan, place, done, num_folds, progress)
    if len(done) < plan.trials and (plan.budget_s is None or book.left_s > 0):
        with explained(), _stopped_by_ctrl_c(book):
            _run(plan, material, done, num_folds, book)
        if book.problem is not None:
            raise book.problem
        done = read_trials(place)
    if len(done) < plan.trials and (plan.budget_s is None or book.left_s > 0):
        raise RayseeError(
            f"The search in {place} ended after {len(done)} of {plan.trials} trials: start the same command again, "
            "what is finished is kept."
        )
    best = tuning.ranked(done, num_folds)
    storage.write_bytes(uri, (best[0].model_dump_json(indent=2) + "\n").encode())
    progress.add(plan.trials - len(done), name)
    return best


class _Book(ray_tune.Callback, ray_tune.Stopper):  # type: ignore[misc]
    """Writes the receipt of each trial when it ends, and stops all of them where that cannot be."""

    def __init__(self, plan: Plan, place: str, done: Sequence[Trial], num_folds: int, progress: Progress) -> None:
        self._plan, self._place, self._num_folds, self._progress = plan, place, num_folds, progress
        self._next = max((trial.number for trial in done), default=-1) + 1
        self._before_s = max((trial.elapsed_s for trial in done), default=0.0)
        self._began = time.monotonic()
        self._written: set[str] = set()
        self.problem: RayseeError | KeyboardInterrupt | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray Tune pickles all that it is given, for a restart that is not ours; a progress bar cannot be

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.problem is not None

    @property
    def left_s(self) -> float:
        """Of the budget; without one there is always time."""
        return np.inf if self._plan.budget_s is None else self._plan.budget_s - self._elapsed_s

    @property
    def _elapsed_s(self) -> float:
        return self._before_s + time.monotonic() - self._began

    def on_trial_complete(self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any) -> None:
        last = trial.last_result
        if error := last.get("error"):
            self._write(trial, "failed", error)
        elif _FOLD in last:  # not where the clock stopped it before its first fold
            self._write(trial, "finished" if last[_FOLD] == self._num_folds else "stopped", "")

    def on_trial_error(self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any) -> None:
        self._write(trial, "failed", _reason(trial))

    def _write(self, ray_trial: RayTrial, status: Any, error: str) -> None:
        # An error that a callback raises is taken for one of the trial's: it waits until the others have stopped.
        # And Ray Tune may say twice of a trial that it has ended, where its worker dies.
        if self.problem is None and ray_trial.trial_id not in self._written:
            self._written.add(ray_trial.trial_id)
            try:
                self._plan.lock.check()
                self._write_receipt(ray_trial, status, error)
            except RayseeError as problem:
                self.problem = problem

    def _write_receipt(self, ray_trial: RayTrial, status: Any, error: str) -> None:
        last = ray_trial.last_result
        trial = Trial(
            number=self._next,
            point=ray_trial.config,
            status=status,
            folds=last.get("folds", []),
            uars=last.get("uars", []),
            error=error,
            wall_s=last.get("wall_s", 0.0),
            elapsed_s=self._elapsed_s,
        )
        storage.write_bytes(trial_place(self._place, trial.number), (trial.model_dump_json(indent=2) + "\n").encode())
        metrics.count_trial(trial.wall_s)
        self._next += 1
        remark = error or f"UAR {trial.uar:.1%} over {len(trial.uars)} folds"
        self._progress.add(1, remark)


@contextlib.contextmanager
def _stopped_by_ctrl_c(book: _Book) -> Iterator[None]:
    """Let Ctrl-C end the trials first, within seconds; a second one does not wait.

    Where the exception ran through Ray Tune, its workers would keep their cores for as long as this process lives.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return

    def stop(*_: Any) -> None:
        book.problem = KeyboardInterrupt()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Stub(NamedTuple):
    """What a scheduler asks of a trial."""

    trial_id: str


def _run(plan: Plan, material: Material, done: Sequence[Trial], num_folds: int, book: _Book) -> None:
    # Ray Tune reads these when it starts. No loggers of its own, and Ctrl-C is ours: it ends more than one search.
    os.environ.update(TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_DISABLE_SIGINT_HANDLER="1", RAY_AIR_NEW_OUTPUT="0")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a trial that fails is a row, and no stack trace
    grace = min(_GRACE_FOLDS, num_folds)
    scheduler = ASHAScheduler(_FOLD, _UAR, "max", max_t=num_folds, grace_period=grace, reduction_factor=_REDUCTION)
    untuned = point_of(plan.config, plan.space)
    proposer = OptunaSearch(
        plan.space,
        metric=_UAR,
        mode="max",
        # Another seed after each restart: the same one would propose the first random points again.
        sampler=optuna.samplers.TPESampler(seed=plan.config.training.seed + 1000 * len(done)),
        points_to_evaluate=[untuned] if all(trial.point != untuned for trial in done) else None,
    )
    for trial in done:
        _tell(proposer, scheduler, trial)
    # At least one: the nodes of a cluster that grows come when they are asked for.
    at_once = max(min(num_workers(0), num_workers(plan.gpus)), 1)
    trainable = ray_tune.with_parameters(_trial, material=material, config=plan.config)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        ray_tune.Tuner(
            ray_tune.with_resources(trainable, {"cpu": 1, "gpu": plan.gpus}),
            tune_config=ray_tune.TuneConfig(
                search_alg=proposer,
                scheduler=scheduler,
                num_samples=plan.trials - len(done),
                max_concurrent_trials=at_once,
                time_budget_s=None if plan.budget_s is None else book.left_s,
                reuse_actors=True,
            ),
            run_config=ray_tune.RunConfig(storage_path=scratch, verbose=0, callbacks=[book], stop=book),
        ).fit()


def _tell(proposer: OptunaSearch, scheduler: ASHAScheduler, trial: Trial) -> None:
    """What they would know by now, had the search not been broken off."""
    failed = trial.status == "failed" or trial.uar is None
    proposer.add_evaluated_point(trial.point, trial.uar, error=failed)
    stub = _Stub(f"told-{trial.number}")
    scheduler.on_trial_add(None, stub)
    for fold in range(1, len(trial.uars) + 1):
        scheduler.on_trial_result(None, stub, {_FOLD: fold, _UAR: float(np.mean(trial.uars[:fold]))})


def _trial(point: Point, material: Material, config: RunConfig) -> None:
    """What a worker does: it says after each fold how good the configuration is so far."""
    torch.set_num_threads(1)  # the order of additions, and so the numbers, must not depend on the machine
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    began = time.perf_counter()
    said: dict[str, Any] = {"folds": [], "uars": []}
    try:
        for fold, uar in tuning.scores(material, config, point, device):
            said = {"folds": [*said["folds"], fold], "uars": [*said["uars"], uar]}
            so_far = {_FOLD: len(said["folds"]), _UAR: float(np.mean(said["uars"]))}
            ray_tune.report({**said, **so_far, "wall_s": time.perf_counter() - began})
    except tuning.FAILURES as error:
        # What is raised would end the worker, whose start takes
        # seconds; a figure that is no number, after no fold, is counted neither by the sampler nor by the scheduler.
        last = {_FOLD: 0, _UAR: np.nan, "wall_s": time.perf_counter() - began}
        ray_tune.report({**said, **last, "error": str(error).partition("\n")[0]})


def _reason(trial: RayTrial) -> str:
    """Why a trial has failed, in a line, from the text that Ray Tune leaves: the error itself is a pickle."""
    text = pathlib.Path(trial.error_file).read_text() if trial.error_file else ""
    if "ActorDied" in text or "ActorUnavailable" in text or "The actor" in text:
        return "its worker died"
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("raysee.errors.RayseeError: ") if lines else "it does not say why"
