import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee import schema
from raysee.errors import ConfigurationError
from raysee.training.clips import load, pad, padded_batches

Array = npt.NDArray[np.float32]


def clip(num_frames: int, value: float = 1.0, num_columns: int = 2) -> Array:
    return np.full((num_frames, num_columns), value, np.float32)


def utterances(**clips: tuple[str, str]) -> pa.Table:
    """clip_id = (speaker, label)"""
    common = dict.fromkeys(schema.UTTERANCES.names, "x") | {"start_s": None, "end_s": None, "size_bytes": 1}
    rows = [{**common, "clip_id": name, "speaker": who, "label": what} for name, (who, what) in clips.items()]
    return pa.Table.from_pylist(rows, schema=schema.UTTERANCES)


def features(**arrays: Array) -> pa.Table:
    rows = [
        {
            "clip_id": name,
            "content_sha256": "0",
            "duration_s": 1.0,
            "sample_rate_hz": 16_000,
            "shape": array.shape,
            "values": array.ravel(),
        }
        for name, array in arrays.items()
    ]
    return pa.Table.from_pylist(rows, schema=schema.FEATURES)


def test_clips_come_by_name_with_speaker_label_and_features() -> None:
    known = utterances(a=("s1", "fear"), b=("s2", "anger"), c=("s1", "neutral"))
    clips = load(known, features(c=clip(3, 3.0), a=clip(2, 1.0), b=clip(1, 2.0)), ["anger", "fear", "neutral"])
    assert clips.clip_ids == ["a", "b", "c"]
    assert clips.speakers == ["s1", "s2", "s1"]
    assert clips.labels == ["fear", "anger", "neutral"]
    assert (len(clips), clips.num_columns) == (3, 2)
    for number, (num_frames, value) in enumerate([(2, 1.0), (1, 2.0), (3, 3.0)]):
        assert np.array_equal(clips.array(number), clip(num_frames, value))
        assert np.shares_memory(clips.array(number), clips.values)


def test_only_clips_with_features_and_a_wanted_label_are_kept() -> None:
    known = utterances(a=("s1", "fear"), b=("s2", "anger"), rejected=("s1", "anger"))
    clips = load(known, features(b=clip(1), a=clip(2), of_another_manifest=clip(3)), ["anger"])
    assert clips.clip_ids == ["b"]
    with pytest.raises(ConfigurationError, match="None of 1 clips with features is one of neutral"):
        load(known, features(b=clip(1)), ["neutral"])


@pytest.mark.parametrize(
    ("lengths", "multiple", "num_frames"),
    [([1], 64, 64), ([64], 64, 64), ([65], 64, 128), ([3, 64, 10], 64, 64), ([3, 5], 1, 5)],
)
def test_zeros_behind_each_clip_up_to_the_multiple(lengths: list[int], multiple: int, num_frames: int) -> None:
    batch = pad([clip(length, number + 1.0) for number, length in enumerate(lengths)], multiple).numpy()
    assert batch.shape == (len(lengths), num_frames, 2)
    assert batch.dtype == np.float32
    for number, length in enumerate(lengths):
        assert (batch[number, :length] == number + 1).all()
        assert (batch[number, length:] == 0).all()


@given(lengths=st.lists(st.integers(1, 300), max_size=40), batch_size=st.integers(1, 9))
def test_every_clip_is_in_one_batch_beside_those_of_its_length(lengths: list[int], batch_size: int) -> None:
    clips = [clip(length, number + 1.0) for number, length in enumerate(lengths)]
    batches = list(padded_batches(clips, batch_size, 64))
    order = [position for positions, _ in batches for position in positions.tolist()]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[position] for position in order] == sorted(lengths)
    assert [len(positions) for positions, _ in batches[:-1]] == [batch_size] * (len(batches) - 1)
    for positions, batch in batches:
        longest = max(lengths[position] for position in positions)
        assert batch.shape[1] % 64 == 0
        assert longest <= batch.shape[1] < longest + 64
        for position, row in zip(positions.tolist(), batch.numpy(), strict=True):
            assert np.array_equal(row[: lengths[position]], clips[position])
            assert not row[lengths[position] :].any()


def test_clips_of_one_length_stay_in_their_order() -> None:
    """Which clips share a batch must not depend on how a sort breaks ties."""
    lengths = [1 + number * 7 % 3 for number in range(400)]
    batches = padded_batches([clip(length) for length in lengths], 32, 1)
    order = [position for positions, _ in batches for position in positions.tolist()]
    assert order == sorted(range(400), key=lengths.__getitem__)
