import os
import pathlib
from collections.abc import Iterator, Sequence

from raysee import storage
from raysee.errors import AudioError
from raysee.scoring import deaths
from raysee.storage import FileInfo

FILES = [FileInfo(name, 1, "1") for name in ("a", "b", "c", "d")]


def attempt(note: str, opened: list[str], fatal: Sequence[str] = (), start: str = "one") -> list[object]:
    """What an attempt at the shard is given; it notes what it opens, and dies at a fatal one."""

    def open_each(files: Sequence[FileInfo]) -> Iterator[AudioError]:
        for file in files:
            opened.append(file.uri)
            if file.uri in fatal:
                os._exit(9)
            yield AudioError(file.uri)

    with deaths.noted(note, start, open_each) as opening:
        return list(opening(FILES))


def dies(note: str, fatal: Sequence[str], start: str = "one") -> bool:
    """An attempt in a process of its own."""
    if not (pid := os.fork()):
        attempt(note, [], fatal, start)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def test_a_recording_at_which_worker_after_worker_died_is_not_opened_again(tmp_path: pathlib.Path) -> None:
    note = storage.normalise(tmp_path / "note.json")
    # The first attempt does not know yet that it should look where it is.
    num_deaths = [dies(note, "c") for _ in range(10)].index(False)
    assert num_deaths == 1 + deaths.MOST
    assert not storage.exists(note), "the shard was done"


def test_the_others_are_opened_in_their_order(tmp_path: pathlib.Path) -> None:
    note = storage.normalise(tmp_path / "note.json")
    assert [dies(note, "bd") for _ in range(1 + 2 * deaths.MOST)] == [True] * (1 + 2 * deaths.MOST)
    opened: list[str] = []
    a, b, c, d = attempt(note, opened, "bd")
    assert opened == ["a", "c"]
    assert [str(one) for one in (a, c)] == ["a", "c"]
    assert isinstance(b, deaths.FatalRecording)
    assert isinstance(d, deaths.FatalRecording)
    assert "b: 3 workers died" in str(b)


def test_machines_that_go_at_other_recordings_each_time_reject_nothing(tmp_path: pathlib.Path) -> None:
    note = storage.normalise(tmp_path / "note.json")
    assert all(dies(note, one) for one in "aabbccdd")
    assert [str(one) for one in attempt(note, [])] == ["a", "b", "c", "d"]


def test_starts_that_are_killed_while_a_long_call_is_open_do_not_reject_it(tmp_path: pathlib.Path) -> None:
    note = storage.normalise(tmp_path / "note.json")
    assert all(dies(note, "a", f"start {number}") for number in range(9))
    assert [str(one) for one in attempt(note, [], start="the last one")] == ["a", "b", "c", "d"]


def test_deaths_within_a_start_are_remembered_over_starts(tmp_path: pathlib.Path) -> None:
    note = storage.normalise(tmp_path / "note.json")
    assert all(dies(note, "a", start) for start in ("one", "one", "one", "two", "two"))
    first, *_ = attempt(note, [], start="two")
    assert isinstance(first, deaths.FatalRecording)


def test_an_exception_is_no_death(tmp_path: pathlib.Path) -> None:
    note = storage.normalise(tmp_path / "note.json")
    try:
        with deaths.noted(note, "one", lambda files: iter(())):
            assert storage.exists(note)
            raise AudioError
    except AudioError:
        assert not storage.exists(note)
