"""Cross-validated training runs: one Ray task a fold and repeat, each with a receipt of its own.

The trainings of several runs share the cluster, the longest first, so that no GPU waits for the last fold of a run.
"""

import collections
from collections.abc import Callable, Iterable, Sequence

import ray

from raysee import storage
from raysee.config import RunConfig
from raysee.distributed.cluster import check_gpus, explained, num_workers
from raysee.distributed.run import Run, Training
from raysee.errors import RayseeError, StorageError
from raysee.progress import OnProgress, quiet
from raysee.receipts import Stage
from raysee.training.finished import FoldReceipt
from raysee.training.schedule import wants_more

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
    pool = _Pool(storage.normalise(root), configs, seconds_a_row, gpus, _Counted(on_progress, len(configs)), on_found)
    try:
        while pool.waiting or pool.running:
            pool.begin(first_folds, overwrite)
            if pool.running:
                pool.wait()
    finally:
        pool.close()
    return pool.found


class _Pool:
    """The trainings of several runs on one cluster: runs that wait, and trainings that Ray has."""

    def __init__(
        self,
        root: str,
        configs: Sequence[RunConfig],
        seconds_a_row: Sequence[float],
        gpus: float,
        counted: "_Counted",
        on_found: Callable[[int, Found], None],
    ) -> None:
        self._root, self._gpus, self._counted, self._on_found = root, gpus, counted, on_found
        self._seconds_a_row = seconds_a_row or [1.0] * len(configs)
        self._begun: dict[Run, int] = {}  # and their numbers
        self.waiting = collections.deque(enumerate(configs))
        self.running: dict[ray.ObjectRef, Training] = {}
        self.found: list[Found] = [None] * len(configs)

    def begin(self, first_folds: int | None, overwrite: bool) -> None:
        """Begin as many runs as there is room for, and submit what they lack, which Ray starts in this order."""
        todo: list[Training] = []
        while self.waiting and wants_more(len(self._begun), len(self.running) + len(todo), num_workers(self._gpus)):
            number, config = self.waiting.popleft()
            run = self._open(number, config, first_folds, overwrite)
            if run is not None:
                check_gpus(self._gpus)
                todo += run.claim()
        todo.sort(key=lambda one: -one.rows * self._seconds_a_row[self._begun[one.run]])
        self.running |= {one.run.start(one, self._gpus): one for one in todo}

    def wait(self) -> None:
        """For the next training that ends."""
        (ready,), _ = ray.wait(list(self.running), num_returns=1)
        training = self.running.pop(ready)
        run = training.run
        try:
            with explained():
                fitted = ray.get(ready)
            run.done(training)
            self._counted.training(fitted)
            if not run.num_missing:
                self._end(run, run.finish())
        except StorageError:
            raise
        except RayseeError as error:
            others = [task for task, one in self.running.items() if one.run is run]
            _cancel(others)
            for task in others:
                del self.running[task]
            self._end(run, error)

    def close(self) -> None:
        """Stop what runs, and let all places go."""
        _cancel(self.running)
        for run in self._begun:
            run.close()

    def _open(self, number: int, config: RunConfig, first_folds: int | None, overwrite: bool) -> Run | None:
        """A run that lacks trainings; None where it has ended."""
        try:
            run = Run(self._root, config, first_folds, overwrite)
        except StorageError:
            raise
        except RayseeError as error:
            self._tell(number, error)
            return None
        self._begun[run] = number
        if run.stage is not None:
            self._end(run, run.stage)
            return None
        self._counted.begin(len(run.trainings), len(run.trainings) - run.num_missing)
        if run.num_missing:
            return run
        self._end(run, run.finish())
        return None

    def _end(self, run: Run, what: Found) -> None:
        run.close()
        self._tell(self._begun.pop(run), what)

    def _tell(self, number: int, what: Found) -> None:
        self.found[number] = what
        self._counted.end()
        self._on_found(number, what)


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


def _cancel(tasks: Iterable[ray.ObjectRef]) -> None:
    """Stop what has not ended: Ray aborts the driver where a task that has just ended is cancelled."""
    waiting = list(tasks)
    _, unfinished = ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
    for task in unfinished:
        ray.cancel(task, force=True)
