"""A night that is killed at random moments, again and again, has the rows of one that was not.

`make test` kills once; `make chaos` 20 times (RAYSEE_CHAOS_KILLS), from a seed that a failure
prints (RAYSEE_CHAOS_SEED), and has the object store fail (RAYSEE_AT_LENGTH).
"""

import contextlib
import itertools
import os
import pathlib
import random
import subprocess
import tempfile
import time
from typing import Any

import pytest
import soundfile

from raysee import schema, storage
from raysee.scoring import batches, ledger
from raysee.synthesis.calls import write_calls

from ..environment import at_length
from ..faulty_s3 import FaultyS3, Request
from . import killing

CALLS = 160  # names, three shards of 64 or less
KILLS = int(os.environ.get("RAYSEE_CHAOS_KILLS", "1"))
SEED = int(os.environ.get("RAYSEE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
VICTIMS = ("driver", "worker", "raylet", "machine")
PATIENCE_S = 180.0
ORPHANS_S = 3.0
DEADLY_HZ = 11_025


@pytest.fixture(scope="module")
def words(model: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command, but for where it writes."""
    root = tmp_path_factory.mktemp("chaos")
    sounds = write_calls(root / "sounds", calls=3, seconds=4.0)
    (root / "calls").mkdir()
    for number in range(CALLS):
        os.link(sounds[number % 3], root / "calls" / f"call-{number:04}.wav")
    (root / "calls" / "call-9999.wav").write_text("one that is rejected" * 10)
    return ["score", str(root / "calls"), "--model", model, "--channels", "agent,customer", "--night", "2026-11-19"]


@pytest.fixture(scope="module")
def whole(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """An undisturbed night, and how long it took."""
    place = str(tmp_path_factory.mktemp("chaos") / "whole")
    return place, run([*words, "--to", place])


@pytest.mark.timeout(600 + 60 * KILLS)
def test_nights_that_are_killed_again_and_again_are_nights(
    words: list[str], whole: tuple[str, float], tmp_path: pathlib.Path
) -> None:
    chance, longest_s = random.Random(SEED), whole[1]
    killed: list[str] = []
    places = (str(tmp_path / f"after-{number}") for number in itertools.count())
    while len(killed) < KILLS:
        place, before, took_s = next(places), len(killed), None
        while len(killed) < KILLS and took_s is None:
            took_s = killed_in_the_middle([*words, "--to", place], longest_s, chance, killed)
        if took_s is not None and len(killed) == before:
            longest_s = min(longest_s, took_s)  # the first one was slower: all moments would come too late
        run([*words, "--to", place])
        assert_alike(place, whole[0], f"after {killed}, RAYSEE_CHAOS_SEED={SEED}")


@at_length
def test_a_store_that_fails_now_and_then_costs_no_call(
    words: list[str], whole: tuple[str, float], bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and writing: what could not be read is no row of scores, and comes with the next start."""
    for path in sorted(pathlib.Path(words[1]).iterdir()):
        storage.write_bytes(storage.join(bucket, "calls", path.name), path.read_bytes())
    chance = random.Random(SEED)

    def now_and_then(request: Request) -> str:
        faults = ("slow down", "reset", "truncate") if request.method == "GET" else ("slow down", "reset")
        return chance.choice(faults) if chance.random() < 0.05 else ""

    scores = storage.join(bucket, "scores")
    command = ["score", storage.join(bucket, "calls"), *words[2:], "--to", scores, "--max-rejects", "1"]
    with FaultyS3(s3_server, now_and_then) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        run(command)
    assert len(proxy.faults) > 10
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    run(command)
    ours, theirs = (
        sorted(rows(one, "calls", schema.CALLS), key=lambda row: (row["call_id"], row["channel"]))
        for one in (scores, whole[0])
    )
    for name in ("call_id", "channel", "talk_s"):
        assert [row[name] for row in ours] == [row[name] for row in theirs]
    # The second start's batches are smaller, and the last bit of a float32 is theirs.
    for our_row, their_row in zip(ours, theirs, strict=True):
        assert our_row["shares"] == pytest.approx(their_row["shares"], abs=1e-6)


def test_a_recording_that_kills_its_workers_is_rejected_and_the_others_are_scored(
    words: list[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, scores = tmp_path / "calls", str(tmp_path / "scores")
    deadly, *others = write_calls(calls, calls=3, seconds=4.0)
    samples, _ = soundfile.read(deadly)
    soundfile.write(deadly, samples, DEADLY_HZ)
    # No file is known that breaks libsndfile: each Python process imports this module when it starts.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, soundfile\n"
        "init = soundfile.SoundFile.__init__\n"
        "def broken(self, *args, **options):\n"
        "    init(self, *args, **options)\n"
        f"    if self.samplerate == {DEADLY_HZ}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "soundfile.SoundFile.__init__ = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run(["score", str(calls), *words[2:], "--to", scores, "--max-rejects", "1"])
    (reject,) = rows(scores, "rejects", schema.REJECTS)
    assert (reject["uri"], reject["error"]) == (storage.normalise(deadly), "FatalRecording")
    assert {row["uri"] for row in rows(scores, "calls", schema.CALLS)} == set(map(storage.normalise, others))
    assert not list(tmp_path.glob("scores/begun/*/*"))


def assert_alike(place: str, whole: str, when: str) -> None:
    for name, its_schema in (("calls", schema.CALLS), ("segments", schema.SEGMENTS), ("rejects", schema.REJECTS)):
        ours, theirs = (rows(one, name, its_schema) for one in (place, whole))
        assert ours == theirs, f"{name} {when}"
    ours, theirs = (
        [receipt.fingerprint for receipt in batches.nights(storage.normalise(one), 9)] for one in (place, whole)
    )
    assert ours == theirs, when
    (settled,) = ledger.parts(storage.normalise(place))
    assert len(settled.unique()) == len(settled) == CALLS + 1, when


def run(words: list[str]) -> float:
    """The seconds that an undisturbed start takes."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs, killing.start(words, logs) as process:
        try:
            told, _ = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, told
        finally:
            killing.kill(killing.members(process.pid))
    return time.monotonic() - began


def killed_in_the_middle(words: list[str], longest_s: float, chance: random.Random, killed: list[str]) -> float | None:
    """Start, and at a moment kill somebody, who is added to `killed`. The seconds that it took where the work is done:
    it ended first, or it lost only a worker, which it must survive."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs, killing.start(words, logs) as process:
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                told, _ = process.communicate(timeout=chance.uniform(0.2, 1.0) * longest_s)
                assert process.returncode == 0, told
                return time.monotonic() - began
            victim = chance.choice([one for one in VICTIMS if [one] != killed[-1:]])
            if not (pids := chosen(process.pid, victim, chance)):  # not there yet, or not any more
                victim, pids = "driver", [process.pid]
            killing.kill(pids)
            killed.append(victim)
            if victim == "worker":
                told, _ = process.communicate(timeout=PATIENCE_S)
                assert process.returncode == 0, told
                return time.monotonic() - began
            # Who was left behind may still write: Ray's workers follow their driver within a second or two.
            time.sleep(chance.uniform(0, ORPHANS_S))
            return None
        finally:
            killing.kill(killing.members(process.pid))


def chosen(session: int, victim: str, chance: random.Random) -> list[int]:
    """The processes to kill, none where they are not there."""
    # Not Ray's agents: a node ends with them.
    workers = killing.named(session, "ray::IDLE", "ray::Map", "ray::_do")
    return {
        "driver": [session],
        "worker": chance.sample(workers, min(len(workers), 1)),
        "raylet": killing.named(session, "raylet"),
        "machine": killing.members(session),
    }[victim]


def rows(place: str, name: str, its_schema: Any) -> list[dict[str, Any]]:
    """Of all nights, in an order of their own; each once."""
    found = sorted(batches.read(storage.normalise(place), name, its_schema).to_pylist(), key=repr)
    assert all(one != other for one, other in itertools.pairwise(found))
    return found
