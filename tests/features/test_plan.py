import pytest

from raysee.features.plan import assign, clips_per_shard


@pytest.mark.parametrize(
    ("num_clips", "size"), [(1, 64), (1024, 64), (1025, 65), (4096, 256), (25_000, 256), (1_000_000, 256)]
)
def test_shards_grow_with_the_corpus_up_to_what_a_worker_should_hold(num_clips: int, size: int) -> None:
    assert clips_per_shard(num_clips) == size


@pytest.mark.parametrize(
    ("values_per_clip", "size"), [(1, 256), (64_000, 256), (320_000, 104), (10**6, 33), (10**9, 1)]
)
def test_large_arrays_make_small_shards(values_per_clip: int, size: int) -> None:
    assert clips_per_shard(100_000, values_per_clip) == size


def test_a_first_plan_is_in_order() -> None:
    assert assign({}, [f"{number:03}" for number in range(130)]) == [0] * 64 + [1] * 64 + [2] * 2


def test_clips_stay_where_they_are() -> None:
    planned = {"a": 0, "b": 0, "c": 4}
    assert assign(planned, ["a", "aa", "c", "d"]) == [0, 5, 4, 5]


def test_new_clips_fill_shards_of_their_own() -> None:
    shards = assign({"a": 3}, ["a", *(f"b{number:03}" for number in range(100))])
    assert shards == [3] + [4] * 64 + [5] * 36
