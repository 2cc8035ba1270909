"""One training over two workers, of which one is killed, beside one process; more data than the object store holds.

The features are made up, so long that all clips together are more than the smallest object store that Ray has; the
classes are told apart by a column each. Of 120 clips that are trained on the batches have 17, and the last one 1: no
share is even, and once a worker has none. `make chaos` also loses the machine, with an object store that is too small.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.train
import safetensors.torch
import torch

from raysee import lake as places
from raysee import receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest, utterances_of
from raysee.distributed.feed import Feed, load, prepare_worker
from raysee.distributed.large import reason, train_large
from raysee.errors import ConfigurationError, RayseeError, StorageError
from raysee.evaluation.calibration import fit_temperature
from raysee.evaluation.folds import FINAL
from raysee.evaluation.moments import statistics
from raysee.evaluation.protocols import protocol
from raysee.features import front_end
from raysee.models import MODELS
from raysee.receipts import Receipt, Stage
from raysee.training import card, finished, fit
from raysee.training.batches import Batches
from raysee.training.finished import FoldReceipt
from raysee.training.fit import FoldResult, fit_fold
from raysee.training.inputs import find
from raysee.training.predict import predict_clips
from raysee.training.store import contents, find_parts, outline
from raysee.training.work import prepare

from ..environment import at_length, without_ray

STORE_BYTES = 80_000_000  # Ray takes no less than 75 MiB
PATIENCE_S = 400.0  # of seconds that a box with other work has taken
LABELS = ("anger", "boredom", "disgust", "fear", "neutral", "sadness")
CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    options={"num_filters": 4, "num_hidden": 16},
    labels=LABELS,
    training=TrainingConfig(epochs=3, learning_rate=1e-2, batch_size=17),
)


@pytest.fixture(scope="module", autouse=True)
def _polled_often() -> Iterator[None]:
    """Ray Train looks after its workers every 2 s, by default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        yield


def make_up(root: pathlib.Path, name: str, shape: tuple[int, ...], num_rows: tuple[int, int]) -> None:
    """Features of the clips in three parts: noise, where the class lifts a column, from so many to so many rows."""
    listed = receipts.read(places.utterances(storage.normalise(root), "emodb"))
    assert listed is not None
    utterances = utterances_of(storage.normalise(root), "emodb").select(["clip_id", "label"]).to_pylist()
    rng = np.random.default_rng(0)
    place = places.features(storage.normalise(root), "emodb", name, front_end(name))
    for part in range(3):
        its = utterances[part::3]
        arrays = [rng.standard_normal((int(rng.integers(*num_rows)), *shape), np.float32) for _ in its]
        for utterance, array in zip(its, arrays, strict=True):
            if utterance["label"] in LABELS:
                array[..., LABELS.index(utterance["label"]) % shape[-1]] += 0.25
        ends = np.cumsum([0, *(array.size for array in arrays)])
        flat = pa.array(np.concatenate([array.ravel() for array in arrays]))
        columns = {
            "clip_id": [utterance["clip_id"] for utterance in its],
            "content_sha256": ["none"] * len(its),
            "duration_s": [1.0] * len(its),
            "sample_rate_hz": [16000] * len(its),
            "shape": [list(array.shape) for array in arrays],
            "values": pa.LargeListArray.from_arrays(ends, flat),
        }
        storage.write_table(
            storage.join(place, "clips", f"part-{part:05d}.parquet"), pa.table(columns), schema.FEATURES
        )
    made = {"fingerprint": "made up", "config": {}, "inputs": {"utterances": listed.fingerprint}, "counts": {}}
    receipts.write(place, Receipt(stage="extract", **made, rejects={}, details={"synthetic": True}, wall_s=0.0))


@pytest.fixture(scope="module")
def long_lake(ray_session: None, emodb_tree: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A lake with the manifest of three speakers and long features of their clips."""
    root = tmp_path_factory.mktemp("large") / "lake"
    manifest(str(root), "emodb", str(emodb_tree), allow_count_mismatch=True)
    make_up(root, "logmel40", (40,), (2700, 3300))
    return root


@pytest.fixture(scope="module")
def small_lake(ray_session: None, emodb_tree: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The same with short features of every kind."""
    root = tmp_path_factory.mktemp("small") / "lake"
    manifest(str(root), "emodb", str(emodb_tree), allow_count_mismatch=True)
    make_up(root, "logmel40", (5,), (3, 9))
    make_up(root, "summary180", (7,), (1, 2))
    make_up(root, "sliding227", (4, 2), (4, 40))
    make_up(root, "spectrogram40", (40,), (33, 34))
    make_up(root, "chunks64", (3, 3, 2), (1, 5))
    make_up(root, "chunks64-augmented", (3, 3, 2), (2, 7))
    return root


class Disturbed(NamedTuple):
    stage: Stage
    epochs: list[int]  # after which its workers were started


@pytest.fixture(scope="module")
def disturbed(long_lake: pathlib.Path) -> Disturbed:
    """A training of which a worker is killed after the second epoch."""
    return with_a_lost_worker(long_lake)


@pytest.fixture(scope="module")
def two_workers(disturbed: Disturbed) -> Stage:
    return disturbed.stage


def with_a_lost_worker(lake: pathlib.Path) -> Disturbed:
    """Its first worker is killed once the second epoch is kept."""
    epochs: list[int] = []
    killed: list[int] = []

    def on_progress(done: int, total: int, remark: str) -> None:
        if remark.endswith("workers"):
            epochs.append(done)
        if done == 2 and not killed:
            killed.append(train_workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    stage = train_large(str(lake), CONFIG, workers=(2, 2), on_progress=on_progress)
    assert killed
    return Disturbed(stage, epochs)


@pytest.fixture(scope="module")
def one_process(long_lake: pathlib.Path) -> FoldResult:
    """The task that `raysee train` fits the delivered model in."""
    torch.set_num_threads(1)
    work, folds = prepare(find(storage.normalise(long_lake), CONFIG))
    return fit_fold(work.config, work.clips, work.labels, folds[-1], 0)


def weights(stage: Stage) -> bytes:
    return storage.read_bytes(storage.join(stage.place, "model.safetensors"))


def fitted(stage: Stage) -> FoldReceipt:
    return finished.read(finished.folder(stage.place, FINAL, 0))


def local(uri: str) -> pathlib.Path:
    return pathlib.Path(uri.removeprefix("file://"))


@pytest.mark.parametrize(
    ("model", "protocol_name", "augmented"),
    [
        ("aldeneh", "strict", ""),
        ("mlp-standardised", "paper", ""),
        ("alexnet-sliding", "strict", ""),
        ("stanford-r2", "stanford2015", ""),
        ("stanford-r2", "strict", "chunks64-augmented"),
    ],
)
def test_the_shares_of_three_workers_are_the_batches_of_one_process(
    small_lake: pathlib.Path, model: str, protocol_name: str, augmented: str
) -> None:
    """With what is standardised and padded as there, in the second epoch as in the first."""
    config = RunConfig(
        corpora=("emodb",),
        features=MODELS[model].features[0],
        model=model,
        protocol=protocol_name,
        augmented=augmented,
        hop_ms=500,
        training=TrainingConfig(batch_size=23),
    )
    inputs = find(storage.normalise(small_lake), config)
    work, folds = prepare(inputs)
    spec, fold = MODELS[model], folds[-1]
    values, known = fit.standardised(work.clips, work.seen, fold, protocol(protocol_name))
    if not spec.standardise:
        values, known = work.clips.values, None
    seen, train = work.seen, fold.train
    if work.altered is not None:
        values, seen, train = fit._with_altered(work.clips, work.altered, values, known, seen, fold, spec, 500)
    whole = Batches(spec, torch.from_numpy(values), seen, train, 23)

    parts = find_parts(inputs)
    store = outline(inputs, parts, [contents(part) for part in parts])
    looked = [store.look(number)[0] for number in range(len(parts))]
    names = {name for pieces in looked for name in pieces}
    fitted = {name: statistics(pieces[name] for pieces in looked if name in pieces) for name in names}
    dataset, blocks = load(store, ray.put(store), fitted)
    prepare_worker()
    for epoch in (1, 2):
        torch.manual_seed(7)
        expected = [list(whole.shuffled()) for _ in range(epoch)][-1]
        assert sorted(torch.cat([batch.positions for batch in expected]).tolist()) == sorted(train.tolist())
        for rank in range(3):
            feed = Feed(store, blocks, rank, 3, torch.Generator().manual_seed(7), torch.device("cpu"))
            feed.epoch = epoch
            for ours, batch in zip(feed.shuffled(), expected, strict=True):
                mine = slice(rank, None, 3) if rank < len(batch.positions) else slice(0, 1)
                assert ours.positions.tolist() == batch.positions[mine].tolist()
                assert ours.lengths.tolist() == batch.lengths[mine].tolist()
                torch.testing.assert_close(ours.values, batch.values[mine], rtol=1e-5, atol=1e-5)
                counted = len(batch.positions[rank::3])
                assert ours.share == pytest.approx(3 * counted / len(batch.positions))
    del dataset


def test_two_workers_are_one_process_with_the_same_batches(two_workers: Stage, one_process: FoldResult) -> None:
    assert two_workers.receipt.details["workers"] == 2
    curve = fitted(two_workers).curve
    assert len(curve) == len(one_process.curve) == 3
    for ours, its in zip(curve, one_process.curve, strict=True):
        assert ours.train_loss == pytest.approx(its.train_loss, rel=1e-4)
        assert ours.train_accuracy == pytest.approx(its.train_accuracy)
        assert ours.validation_loss == pytest.approx(its.validation_loss, rel=1e-4)
        assert ours.validation_uar == pytest.approx(its.validation_uar)
    assert curve[-1].train_loss < 0.8 * curve[0].train_loss, "it learns"
    assert fitted(two_workers).chosen_epoch == one_process.chosen_epoch
    found = safetensors.torch.load(weights(two_workers))
    for name, its in one_process.weights.items():
        torch.testing.assert_close(found[name], its, rtol=1e-3, atol=1e-5)


def test_the_model_is_delivered_with_its_card(two_workers: Stage, one_process: FoldResult) -> None:
    model, its_card, _ = card.load(two_workers.place)
    assert (its_card.labels, its_card.synthetic, model.training) == (list(LABELS), True, False)
    assert its_card.statistics is not None
    assert one_process.statistics is not None
    np.testing.assert_allclose(its_card.statistics.mean, one_process.statistics.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(its_card.statistics.std, one_process.statistics.std, rtol=1e-9)
    said = storage.read_table(storage.join(two_workers.place, "predictions.parquet"), schema.PREDICTIONS)
    assert said.num_rows == len(set(said["clip_id"].to_pylist())) == 60, "each clip of the validation speaker once"
    assert set(said["speaker_heard"].to_pylist()) == {False}
    np.testing.assert_allclose(np.stack(said["probabilities"].to_pylist()), one_process.validation, atol=1e-4)
    assert its_card.metrics["uar_pooled"] == pytest.approx(max(one.validation_uar or 0 for one in one_process.curve))
    assert its_card.calibrated
    assert its_card.temperature == pytest.approx(fitted(two_workers).temperature)
    labels = [LABELS.index(label) for label in said["label"].to_pylist()]
    expected = fit_temperature(np.stack(said["probabilities"].to_pylist()), np.array(labels))
    assert its_card.temperature == pytest.approx(expected) != 1.0
    assert its_card.metrics["ece_calibrated"] is None, "it was fitted on these very clips"
    heard = its_card.reference
    assert sum(heard["duration_s"]) == 180
    assert sum(heard["level_dbfs"]) == 0, "features of an earlier version have no levels"
    assert [sum(heard[f"probability:{label}"]) for label in LABELS] == [60] * 6


def test_the_figures_are_those_of_the_model_that_is_delivered(small_lake: pathlib.Path) -> None:
    """Each worker's batch norm has seen other clips: what is validated must be what is kept, on each of them."""
    fields = {"features": "spectrogram40", "model": "zhao", "size": "debug", "options": {}}
    config = CONFIG.model_copy(update={**fields, "training": CONFIG.training.model_copy(update={"epochs": 2})})
    stage = train_large(str(small_lake), config, workers=(1, 2))
    assert stage.receipt.details["workers"] == 2, "as many as there is room for"
    said = storage.read_table(storage.join(stage.place, "predictions.parquet"), schema.PREDICTIONS)
    model, its_card, _ = card.load(stage.place)
    assert its_card.statistics is not None
    clips = prepare(find(storage.normalise(small_lake), config))[0].clips
    heard = [clips.array(clips.clip_ids.index(clip_id)) for clip_id in said["clip_id"].to_pylist()]
    arrays = [its_card.statistics.apply(one) for one in heard]
    expected = predict_clips(model, MODELS["zhao"], arrays, batch_size=17, hop_ms=10, aggregation="mean")
    np.testing.assert_allclose(np.stack(said["probabilities"].to_pylist()), expected, atol=1e-5)


def test_only_the_best_and_the_last_checkpoint_are_kept_and_it_is_not_done_again(two_workers: Stage) -> None:
    folder = local(two_workers.place) / "folds" / "final"
    best = fitted(two_workers).chosen_epoch
    assert {path.name for path in folder.iterdir()} == {"checkpoints", "statistics.json", "receipt.json"}
    wanted = {"checkpoint.json", "last-00003.safetensors", f"best-{best:05d}.safetensors"}
    assert {path.name for path in (folder / "checkpoints").iterdir()} == wanted
    root = two_workers.place.split("/runs/")[0]
    assert train_large(root, CONFIG, workers=(1, 2)).found, "however many workers"


def train_workers() -> list[int]:
    """The processes of Ray Train's workers whose forebear is this one."""
    parents: dict[int, int] = {}
    names: dict[int, bytes] = {}
    for path in pathlib.Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(path.name)] = (path / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue

    def ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and parents[pid] != pid and ours(parents[pid]))

    found = [pid for pid, name in names.items() if b"RayTrainWorker" in name and ours(pid)]
    assert found
    return found


STARTED = """
import json, sys, ray
from raysee.config import RunConfig
from raysee.distributed.feed import Feed, load, prepare_worker
from raysee.distributed.large import train_large
store = {"object_store_memory": int(sys.argv[3])}
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, **store)
train_large(sys.argv[1], RunConfig.model_validate_json(sys.argv[2]), workers=(2, 2))
"""


def test_a_lost_worker_costs_no_epoch(disturbed: Disturbed) -> None:
    """That its weights are those of one process is said above."""
    assert disturbed.epochs == [0, 2], "no epoch is done again that was kept"


@at_length
@pytest.mark.timeout(900)
def test_a_lost_machine_whose_object_store_was_too_small_and_a_lost_worker(long_lake: pathlib.Path) -> None:
    """Every process is killed after an epoch, and on another machine a worker after the next one.

    What this ends with is an undisturbed training's.
    """
    without_runs = shutil.ignore_patterns("runs")
    lost, whole = (
        shutil.copytree(long_lake, long_lake.with_name(name), ignore=without_runs) for name in ("lost", "whole")
    )
    undisturbed = train_large(str(whole), CONFIG, workers=(2, 2))
    features = (long_lake / "features").rglob("*.parquet")
    tables = [storage.read_table(path.as_uri(), schema.FEATURES, ["clip_id", "shape"]) for path in features]
    num_bytes = sum(4 * rows * columns for table in tables for rows, columns in table["shape"].to_pylist())
    assert num_bytes * len(LABELS) / 7 > STORE_BYTES, "the clips do not fit into it"
    place = undisturbed.place.replace("/whole/", "/lost/")
    noted = local(place) / "folds" / "final" / "checkpoints" / "checkpoint.json"
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs,
        subprocess.Popen(
            [sys.executable, "-c", STARTED, str(lost), CONFIG.model_dump_json(), str(STORE_BYTES)],
            env=without_ray(RAY_TMPDIR=logs),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while len(curve_of(noted)) < 1:
                assert process.poll() is None, "it ended by itself"
                assert time.monotonic() < deadline, "it has not kept its first epoch"
                time.sleep(0.01)
        finally:
            for pid in sorted(members(process.pid), reverse=True):
                os.kill(pid, signal.SIGKILL)
    before = curve_of(noted)
    assert len(before) == 1, "killed in the middle"
    assert not (local(place) / "receipt.json").exists()
    again, epochs = with_a_lost_worker(lost)
    assert (again.place, again.found) == (place, False)
    assert epochs == [1, 2], "no epoch is done again that was kept"
    assert fitted(again).curve == fitted(undisturbed).curve
    assert weights(again) == weights(undisturbed), "to the last bit"


def curve_of(noted: pathlib.Path) -> list[Any]:
    if not noted.exists():
        return []
    curve: list[Any] = json.loads(noted.read_bytes())["curve"]
    return curve


def members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in pathlib.Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                state, _, _, its = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z" and int(its) == session:
                found.append(int(path.name))
    return found


def test_the_reason_of_lost_workers_is_a_sentence() -> None:
    """What is raised in a worker comes wrapped, what happens to it does not; a peer that is gone is a RuntimeError."""
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    full = UserExceptionWithTraceback(StorageError("No room is left."), "Traceback ...")
    gone = UserExceptionWithTraceback(RuntimeError("Connection closed by peer"), "Traceback ...")
    said = reason(ray.train.WorkerGroupError("two failed", {0: gone, 1: full}))
    assert (type(said), str(said)) == (StorageError, "No room is left.")
    lost = reason(ray.train.WorkerGroupError("two failed", {0: gone, 1: ray.exceptions.ActorDiedError()}))
    assert isinstance(lost, RayseeError)
    assert "it goes on from its last checkpoint" in str(lost)
    mistake = ray.train.WorkerGroupError("one failed", {0: gone})
    assert reason(mistake) is mistake


def test_an_error_of_all_workers_is_a_sentence_and_not_tried_again(small_lake: pathlib.Path) -> None:
    wild = CONFIG.model_copy(update={"training": TrainingConfig(epochs=3, learning_rate=1e30, batch_size=60)})
    starts: list[str] = []
    with pytest.raises(RayseeError, match="The loss of the model is nan after epoch .: lower the learning rate"):
        train_large(
            str(small_lake), wild, workers=(1, 1), on_progress=lambda done, total, remark: starts.append(remark)
        )
    assert starts.count("1 workers") == 1


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        ({}, {"workers": (400, 400)}, r"400 workers want a CPU each and the cluster has \d+: give fewer --workers"),
        ({}, {"workers": (400, 400), "gpus": True}, "want a GPU each and the cluster has 0.*or leave --gpus out"),
        ({}, {"workers": (2, 1)}, "2:1 workers .* cannot be: give --workers N"),
        ({}, {"workers": (0, 1)}, "0:1 workers .* cannot be: give --workers N"),
        ({"labels": ("joy",)}, {"workers": (1, 1)}, "Unknown labels joy"),
        (
            {"aggregation": "lstm"},
            {"workers": (1, 1)},
            "An LSTM over windows is fitted on one core: leave --workers out",
        ),
        ({"protocol": "loso"}, {"workers": (1, 1)}, "Unknown protocol 'loso'"),
    ],
)
def test_what_cannot_be_is_said(
    small_lake: pathlib.Path, change: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train_large(str(small_lake), CONFIG.model_copy(update=change), **more)
