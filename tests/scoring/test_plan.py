import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee import schema
from raysee.scoring.plan import call_id, extend, recordings
from raysee.storage import FileInfo

MIB = 2**20


def file(name: str, size_bytes: int = 1000, etag: str = "1") -> FileInfo:
    return FileInfo(f"s3://calls/{name}", size_bytes, etag)


def files(count: int, size_bytes: int = 1000, first: int = 0) -> list[FileInfo]:
    return [file(f"{number:05}.wav", size_bytes) for number in range(first, first + count)]


def planned(*nights: list[FileInfo]) -> pa.Table:
    plan = schema.empty(schema.CALL_PLAN)
    for night in nights:
        plan = extend(plan, night)
    return plan


def test_a_call_is_its_place_size_and_tag() -> None:
    same, other = file("a.wav"), [file("b.wav"), file("a.wav", 1001), file("a.wav", etag="2")]
    assert call_id(same) == call_id(file("a.wav"))
    assert len({call_id(one) for one in [same, *other]}) == 4
    assert call_id(same) == "16a1afacf594deac"  # on every machine: scores refer to it


def test_a_row_says_what_and_where() -> None:
    plan = planned([file("a.wav", 7, "tag")])
    assert plan.schema.equals(schema.CALL_PLAN)
    assert plan.to_pylist() == [
        {
            "call_id": call_id(file("a.wav", 7, "tag")),
            "uri": "s3://calls/a.wav",
            "size_bytes": 7,
            "etag": "tag",
            "shard": 0,
            "synthetic": False,
        }
    ]


@pytest.mark.parametrize(
    ("sizes", "shards"),
    [
        ([], []),
        ([1] * 64, [0] * 64),
        ([1] * 65, [0] * 64 + [1]),  # 64 calls at most
        ([16 * MIB, 16 * MIB, 1], [0, 0, 1]),  # 32 MiB at most
        ([40 * MIB, 1, 40 * MIB], [0, 1, 2]),  # one that is larger is a shard of its own
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_shards_are_of_like_size(sizes: list[int], shards: list[int]) -> None:
    plan = planned([file(f"{number:03}.wav", size) for number, size in enumerate(sizes)])
    assert plan["shard"].to_pylist() == shards
    assert plan["size_bytes"].to_pylist() == sizes


def test_what_is_planned_stays_and_new_calls_come_behind_in_new_shards() -> None:
    first = planned(files(3))
    second = extend(first, [file("000.wav"), *files(5)])
    assert second.slice(0, 3).equals(first)
    assert second["uri"].to_pylist()[3:] == [f"s3://calls/{name}.wav" for name in ("000", "00003", "00004")]
    assert second["shard"].to_pylist() == [0, 0, 0, 1, 1, 1]  # shard 0 may be done: it never grows


def test_the_same_listing_adds_nothing() -> None:
    plan = planned(files(100))
    assert extend(plan, files(100)).equals(plan)
    assert extend(plan, []).equals(plan)  # nor does one from which files have gone


def test_a_replaced_recording_is_another_call() -> None:
    plan = planned([file("a.wav"), file("b.wav")], [file("a.wav", etag="2"), file("b.wav")])
    assert plan["uri"].to_pylist() == ["s3://calls/a.wav", "s3://calls/b.wav", "s3://calls/a.wav"]
    assert len(set(plan["call_id"].to_pylist())) == 3


@given(nights=st.lists(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20 * MIB)), max_size=150), max_size=4))
def test_every_call_is_planned_once_in_shards_within_the_limits(nights: list[list[tuple[int, int]]]) -> None:
    listings = [sorted({file(f"{number:03}.wav", size) for number, size in night}) for night in nights]
    plan = planned(*listings)
    assert sorted(plan["call_id"].to_pylist()) == sorted({call_id(one) for night in listings for one in night})
    shards = plan["shard"].to_pylist()
    assert shards == sorted(shards)
    assert set(shards) == set(range(len(set(shards))))
    for shard in set(shards):
        sizes = [row["size_bytes"] for row in plan.to_pylist() if row["shard"] == shard]
        assert len(sizes) <= 64
        assert len(sizes) == 1 or sum(sizes) <= 32 * MIB


def test_recordings_are_told_by_their_endings() -> None:
    sound = ["a.wav", "b.WAV", "c.flac", "d.mp3", "e.ogg", "f.opus", "g.aiff", "h.aif", "i.gsm", "j.au", "2026.11.wav"]
    other = ["k.txt", "l.json", "m.json", "wav", "n.wav.part", ".wav", "._a.wav"]
    found, others = recordings([file(f"day/{name}") for name in sorted(sound + other)])
    assert [one.uri.rsplit("/", 1)[1] for one in found] == sorted(sound)
    assert others == {".json": 2, ".part": 1, ".txt": 1, "no ending": 1}
    assert recordings([]) == ([], {})
