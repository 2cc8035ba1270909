"""Stages as processes of their own, killed in the middle and started again: DESIGN.md, whole data, rule 3.

The first start is `python -m raysee` with a Ray of its own. SIGKILL ends either its process group, as an impatient
operator does (Ray's workers are in groups of their own and follow within a second or two, in which they may still
write), or all of its processes at once, as when a machine dies. The second start runs in this process.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from raysee import schema, storage
from raysee.config import RunConfig, ScoreConfig, TrainingConfig
from raysee.corpora import corpus
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.score import score
from raysee.distributed.train import train
from raysee.receipts import Stage
from raysee.synthesis.calls import write_calls

PATIENCE_S = 120.0
LITTER_S = 30.0
CLIPS = 4  # of sound, under all of RAVDESS's names
CALLS = 384  # names, six shards of 64
CUSTOMERS = ScoreConfig(channels=(("agent", "customer"),))
NIGHT = "2026-11-19"
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


def session_of(pid: int) -> int | None:
    """The session that a living process belongs to."""
    try:
        state, _, _, session = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(session)


def members(session: int) -> list[int]:
    """The living processes of a session."""
    pids = [int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if session_of(pid) == session]


def kill_in_the_middle(words: str, place: str, receipts: str, total: int, *, whole_machine: bool) -> dict[str, bytes]:
    """Start `raysee words`, kill it when some of its `total` receipts are there, and return these.

    `receipts` is the pattern of their names below `place`. Fails where the work ended before it could be killed.
    """
    folder = local(place)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs,  # short: Ray's sockets lie below it too
        subprocess.Popen(
            [sys.executable, "-m", "raysee", *words.split()],
            env={**environment, "RAY_TMPDIR": logs},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not list(folder.glob(receipts)):
                assert process.poll() is None, f"it ended by itself: {process.stdout and process.stdout.read()}"
                assert time.monotonic() < deadline, "it has written nothing"
                time.sleep(0.002)
        finally:
            kill(members(process.pid) if whole_machine else [])
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            leave_nobody(process)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob(receipts)}
    assert 1 <= len(found) < total, "killed in the middle"
    assert not (folder / "receipt.json").exists()
    return found


def kill(pids: list[int]) -> None:
    """The youngest first: workers before those who would notice."""
    for pid in sorted(pids, reverse=True):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def leave_nobody(process: subprocess.Popen[str]) -> None:
    """Wait until the last process of a killed session is gone; fails, and ends them by id, where they stay."""
    process.wait()
    deadline = time.monotonic() + LITTER_S
    while (left := members(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    names = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left if session_of(pid) == process.pid]
    kill(left)
    assert not names, f"still there {LITTER_S:.0f} s after the kill"


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


def test_score(undisturbed_training: Stage, tmp_path: pathlib.Path) -> None:
    sounds = write_calls(tmp_path / "sounds", calls=3, seconds=5.0)
    (tmp_path / "calls").mkdir()
    for number in range(CALLS):
        os.link(sounds[number % 3], tmp_path / "calls" / f"call-{number:04}.wav")
    (tmp_path / "calls" / "call-9999.wav").write_text("one that is rejected" * 10)
    calls, model, place = str(tmp_path / "calls"), undisturbed_training.place, storage.normalise(tmp_path / "scores")
    (whole,) = score(calls, model, str(tmp_path / "undisturbed"), CUSTOMERS, date=NIGHT)
    words = f"score {calls} --channels agent,customer --night {NIGHT} --model {model} --to {place}"
    before = kill_in_the_middle(words, place, "done/00000/part-*.json", total=7, whole_machine=True)
    assert storage.names(storage.join(place, "nights")) == set()
    assert storage.names(storage.join(place, "ledger")) == set(), "nothing is settled before all is done"
    (again,) = score(calls, model, place, CUSTOMERS, date=NIGHT)
    assert not again.found
    assert again.receipt.counts == {"in": CALLS + 1, "out": CALLS, "rejected": 1, "already": 0}
    assert kept(place, before)
    assert_alike(again, whole)
    for name, its_schema, *keys in (
        (f"calls/date={NIGHT}", schema.CALLS, "key", "channel"),
        (f"segments/date={NIGHT}", schema.SEGMENTS, "key", "channel", "start_s"),
        (f"rejects/date={NIGHT}", schema.REJECTS, "id"),
        ("batches/00000.parquet", schema.CALL_PLAN, "key"),
        (f"ledger/{whole.receipt.details['work']}/00000.parquet", schema.LEDGER, "key"),
    ):
        assert table(place, name, its_schema, *keys).equals(table(whole.place, name, its_schema, *keys)), name
    assert score(calls, model, place, CUSTOMERS, date=NIGHT)[0].found
