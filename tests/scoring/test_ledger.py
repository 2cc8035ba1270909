import pathlib
import uuid

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee import schema, storage
from raysee.scoring import ledger


def recordings(*rows: tuple[str, int, str]) -> pa.Table:
    told = {"call_id": "", "roles": [], "carried": []}
    return pa.Table.from_pylist(
        [{"uri": uri, "size_bytes": size, "etag": etag, **told} for uri, size, etag in rows], schema=schema.RECORDINGS
    )


def keys(*names: str) -> pa.Array:
    return ledger.keys(recordings(*((name, 1, "tag") for name in names)))


def chunked(*names: str) -> pa.ChunkedArray:
    return pa.chunked_array([keys(*names)])


def test_a_call_is_its_place_size_and_tag() -> None:
    a = ("s3://calls/a.wav", 1000, "1")
    found = ledger.keys(recordings(a, ("s3://calls/b.wav", 1000, "1"), (a[0], 1001, "1"), (a[0], 1000, "2"), a))
    assert found.type == pa.binary(16)
    assert len(set(found.to_pylist())) == 4
    assert found[0] == found[4]
    # In every version, or what was scored would be scored again.
    assert found[0].as_py().hex() == "fd6bc8e7eceece503586d3effa8ccfd9"


def test_no_recordings_have_no_keys() -> None:
    assert keys().to_pylist() == []
    assert ledger.first_of_each(keys()).tolist() == []
    assert ledger.not_in(keys(), [chunked("a")]).tolist() == []
    assert ledger.not_in(keys("a"), []).tolist() == [True]


@given(st.lists(st.sampled_from("abcdef")))
def test_the_first_of_each_is_where_it_was_first_seen(names: list[str]) -> None:
    expected = [name not in names[:number] for number, name in enumerate(names)]
    assert ledger.first_of_each(keys(*names)).tolist() == expected


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), max_size=5),
    st.integers(1, 7),
)
def test_new_is_what_is_in_no_part(names: list[str], parts: list[list[str]], at_once: int) -> None:
    """However many parts are looked at together."""
    known = {name for part in parts for name in part}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "_AT_ONCE", at_once)
        found = ledger.not_in(keys(*names), (chunked(*part) for part in parts))
    assert found.tolist() == [name not in known for name in names]


def test_what_is_written_is_read(place: str) -> None:
    ledger.write(place, "work", "00000", keys("a", "b").to_pylist())
    ledger.write(place, "work", "00001", keys("c").to_pylist())
    ledger.write(place, "other", "00002", keys("d").to_pylist())
    ledger.write(place, "other", "00003", [])

    def known(work: str) -> list[str]:
        new = ledger.not_in(keys(*"abcde"), ledger.parts(place, work))
        return [name for name, its in zip("abcde", new, strict=True) if not its]

    assert known("") == ["a", "b", "c", "d"]
    assert known("work") == ["a", "b", "c"]
    assert known("other") == ["d"]
    assert known("never") == []


def test_a_batch_that_is_settled_again_is_there_once(place: str) -> None:
    for _ in range(2):
        ledger.write(place, "work", "00000", keys("a", "b").to_pylist())
    assert sum(len(part) for part in ledger.parts(place)) == 2


def test_what_a_killed_start_was_writing_is_passed_over(tmp_path: pathlib.Path) -> None:
    place = storage.normalise(tmp_path)
    ledger.write(place, "work", "00000", keys("a").to_pylist())
    half = tmp_path / ledger.NAME / "work" / f".00001.parquet.{uuid.uuid4().hex}.tmp"
    half.write_bytes(b"PAR1 half")
    assert [key for part in ledger.parts(place) for key in part.to_pylist()] == keys("a").to_pylist()
