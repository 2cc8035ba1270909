"""One training over several workers: the data are prepared, Ray Train starts the workers, the model is delivered."""

import contextlib
import dataclasses
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import ray
import ray.train
import ray.train.torch
from ray.train import FailureConfig, ScalingConfig
from ray.train import RunConfig as TrainRunConfig

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.distributed import worker
from raysee.distributed.cluster import connect, explained
from raysee.distributed.feed import load
from raysee.errors import ConfigurationError, RayseeError
from raysee.evaluation.calibration import calibrated
from raysee.evaluation.folds import FINAL
from raysee.evaluation.metrics import summarise
from raysee.evaluation.moments import Moments, statistics
from raysee.evaluation.standardise import Statistics
from raysee.lock import Lock
from raysee.models import MODELS, network
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.storage import join
from raysee.training import card, finished
from raysee.training.finished import FoldReceipt
from raysee.training.fit import FoldResult
from raysee.training.inputs import Inputs, find
from raysee.training.predictions import predictions, temperature
from raysee.training.store import Contents, Part, Store, contents, find_parts, outline

MOST_FAILURES = 8  # of workers, in one start; nodes that are taken away do not count
_STATISTICS = "statistics.json"


def train_large(
    root: str,
    config: RunConfig,
    *,
    workers: tuple[int, int],
    gpus: bool = False,
    checkpoint_epochs: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
) -> Stage:
    """Fit the model that `config` delivers, and nothing else, on `workers` (at least, at most) CPU cores or GPUs.

    The global batch is the configured one whatever the number of workers; each has its share of it. So the curve and
    the weights are those of one process but for the order of additions, with two exceptions: batch norm takes the
    statistics of a worker's share, and the running ones of the first worker's; and what is dropped out is drawn on
    each worker by itself. Under a protocol that validates, the validation speakers choose the epoch and the card shows
    the figures of them.

    A checkpoint is kept every `checkpoint_epochs` and at the end, the last one and the best weights. When a worker is
    lost Ray Train starts the group again, between the two numbers as many as there is room for; when all is lost the
    same call goes on: at most `checkpoint_epochs` are done twice. Where Ray says in time that a node is going to be
    taken away (SIGTERM of a spot instance), the epoch that ends next is kept whatever its number. With as many workers
    as before the weights on CPUs are then those of an undisturbed training to the last bit. `on_progress` counts
    epochs.
    Raises ConfigurationError as `train` does, for a classifier, and where the cluster has too little room; BusyError
    where another start is at it.
    """
    began = time.perf_counter()
    inputs = find(storage.normalise(root), config)
    place, identity = place_of(inputs)
    if not overwrite and (stage := receipts.finished(place, "train-large", identity)):
        return stage
    _check(inputs.config, workers, gpus, checkpoint_epochs)
    with explained():
        store = _outline(inputs)
    with Lock(place) as lock:
        if overwrite:
            receipts.clear(place, "train-large")
        elif stage := receipts.finished(place, "train-large", identity):  # by a start that has ended meanwhile
            return stage
        receipts.claim(place, "train-large", fingerprint(identity), identity)
        with explained():
            shared = ray.put(store)
            known = _statistics(_fold_place(place), store, shared)
            dataset, blocks = load(store, shared, known)
        given = {
            **{"store": shared, "blocks": blocks, "initial": inputs.initial},
            **{"place": join(_fold_place(place), "checkpoints"), "checkpoint_epochs": checkpoint_epochs},
        }
        fitted = _fit(given, inputs.config, workers, gpus, on_progress)
        del dataset  # until here Ray kept what the workers read
        lock.check()
        return _deliver(place, inputs, identity, store, known, fitted, time.perf_counter() - began)


def place_of(inputs: Inputs) -> tuple[str, dict[str, Any]]:
    """Where the training of these inputs lies, and what its fingerprint is made of: not the number of workers."""
    identity = {**inputs.identity, "trained": "one model, over several workers"}
    return lake.run(inputs.root, inputs.config, fingerprint(identity)), identity


def _fold_place(place: str) -> str:
    return finished.folder(place, FINAL, 0)


def _check(config: RunConfig, workers: tuple[int, int], gpus: bool, checkpoint_epochs: int) -> None:
    if config.model not in MODELS or config.aggregation == "lstm":
        what = "An LSTM over windows" if config.model in MODELS else config.model
        raise ConfigurationError(f"{what} is fitted on one core: leave --workers out.")
    least, most = workers
    if not 1 <= least <= most or checkpoint_epochs < 1:
        raise ConfigurationError(
            f"{least}:{most} workers with a checkpoint every {checkpoint_epochs} epochs cannot be: "
            "give --workers N, or AT_LEAST:AT_MOST, from 1 on."
        )
    connect()
    what = "GPU" if gpus else "CPU"
    room = int(ray.cluster_resources().get(what, 0))
    if room < least:
        raise ConfigurationError(
            f"{least} workers want a {what} each and the cluster has {room}: give fewer --workers"
            f"{', or leave --gpus out to train on CPUs' if gpus else ''}."
        )


def _outline(inputs: Inputs) -> Store:
    parts = find_parts(inputs)
    return outline(inputs, parts, ray.get([_contents.remote(part) for part in parts]))


@ray.remote(num_cpus=1, max_retries=3)  # type: ignore[untyped-decorator]
def _contents(part: Part) -> Contents:
    return contents(part)


def _statistics(place: str, store: Store, shared: ray.ObjectRef) -> dict[str, Statistics]:
    """Fitted in one pass over the parts, once: a training that goes on must not depend on how they were added up."""
    uri = join(place, _STATISTICS)
    if storage.exists(uri):
        kept = json.loads(storage.read_bytes(uri))
        return {name: Statistics(*(np.array(column) for column in columns)) for name, columns in kept.items()}
    looked = ray.get([_look.remote(shared, number) for number in range(len(store.parts))])
    if bad := [clip_id for _, its_bad in looked for clip_id in its_bad]:
        raise RayseeError(
            f"The features of {len(bad)} clips are NaN or infinite, the first is {bad[0]}: "
            "extract them again with --overwrite, and leave the clip out if that does not help."
        )
    names = sorted({name for pieces, _ in looked for name in pieces})
    found = {name: statistics(pieces[name] for pieces, _ in looked if name in pieces) for name in names}
    told = {name: [column.tolist() for column in its] for name, its in found.items()}
    storage.write_bytes(uri, (json.dumps(told) + "\n").encode())
    return found


@ray.remote(num_cpus=1, max_retries=3)  # type: ignore[untyped-decorator]
def _look(store: Store, part: int) -> tuple[dict[str, Moments], list[str]]:
    return store.look(part)


def _fit(
    given: dict[str, Any], config: RunConfig, workers: tuple[int, int], gpus: bool, on_progress: OnProgress
) -> dict[str, Any]:
    least, most = workers
    board = _Board.remote()  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Ray Train's own notes, nothing of ours
        trainer = ray.train.torch.TorchTrainer(
            worker.work,
            train_loop_config={**given, "board": board},
            torch_config=ray.train.torch.TorchConfig(backend="nccl" if gpus else "gloo"),
            scaling_config=ScalingConfig(num_workers=least if least == most else (least, most), use_gpu=gpus),
            run_config=TrainRunConfig(
                name="train-large", storage_path=folder, failure_config=FailureConfig(max_failures=MOST_FAILURES)
            ),
        )
        with explained(), _watched(board, config.training.epochs, on_progress):
            try:
                fitted: dict[str, Any] = trainer.fit().return_value
            except ray.train.WorkerGroupError as error:
                raise reason(error) from error
    if fitted["error"]:
        raise RayseeError(fitted["error"])
    return fitted


def reason(error: ray.train.WorkerGroupError) -> Exception:
    """A worker's own sentence where it has one, or that workers were lost; other errors are mistakes."""
    failures: list[Exception] = list(error.worker_failures.values())
    for cause in (getattr(one, "_base_exc", one) for one in failures):
        if isinstance(cause, RayseeError):
            return cause
    # Ray Train wraps what is raised in a worker, and not what happens to it.
    lost = [one for one in failures if not hasattr(one, "_base_exc")]
    if not lost:
        mistake: Exception = error
        return mistake
    return RayseeError(
        f"Workers were lost more than {MOST_FAILURES} times ({str(lost[0]).splitlines()[0]}): see that the machines "
        "have memory left, then start the same command again; it goes on from its last checkpoint."
    )


@ray.remote(num_cpus=0)
class _Board:
    """Where the first worker notes how far it is, for whoever waits."""

    def __init__(self) -> None:
        self._noted: list[tuple[int, str]] = []

    def note(self, epoch: int, remark: str) -> None:
        self._noted.append((epoch, remark))

    def take(self) -> list[tuple[int, str]]:
        noted, self._noted = self._noted, []
        return noted


@contextlib.contextmanager
def _watched(board: Any, epochs: int, on_progress: OnProgress) -> Iterator[None]:
    """Hand on what is noted on the board, while another thread trains."""
    over = threading.Event()

    def watch() -> None:
        while True:
            ending = over.wait(0.25)
            for epoch, remark in ray.get(board.take.remote()):
                on_progress(epoch, epochs, remark)
            if ending:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)


def _deliver(
    place: str,
    inputs: Inputs,
    identity: dict[str, Any],
    store: Store,
    known: dict[str, Statistics],
    fitted: dict[str, Any],
    wall_s: float,
) -> Stage:
    """Write the figures of the validation part, the model with its card, and last the receipt."""
    config, clips, labels = store.work.config, store.work.clips, store.work.labels
    held = dataclasses.replace(store.fold, test=store.fold.validation)
    result = FoldResult(
        FINAL, 0, fitted["seed"], fitted["chosen_epoch"], [], fitted["probabilities"], {}, None, fitted["wall_s"]
    )
    fits = temperature(config, clips, store.seen, labels, store.fold, fitted["probabilities"])
    judged = card.Judged({}, [], np.empty((0, len(labels))))
    if fits is not None:
        said = predictions(config, clips, store.seen, labels, held, result)
        storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
        judged = card.Judged(summarise(said, labels)._asdict(), [fits], calibrated(said, {(0, FINAL): fits}))
    own = known.get("") if network(config.model).standardise else None
    told = FoldReceipt(
        fold=FINAL,
        repeat=0,
        seed=fitted["seed"],
        chosen_epoch=fitted["chosen_epoch"],
        parameters={},
        uar=None,
        examples={"train": len(store.fold.train), "validation": len(held.validation), "test": 0},
        test_speakers=[],
        mean=own.mean.tolist() if own else None,
        std=own.std.tolist() if own else None,
        temperature=fits,
        curve=fitted["curve"],
        wall_s=fitted["wall_s"],
    )
    finished.write(_fold_place(place), told)
    card.deliver(place, inputs, fitted["weights"], told, clips, labels, judged)
    receipt = Receipt(
        stage="train-large",
        fingerprint=fingerprint(identity),
        config=identity,
        inputs={f"{corpus} {config.features}": made.fingerprint for corpus, made in inputs.made.items()},
        counts={"in": len(clips), "out": len(clips), "rejected": 0},
        rejects={},
        details={
            "lake": inputs.root,
            "labels": labels,
            "metrics": judged.metrics,
            "workers": fitted["workers"],
            "synthetic": inputs.synthetic,
            "work_s": fitted["wall_s"],
        },
        wall_s=wall_s,
    )
    return Stage(place, receipts.write(place, receipt), found=False)
