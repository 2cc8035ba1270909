from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.frames import Frames

Array = npt.NDArray[np.float32]


def noise(num_samples: int) -> Array:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def frames_by_definition(samples: Array, num_frames: int) -> Array:
    """Frame by frame: what there is of the first 80,000 samples, and zeros where there is nothing."""
    rows = np.zeros((num_frames, 640), np.float32)
    for number in range(num_frames):
        inside = samples[:80_000][160 * number : 160 * number + 640]
        rows[number, : len(inside)] = inside
    return rows


@pytest.mark.parametrize("num_samples", [1, 80, 160, 161, 640, 641, 48_000, 79_999, 80_000, 80_001, 160_000])
def test_it_is_what_the_definition_says(num_samples: int) -> None:
    samples = noise(num_samples)
    found = Frames()(samples)
    assert found.dtype == np.float32
    assert found.shape == (500, Frames().num_columns) == (500, 640)
    np.testing.assert_array_equal(found, frames_by_definition(samples, 500))


@pytest.mark.parametrize(
    ("num_samples", "num_frames"), [(1, 1), (160, 1), (161, 2), (48_000, 300), (80_000, 500), (160_000, 500)]
)
def test_without_padding_a_frame_begins_in_the_clip(num_samples: int, num_frames: int) -> None:
    samples = noise(num_samples)
    np.testing.assert_array_equal(Frames(pad=False)(samples), frames_by_definition(samples, num_frames))


def test_golden_values() -> None:
    """Samples that say their own number: if they move, Frames.version must, too."""
    found = Frames()(np.arange(90_000, dtype=np.float32))
    assert found[[0, 1, 1, 497, 497, 499, 499], [639, 0, 639, 479, 480, 159, 160]].tolist() == [
        639,
        160,
        799,
        79_999,
        0,
        79_999,
        0,
    ]


def test_librosa_gives_the_same() -> None:
    import librosa  # takes a second, and only this test needs it

    samples = noise(48_000)
    expected = librosa.util.frame(samples, frame_length=640, hop_length=160, axis=0)
    np.testing.assert_array_equal(Frames()(samples)[: len(expected)], expected)


def test_no_sample_is_too_short() -> None:
    with pytest.raises(TooShort, match="0 samples, one is enough"):
        Frames()(noise(0))


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0, -1.0])
def test_a_constant_stays_one_within_the_clip(level: float) -> None:
    found = Frames()(np.full(16_000, level, np.float32))
    assert (found[:97] == level).all()
    assert not found[100:].any()


def test_the_array_is_a_copy() -> None:
    samples = np.stack([noise(80_480), -noise(80_480)], axis=1)
    found = Frames()(samples[:, 0])  # a channel of a recording is not contiguous
    samples[:] = 0
    np.testing.assert_array_equal(found, frames_by_definition(noise(80_480), 500))
    found[0] = 0  # every frame is its own
    np.testing.assert_array_equal(found[1:], frames_by_definition(noise(80_480), 500)[1:])


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("num_samples", [1, 1_000, 80_100])
def test_a_batch_is_its_clips(num_samples: int, pad: bool) -> None:
    front_end, clips = Frames(pad=pad), np.stack([noise(num_samples), -noise(num_samples)])
    found = front_end.batch(torch.from_numpy(clips)).numpy()
    assert all(np.array_equal(array, front_end(clip)) for array, clip in zip(found, clips, strict=True))


def test_a_batch_stays_on_its_device() -> None:
    found = Frames().batch(torch.zeros(2, 100, device="meta"))
    assert (found.device.type, tuple(found.shape)) == ("meta", (2, 500, 640))


def test_golden_fingerprint() -> None:
    """It was taken in another process. A lake's features are found again by it."""
    assert Frames().fingerprint() == "eefa69557a63"


CHANGES: list[dict[str, Any]] = [
    {"version": 2},
    {"sample_rate_hz": 8_000},
    {"max_samples": 80_001},
    {"frame_ms": 25.0},
    {"hop_ms": 5.0},
    {"pad": False},
]


@pytest.mark.parametrize("change", CHANGES)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert Frames(**change).fingerprint() != Frames().fingerprint()


def test_no_field_is_forgotten_above() -> None:
    assert {name for change in CHANGES for name in change} | {"kind"} == set(Frames.model_fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_samples": 0}, "max_samples"),
        ({"frame_ms": 9.0}, "do not cover every sample"),
        ({"hop_ms": 0.0}, "do not cover every sample"),
        ({"hop": 160}, "hop"),
    ],
)
def test_the_impossible_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Frames(**change)
