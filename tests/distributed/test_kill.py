"""Stages as processes of their own, killed in the middle and started again: DESIGN.md, whole data, rule 3.

The first start is `python -m raysee` with a Ray of its own. SIGKILL ends either its process group, as an impatient
operator does (Ray's workers are in groups of their own and follow within a second or two, in which they may still
write), or all of its processes at once, as when a machine dies. The second start runs in this process. Nights are in
test_chaos.py.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from raysee import schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora import corpus
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.train import train
from raysee.receipts import Stage

from . import killing

PATIENCE_S = 120.0
CLIPS = 4  # of sound, under all of RAVDESS's names
CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    labels=("anger", "neutral", "sadness"),
    repeats=2,
    training=TrainingConfig(epochs=6, learning_rate=1e-3),
)
TRAIN = (
    "train --corpus emodb --size debug --labels anger,neutral,sadness --repeats 2 --epochs 6 --set learning_rate=1e-3"
)


def kill_in_the_middle(words: str, place: str, receipts: str, total: int, *, whole_machine: bool) -> dict[str, bytes]:
    """Start `raysee words`, kill it when some of its `total` receipts are there, and return these.

    `receipts` is the pattern of their names below `place`. Fails where the work ended before it could be killed.
    """
    folder = local(place)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs,  # short: Ray's sockets lie below it too
        killing.start(words.split(), logs) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not list(folder.glob(receipts)):
                assert process.poll() is None, f"it ended by itself: {process.stdout and process.stdout.read()}"
                assert time.monotonic() < deadline, "it has written nothing"
                time.sleep(0.002)
        finally:
            killing.kill(killing.members(process.pid) if whole_machine else [])
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            killing.leave_nobody(process)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob(receipts)}
    assert 1 <= len(found) < total, "killed in the middle"
    assert not (folder / "receipt.json").exists()
    return found


def local(uri: str) -> pathlib.Path:
    """The path of a file:// URI."""
    return pathlib.Path(uri.removeprefix("file://"))


def table(place: str, name: str, its_schema: pa.Schema, *keys: str) -> pa.Table:
    """A table below `place` in the order of its keys, of which no two rows share one."""
    read = storage.read_table(storage.join(place, name), its_schema)
    rows = list(zip(*(read[key].to_pylist() for key in keys), strict=True))
    assert len(set(rows)) == len(rows) > 0
    return read.sort_by([(key, "ascending") for key in keys])


def kept(place: str, before: dict[str, bytes]) -> bool:
    """Whether the receipts that were there before the kill are untouched; their wall times tell."""
    return {name: (local(place) / name).read_bytes() for name in before} == before


def assert_alike(stage: Stage, other: Stage) -> None:
    """The two have done the same work; only times may differ."""
    ours, theirs = (
        (one.receipt.fingerprint, one.receipt.config, one.receipt.counts, one.receipt.rejects) for one in (stage, other)
    )
    assert ours == theirs


@pytest.fixture
def ravdess_lake(emodb_tree: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[str]:
    """A lake with the manifest of RAVDESS: all of its 1,440 names over a few synthetic clips."""
    sounds = sorted(emodb_tree.rglob("*.wav"))[:CLIPS]
    for number, name in enumerate(sorted(corpus("ravdess").expected_ids())):
        path = tmp_path / "ravdess" / f"Actor_{name[-2:]}" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(sounds[number % CLIPS], path)
    (tmp_path / "ravdess" / "Actor_01" / "03-01-01-01-01-01-01.wav").unlink()
    (tmp_path / "ravdess" / "Actor_01" / "03-01-01-01-01-01-01.wav").write_text("one that is rejected" * 10)
    root = str(tmp_path / "lake")
    assert manifest(root, "ravdess", str(tmp_path / "ravdess")).receipt.counts["out"] == 1440
    yield root
    shutil.rmtree(tmp_path / "ravdess")


@pytest.fixture(scope="module")
def emodb_lake(ray_session: None, emodb_tree: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A lake of files with the manifest and the features of three speakers."""
    root = tmp_path_factory.mktemp("kill") / "lake"
    manifest(str(root), "emodb", str(emodb_tree), allow_count_mismatch=True)
    extract(str(root), "emodb", ["logmel40"])
    return root


@pytest.fixture(scope="module")
def undisturbed_training(emodb_lake: pathlib.Path) -> Stage:
    shutil.copytree(emodb_lake, emodb_lake.with_name("undisturbed"))
    return train(str(emodb_lake.with_name("undisturbed")), CONFIG)


def test_extract(ray_session: None, ravdess_lake: str, tmp_path: pathlib.Path) -> None:
    shutil.copytree(ravdess_lake, tmp_path / "undisturbed")
    (whole,) = extract(str(tmp_path / "undisturbed"), "ravdess", ["logmel40"])
    place = whole.place.replace("/undisturbed/", "/lake/")
    words = f"extract --corpus ravdess --features logmel40 --to {ravdess_lake}"
    before = kill_in_the_middle(words, place, "done/part-*.json", total=6, whole_machine=True)
    (again,) = extract(ravdess_lake, "ravdess", ["logmel40"])
    assert (again.place, again.found) == (place, False)
    assert again.receipt.counts == {"in": 1440, "out": 1439, "rejected": 1}
    assert kept(place, before)
    assert_alike(again, whole)
    for name, its_schema, key in (("clips", schema.FEATURES, "clip_id"), ("rejects", schema.REJECTS, "id")):
        assert table(place, name, its_schema, key).equals(table(whole.place, name, its_schema, key))
    assert extract(ravdess_lake, "ravdess", ["logmel40"])[0].found


def test_the_receipt_adds_up(undisturbed_training: Stage) -> None:
    counts = undisturbed_training.receipt.counts
    assert counts["in"] == counts["out"] + counts["rejected"]


def test_train(emodb_lake: pathlib.Path, undisturbed_training: Stage) -> None:
    whole = undisturbed_training
    place = whole.place.replace("/undisturbed/", "/lake/")
    before = kill_in_the_middle(
        f"{TRAIN} --to {emodb_lake}", place, "folds/*/receipt.json", total=7, whole_machine=False
    )
    again = train(str(emodb_lake), CONFIG)
    assert (again.place, again.found) == (place, False)
    assert kept(place, before)
    assert_alike(again, whole)
    assert again.receipt.details["metrics"] == whole.receipt.details["metrics"]
    keys = ("repeat", "fold", "clip_id")
    ours, theirs = (table(one, "predictions.parquet", schema.PREDICTIONS, *keys) for one in (place, whole.place))
    assert ours.equals(theirs), "to the last bit of every probability"
    assert ours.num_rows == 2 * 3 * 3 * 10
    weights = [storage.read_bytes(storage.join(one, "model.safetensors")) for one in (place, whole.place)]
    assert weights[0] == weights[1]
    assert train(str(emodb_lake), CONFIG).found
