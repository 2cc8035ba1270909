import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from raysee import schema
from raysee.errors import ConfigurationError
from raysee.training.clips import examples, load, with_copies

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
    assert (len(clips), clips.shape) == (3, (2,))
    for number, (num_frames, value) in enumerate([(2, 1.0), (1, 2.0), (3, 3.0)]):
        assert np.array_equal(clips.array(number), clip(num_frames, value))
        assert np.shares_memory(clips.array(number), clips.values)


def test_only_clips_with_features_and_a_wanted_label_are_kept() -> None:
    known = utterances(a=("s1", "fear"), b=("s2", "anger"), rejected=("s1", "anger"))
    clips = load(known, features(b=clip(1), a=clip(2), of_another_manifest=clip(3)), ["anger"])
    assert clips.clip_ids == ["b"]
    with pytest.raises(ConfigurationError, match="Of 3 clips 1 have features, and none of these is one of neutral"):
        load(known, features(b=clip(1)), ["neutral"])


def test_arrays_of_any_number_of_dimensions_lie_end_to_end() -> None:
    known = utterances(a=("s1", "fear"), b=("s2", "anger"))
    images = {"a": np.zeros((2, 4, 4, 3), np.float32), "b": np.ones((1, 4, 4, 3), np.float32)}
    clips = load(known, features(**images), ["anger", "fear"])
    assert clips.shape == (4, 4, 3)
    assert np.array_equal(clips.array(1), images["b"])


def test_an_example_is_a_clip_a_row_or_a_window() -> None:
    offsets = np.array([0, 2, 3, 7])
    by_clip = examples(offsets, (5,), "clip", 10)
    assert [column.tolist() for column in by_clip] == [[0, 1, 2], [0, 2, 3], [2, 1, 4]]
    by_row = examples(offsets, (5,), "row", 10)
    assert [column.tolist() for column in by_row] == [[0, 0, 1, 2, 2, 2, 2], [0, 1, 2, 3, 4, 5, 6], [1] * 7]
    # Windows of 4 rows are 1 s: one every 250 ms begins at every row; a clip of 4 rows has one, and one of 6 three.
    by_window = examples(np.array([0, 4, 10]), (4, 3), "window", 250)
    assert [column.tolist() for column in by_window] == [[0, 1, 1, 1], [0, 4, 5, 6], [4] * 4]
    assert examples(np.array([0, 4, 10]), (4, 3), "window", 500).start.tolist() == [0, 4, 6]


def test_of_altered_copies_the_ones_are_heard_whose_like_are_trained_on() -> None:
    """Clip a has four chunks, and copies at its speed and faster; b has two, and c is none of the clips."""
    seen = examples(np.array([0, 4, 6]), (3,), "row", 10)
    copies = examples(np.array([0, 4, 6, 8, 9]), (3,), "row", 10)
    copied, trained = ["a", "a", "b", "c"], np.array([0, 3, 4])
    both, train, copy = with_copies(seen, ["a", "b"], trained, copies._replace(start=copies.start + 6), copied)
    # Chunks 0 and 3 of a are trained on; the two of the faster copy have their middles in a's chunks 1 and 3.
    assert train.tolist() == [0, 3, 4, 6, 7, 8, 9]
    assert both.clip[6:].tolist() == [0, 0, 0, 1]
    assert both.start[6:].tolist() == [6, 9, 11, 12]
    assert copy.tolist() == [0, 0, 1, 2]
    assert both.clip[:6].tolist() == seen.clip.tolist()


def test_of_copies_of_clips_that_are_trained_on_whole_all_are_heard() -> None:
    seen = examples(np.array([0, 4, 6]), (3,), "row", 10)
    copies = examples(np.array([0, 3, 9]), (3,), "row", 10)
    _, train, copy = with_copies(seen, ["a", "b"], np.array([0, 1, 2, 3]), copies, ["a", "b"])
    assert len(train) == 4 + 3
    assert set(copy.tolist()) == {0}
