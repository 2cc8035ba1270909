"""Cross-validated training runs: one Ray task a fold and repeat, each with a receipt of its own.

The trainings of several runs share the cluster, the longest first, so that no GPU waits for the last fold of a run.
"""

import collections
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc
import ray

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.distributed.cluster import check_gpus, explained, num_workers
from raysee.distributed.fold_tasks import fit_task, tune_task
from raysee.errors import RayseeError, StorageError
from raysee.evaluation.folds import FINAL, Fold
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.models import CLASSIFIERS, MODELS, build
from raysee.models.alexnet import load_pretrained
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.storage import join
from raysee.training import card, finished
from raysee.training.finished import FoldReceipt
from raysee.training.inputs import Inputs, find
from raysee.training.schedule import rows_of, wants_more
from raysee.training.work import Work, prepare

#: Of a run: what it has become, why it failed, or None where only some of its folds were asked for.
Found = Stage | RayseeError | None


def train(
    root: str,
    config: RunConfig,
    *,
    gpus: float = 0,
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
) -> Stage:
    """Cross-validate `config` on the features below the lake `root`, and fit the model that is delivered.

    Each training has `gpus` of a GPU, or a CPU core where that is 0. `on_progress` counts trainings. Folds that have a
    receipt are not fitted again. Classifiers are evaluated and not delivered.
    Raises ConfigurationError for unknown names, missing features, or a corpus that the protocol cannot split.
    """
    (found,) = train_all(root, [config], gpus=gpus, overwrite=overwrite, on_progress=on_progress)
    if isinstance(found, RayseeError):
        raise found
    assert found is not None
    return found


def train_all(
    root: str,
    configs: Sequence[RunConfig],
    *,
    seconds_a_row: Sequence[float] = (),
    first_folds: int | None = None,
    gpus: float = 0,
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
    on_found: Callable[[int, Found], None] = lambda number, found: None,
) -> list[Found]:
    """Do what `train` does for several runs at once; the error of one does not stop the others.

    `seconds_a_row` says how fast each run's network learns, so that the longest trainings of different networks come
    first (see plan.py). With `first_folds` only so many folds of each repeat are fitted; a later call goes on from
    there. `on_progress` counts the trainings of the runs that have begun, `on_found` is told the number of a run that
    has ended.
    Raises StorageError where the lake does not answer: what has been trained cannot be seen, and no run will do better;
    and ConfigurationError where a GPU is asked for and there is none.
    """
    root = storage.normalise(root)
    found: list[Found] = [None] * len(configs)
    waiting = collections.deque(enumerate(configs))
    running: dict[ray.ObjectRef, tuple[_Run, Fold, int]] = {}
    counted = _Counted(on_progress, len(configs))

    def end(number: int, what: Found) -> None:
        found[number] = what
        counted.end()
        on_found(number, what)

    try:
        while waiting or running:
            opened: list[_Run] = []
            begun = len({run.number for run, _, _ in running.values()})
            submitted = len(running)
            while waiting and wants_more(begun + len(opened), submitted, num_workers(gpus)):
                number, config = waiting.popleft()
                try:
                    run = _open(root, number, config, first_folds, overwrite)
                except StorageError:
                    raise
                except RayseeError as error:
                    end(number, error)
                    continue
                if run.stage is not None:
                    end(number, run.stage)
                    continue
                counted.begin(len(run.trainings), len(run.trainings) - len(run.missing))
                if run.missing:
                    opened.append(run)
                    submitted += len(run.missing)
                else:
                    end(number, _finish(run))
            running |= _start(opened, seconds_a_row, gpus, overwrite)
            if not running:
                continue
            (ready,), _ = ray.wait(list(running), num_returns=1)
            run, fold, repeat = running.pop(ready)
            try:
                with explained():
                    fitted = ray.get(ready)
            except StorageError:
                raise
            except RayseeError as error:
                _cancel(task for task, (its, _, _) in running.items() if its is run)
                running = {task: one for task, one in running.items() if one[0] is not run}
                end(run.number, error)
                continue
            run.missing.remove((fold.number, repeat))
            counted.training(fitted)
            if not run.missing:
                end(run.number, _finish(run))
    finally:
        _cancel(running)
    return found


def place_of(inputs: Inputs) -> str:
    """Where the run of these inputs lies."""
    return lake.run(inputs.root, inputs.config, fingerprint(inputs.identity))


def trainings_of(config: RunConfig, folds: Sequence[Fold], first_folds: int | None = None) -> list[tuple[Fold, int]]:
    """Fold and repeat of each training, that of the delivered model first; or those of the first folds alone."""
    tested = [fold for fold in folds if fold.number != FINAL]
    trainings = [(fold, repeat) for repeat in range(config.repeats) for fold in tested[:first_folds]]
    delivered = config.deliver and config.model in MODELS and first_folds is None
    return [*([(folds[-1], 0)] if delivered else []), *trainings]


@dataclass
class _Run:
    """A run that has begun. `missing` are the folds and repeats of its trainings that have no receipt yet."""

    number: int
    inputs: Inputs
    place: str
    began: float
    stage: Stage | None = None  # where it was finished before
    work: Work | None = None  # until its trainings start, which have it from the object store
    shared: ray.ObjectRef | None = None
    folds: list[Fold] = field(default_factory=list)
    trainings: list[tuple[Fold, int]] = field(default_factory=list)
    missing: set[tuple[int, int]] = field(default_factory=set)
    whole: bool = True


class _Counted:
    """Trainings, and the runs that have ended where there are several."""

    def __init__(self, on_progress: OnProgress, num_runs: int) -> None:
        self._on_progress, self._num_runs = on_progress, num_runs
        self._done = self._total = self._ended = 0

    def begin(self, trainings: int, done: int) -> None:
        self._total += trainings
        self._done += done
        self._say("")

    def training(self, fitted: FoldReceipt) -> None:
        self._done += 1
        self._say("" if fitted.uar is None else f"UAR of fold {fitted.fold}: {fitted.uar:.1%}")

    def end(self) -> None:
        self._ended += 1

    def _say(self, remark: str) -> None:
        runs = f"{self._ended} of {self._num_runs} runs " if self._num_runs > 1 else ""
        self._on_progress(self._done, self._total, runs + remark)


def _open(root: str, number: int, config: RunConfig, first_folds: int | None, overwrite: bool) -> _Run:
    """Find what a run has and what it lacks, and whatever would break each of its trainings, before it is claimed."""
    began = time.perf_counter()
    inputs = find(root, config)
    place, identity = place_of(inputs), inputs.identity
    run = _Run(number, inputs, place, began)
    if not overwrite and (stage := receipts.find(place, "train", fingerprint(identity), identity)):
        run.stage = Stage(place, stage, found=True)
        return run
    work, folds = prepare(inputs)
    if work.initial is not None:
        load_pretrained(build(work.config, work.clips.shape, len(work.labels)), work.initial)
    run.work, run.folds, run.whole = work, folds, first_folds is None
    run.trainings = trainings_of(inputs.config, folds, first_folds)
    run.missing = {
        (fold.number, repeat)
        for fold, repeat in run.trainings
        if overwrite or not finished.is_finished(finished.folder(place, fold.number, repeat))
    }
    return run


def _start(
    opened: Sequence[_Run], seconds_a_row: Sequence[float], gpus: float, overwrite: bool
) -> dict[ray.ObjectRef, tuple[_Run, Fold, int]]:
    """Claim the places of runs and submit what they lack, the longest trainings first: Ray starts them in order."""
    if not opened:
        return {}
    check_gpus(gpus)
    todo: list[tuple[float, _Run, Fold, int]] = []
    parameters: dict[int, ray.ObjectRef | None] = {}
    for run in opened:
        assert run.work is not None
        identity, config = run.inputs.identity, run.work.config
        if overwrite:
            receipts.clear(run.place, "train")
        receipts.claim(run.place, "train", fingerprint(identity), identity)
        factor = seconds_a_row[run.number] if seconds_a_row else 1.0
        for fold, repeat in run.trainings:
            if (fold.number, repeat) in run.missing:
                todo.append((factor * rows_of(config.training.epochs, run.work.seen.length, fold), run, fold, repeat))
        run.shared, run.work = ray.put(run.work), None
        searched = config.model in CLASSIFIERS and protocol(config.protocol).tune == "test-folds"
        parameters[run.number] = tune_task.remote(run.place, run.shared, run.folds) if searched else None
    todo.sort(key=lambda one: -one[0])
    resources = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
    return {
        fit_task.options(**resources).remote(run.place, run.shared, fold, repeat, parameters[run.number]): (
            run,
            fold,
            repeat,
        )
        for _, run, fold, repeat in todo
    }


def _cancel(tasks: Iterable[ray.ObjectRef]) -> None:
    """Stop what has not ended: Ray aborts the driver where a task that has just ended is cancelled."""
    waiting = list(tasks)
    _, unfinished = ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
    for task in unfinished:
        ray.cancel(task, force=True)


def _finish(run: _Run) -> Stage | None:
    """Write what the trainings of a run say together, and its receipt, where all of them were asked for."""
    if not run.whole:
        return None
    work: Work = run.work or ray.get(run.shared)
    inputs, place, identity = run.inputs, run.place, run.inputs.identity
    clips, labels = work.clips, work.labels
    places = {(fold.number, repeat): finished.folder(place, fold.number, repeat) for fold, repeat in run.trainings}
    tested = [its for (number, _), its in places.items() if number != FINAL]
    said = finished.together(tested, "predictions.parquet", schema.PREDICTIONS)
    storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
    summary = summarise(said, labels)._asdict()
    fitted = {key: finished.read(its) for key, its in places.items()}
    if (FINAL, 0) in fitted:
        data = storage.read_bytes(join(places[FINAL, 0], "model.safetensors"))
        card.deliver(place, inputs, data, fitted[FINAL, 0], clips, labels, summary)
    receipt = Receipt(
        stage="train",
        fingerprint=fingerprint(identity),
        config=identity,
        inputs={f"{corpus} {inputs.config.features}": made.fingerprint for corpus, made in inputs.made.items()},
        counts={"in": said.num_rows, "out": said.num_rows, "rejected": 0},
        rejects={},
        details={
            "lake": inputs.root,
            "labels": labels,
            "metrics": summary,
            "example_metrics": _example_metrics(tested, labels) if len(work.seen.clip) > len(clips) else None,
            "synthetic": inputs.synthetic,
            "work_s": sum(one.wall_s for one in fitted.values()),
        },
        wall_s=time.perf_counter() - run.began,
    )
    return Stage(place, receipts.write(place, receipt), found=False)


def _example_metrics(folds: list[str], labels: list[str]) -> dict[str, Any]:
    """The figures of the tested examples, each by itself."""
    said = finished.together(folds, "examples.parquet", schema.EXAMPLES)
    return summarise(said.filter(pc.equal(said["part"], "test")), labels)._asdict()
