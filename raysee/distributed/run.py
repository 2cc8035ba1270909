"""One cross-validation while it runs: what it has and what it lacks, its tasks, and how it is finished."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow.compute as pc
import ray

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.distributed.fold_tasks import fit_task, tune_task
from raysee.evaluation.calibration import calibrated
from raysee.evaluation.folds import FINAL, Fold
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.lock import Lock
from raysee.models import CLASSIFIERS, MODELS, build
from raysee.models.alexnet import load_pretrained
from raysee.receipts import Receipt, Stage
from raysee.storage import join
from raysee.training import card, finished
from raysee.training.inputs import Inputs, find
from raysee.training.schedule import rows_of
from raysee.training.work import Work, prepare


class Training(NamedTuple):
    """A training of a run, before it is started. `rows` go through the network."""

    run: "Run"
    fold: Fold
    repeat: int
    rows: float


class Run:
    """Holds the place of a run from here until `close`, unless it is finished already and `stage` says so.

    Whatever would break each of its trainings is found before anything is written. Raises ConfigurationError for
    unknown names, missing features, or a corpus that the protocol cannot split, BusyError where another start is at it.
    """

    def __init__(self, root: str, config: RunConfig, first_folds: int | None, overwrite: bool) -> None:
        self._began = time.perf_counter()
        self._inputs = find(root, config)
        self._place, self._identity = place_of(self._inputs), self._inputs.identity
        self._overwrite, self._whole = overwrite, first_folds is None
        self._lock: Lock | None = None
        self.stage = self._found()
        if self.stage is not None:
            return
        work, self._folds = prepare(self._inputs)
        if work.initial is not None:
            load_pretrained(build(work.config, work.clips.shape, len(work.labels)), work.initial)
        self._work: Work | ray.ObjectRef = work  # in the object store once its trainings have begun
        self.trainings = trainings_of(self._inputs.config, self._folds, first_folds)
        self._lock = Lock(self._place)
        try:
            self.stage = self._found()  # where a start has ended meanwhile
            self._missing = {
                (fold.number, repeat)
                for fold, repeat in self.trainings
                if overwrite or not finished.is_finished(self._folder(fold.number, repeat))
            }
        except BaseException:
            self.close()
            raise

    @property
    def num_missing(self) -> int:
        """Trainings without a receipt."""
        return len(self._missing)

    def claim(self) -> list[Training]:
        """Clear the place where it is to be overwritten, and say whose it is; the trainings that it lacks."""
        if self._overwrite:
            receipts.clear(self._place, "train")
        receipts.claim(self._place, "train", fingerprint(self._identity), self._identity)
        assert isinstance(self._work, Work)
        config, length = self._work.config, self._work.seen.length
        lacking = [
            Training(self, fold, repeat, rows_of(config.training.epochs, length, fold))
            for fold, repeat in self.trainings
            if (fold.number, repeat) in self._missing
        ]
        self._work = ray.put(self._work)
        searched = config.model in CLASSIFIERS and protocol(config.protocol).tune == "test-folds"
        self._parameters = tune_task.remote(self._place, self._work, self._folds) if searched else None
        return lacking

    def start(self, training: Training, gpus: float) -> ray.ObjectRef:
        """Submit one of the trainings of `claim`."""
        resources = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
        task = fit_task.options(**resources)
        return task.remote(self._place, self._work, training.fold, training.repeat, self._parameters)

    def done(self, training: Training) -> None:
        """One of them has left its receipt. BusyError where the place has been lost to another start."""
        assert self._lock is not None
        self._lock.check()
        self._missing.remove((training.fold.number, training.repeat))

    def close(self) -> None:
        """Let the place go."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _found(self) -> Stage | None:
        if self._overwrite:
            return None
        return receipts.finished(self._place, "train", self._identity)

    def _folder(self, fold: int, repeat: int) -> str:
        return finished.folder(self._place, fold, repeat)

    def finish(self) -> Stage | None:
        """Write what all trainings say together, the model that is delivered, and the receipt; None for first folds."""
        if not self._whole:
            return None
        work = self._work if isinstance(self._work, Work) else ray.get(self._work)
        inputs, place, clips, labels = self._inputs, self._place, work.clips, work.labels
        places = {(fold.number, repeat): self._folder(fold.number, repeat) for fold, repeat in self.trainings}
        tested = [its for (number, _), its in places.items() if number != FINAL]
        said = finished.answers(tested, inputs.config)
        storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
        fitted = {key: finished.read(its) for key, its in places.items()}
        temperatures = {
            (one.repeat, one.fold): one.temperature
            for one in fitted.values()
            if one.fold != FINAL and one.temperature is not None
        }
        summary = summarise(said, labels, temperatures)._asdict()
        if (FINAL, 0) in fitted:
            data = storage.read_bytes(join(places[FINAL, 0], "model.safetensors"))
            judged = card.Judged(summary, list(temperatures.values()), calibrated(said, temperatures))
            card.deliver(place, inputs, data, fitted[FINAL, 0], clips, labels, judged)
        receipt = Receipt(
            stage="train",
            fingerprint=fingerprint(self._identity),
            config=self._identity,
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
            wall_s=time.perf_counter() - self._began,
        )
        return Stage(place, receipts.write(place, receipt), found=False)


def place_of(inputs: Inputs) -> str:
    """Where the run of these inputs lies."""
    return lake.run(inputs.root, inputs.config, fingerprint(inputs.identity))


def trainings_of(config: RunConfig, folds: Sequence[Fold], first_folds: int | None = None) -> list[tuple[Fold, int]]:
    """Fold and repeat of each training, that of the delivered model first; or those of the first folds alone."""
    tested = [fold for fold in folds if fold.number != FINAL]
    trainings = [(fold, repeat) for repeat in range(config.repeats) for fold in tested[:first_folds]]
    delivered = config.deliver and config.model in MODELS and first_folds is None
    return [*([(folds[-1], 0)] if delivered else []), *trainings]


def _example_metrics(folds: list[str], labels: list[str]) -> dict[str, Any]:
    """The figures of the tested examples, each by itself."""
    said = finished.together(folds, "examples.parquet", schema.EXAMPLES)
    return summarise(said.filter(pc.equal(said["part"], "test")), labels)._asdict()
