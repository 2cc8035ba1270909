import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from raysee import lock, storage
from raysee.errors import BusyError
from raysee.filesystems import path_of
from raysee.lock import Lock
from raysee.swap import read_if_there, swap

from .faulty_s3 import FaultyS3, Request

HOLD = """
import sys, time
from raysee.lock import Lock
held = Lock(sys.argv[1])
print("held", flush=True)
time.sleep(100)
"""


def told(place: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(storage.read_bytes(storage.join(place, lock.NAME)))
    return found


def leave_behind(place: str, **changed: Any) -> None:
    """The file of a start that has ended without a word."""
    with Lock(place):
        held = told(place)
    storage.write_bytes(storage.join(place, lock.NAME), json.dumps(held | changed).encode())


def test_one_start_at_a_time(place: str) -> None:
    with Lock(place):
        with pytest.raises(BusyError, match=rf"process {os.getpid()} on .* is working on {place}: let it finish"):
            Lock(place)
        assert told(place)["pid"] == os.getpid()
    assert storage.names(place) == set(), "it leaves nothing behind"
    with Lock(place):
        pass


def test_a_killed_start_of_this_machine_is_known_at_once(place: str, s3_server: str) -> None:
    command = [sys.executable, "-c", HOLD, place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {process.pid} on"):
            Lock(place)
        process.send_signal(signal.SIGKILL)
    with Lock(place):
        assert told(place)["pid"] == os.getpid()


def test_a_number_that_another_process_has_got_is_not_the_same_process(place: str) -> None:
    leave_behind(place, born="1")
    Lock(place).release()


def test_another_machine_that_says_nothing_more_is_taken_over(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.1)
    monkeypatch.setattr(lock, "STALE_S", 0.5)
    leave_behind(place, machine="elsewhere 1 2")
    began = time.monotonic()
    with Lock(place):
        assert time.monotonic() - began >= 0.5
        assert told(place)["machine"] != "elsewhere 1 2"


def test_another_machine_that_goes_on_is_left_alone(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    monkeypatch.setattr(lock, "STALE_S", 30.0)
    with Lock(place):
        monkeypatch.setattr(lock, "_machine", lambda: "elsewhere 1 2")
        with pytest.raises(BusyError, match="is working on"):
            Lock(place)


def test_a_start_that_was_taken_over_is_told_and_takes_nothing_away(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    first = Lock(place)
    first.check()
    storage.write_bytes(storage.join(place, lock.NAME), b"{}")
    first._thread.join(20)
    with pytest.raises(BusyError, match="Another start has taken"):
        first.check()
    first.release()
    assert storage.read_bytes(storage.join(place, lock.NAME)) == b"{}"


def test_it_says_all_the_time_that_it_lives(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    with Lock(place) as held:
        deadline = time.monotonic() + 20
        while told(place)["beat"] < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert told(place)["beat"] >= 4
        held.check()


@pytest.mark.parametrize("lost", [range(1), range(1, 2), range(1, 9)], ids=["taken", "a beat", "beats given up"])
def test_an_answer_of_the_store_that_is_lost_loses_no_lock(
    lost: range, bucket: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has written, the client asks again, and is told that another was first: itself."""
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    puts = itertools.count()

    def lose(request: Request) -> str:
        return "lose" if request.method == "PUT" and lock.NAME in request.path and next(puts) in lost else ""

    with FaultyS3(s3_server, lose) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with Lock(bucket) as held:
            deadline = time.monotonic() + 60
            while len(proxy.faults) < len(lost) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert len(proxy.faults) == len(lost)
            beat = told(bucket)["beat"]
            while told(bucket)["beat"] < beat + 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            held.check()
            assert told(bucket)["beat"] >= beat + 2, "it goes on"
        assert storage.names(bucket) == set()


def test_of_many_that_try_at_once_one_succeeds(place: str) -> None:
    uri = storage.join(place, "x")
    for expected in (None, b"first"):
        if expected is not None:
            storage.write_bytes(uri, expected)
        won: list[int] = []
        gate = threading.Barrier(8)

        def attempt(number: int, expected: bytes | None = expected, won: list[int] = won, gate: Any = gate) -> None:
            gate.wait()
            if swap(uri, f"by {number}".encode(), expected):
                won.append(number)

        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert storage.read_bytes(uri) == f"by {won[0]}".encode()


def test_while_it_is_exchanged_nobody_finds_it_gone(place: str) -> None:
    uri = storage.join(place, "x")
    storage.write_bytes(uri, b"0")
    stolen: list[bool] = []
    over = threading.Event()

    def steal() -> None:
        while not over.is_set():
            stolen.append(swap(uri, b"stolen", None))

    thread = threading.Thread(target=steal)
    thread.start()
    beats = [swap(uri, str(beat + 1).encode(), str(beat).encode()) for beat in range(60)]
    over.set()
    thread.join()
    assert all(beats)
    assert stolen
    assert not any(stolen)
    if place.startswith("file://"):
        left = os.listdir(path_of(place))
        assert left == ["x"], "nor is what keeps them apart left behind"


def test_what_is_something_else_by_now_stays(place: str) -> None:
    uri = storage.join(place, "x")
    assert read_if_there(uri) is None
    assert not swap(uri, b"new", b"old"), "there is none"
    assert swap(uri, b"one", None)
    assert not swap(uri, b"two", None)
    assert not swap(uri, b"two", b"zero")
    assert read_if_there(uri) == b"one"
    assert swap(uri, b"two", b"one")
    assert read_if_there(uri) == b"two"
    assert storage.names(place) == {"x"}, "nothing temporary is left"


def test_a_lock_is_no_output(tmp_path: pathlib.Path) -> None:
    """A place with nothing but a lock is empty to what clears it."""
    from raysee import receipts

    place = storage.normalise(tmp_path)
    with Lock(place):
        receipts.clear(place, "train")
        assert told(place)["pid"] == os.getpid()
