from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.waveform import Waveform


def noise(num_samples: int) -> npt.NDArray[np.float32]:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


@pytest.mark.parametrize("num_samples", [1, 80, 160_000])
def test_all_samples_are_one_column(num_samples: int) -> None:
    samples, front_end = noise(num_samples), Waveform()
    found = front_end(samples)
    assert found.dtype == np.float32
    assert found.shape == (num_samples, front_end.num_columns)
    assert found[:, 0].tolist() == samples.tolist()


def test_no_sample_is_too_short() -> None:
    with pytest.raises(TooShort, match="0 samples"):
        Waveform()(noise(0))
    with pytest.raises(TooShort, match="0 samples"):
        Waveform().batch(torch.zeros(2, 0))


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0, -1.0])
def test_what_goes_in_comes_out(level: float) -> None:
    assert (Waveform()(np.full(160, level, np.float32)) == level).all()


def test_it_is_a_copy() -> None:
    samples = np.stack([noise(100), -noise(100)], axis=1)
    found = Waveform()(samples[:, 0])  # a channel of a recording is not contiguous
    samples[:] = 0
    assert found[:, 0].tolist() == noise(100).tolist()


@pytest.mark.parametrize("num_samples", [100, 80_100])
def test_a_batch_is_its_clips(num_samples: int) -> None:
    clips = np.stack([noise(num_samples), -noise(num_samples)])
    found = Waveform().batch(torch.from_numpy(clips)).numpy()
    assert all(np.array_equal(array, Waveform()(clip)) for array, clip in zip(found, clips, strict=True))


def test_a_batch_stays_on_its_device() -> None:
    assert Waveform().batch(torch.zeros(2, 100, device="meta")).device.type == "meta"


def test_golden_fingerprint() -> None:
    """It was taken in another process. A lake's features are found again by it."""
    assert Waveform().fingerprint() == "34fa7af4513a"


@pytest.mark.parametrize("change", [{"version": 3}, {"sample_rate_hz": 8_000}])
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert Waveform(**change).fingerprint() != Waveform().fingerprint()


@pytest.mark.parametrize("change", [{"sample_rate_hz": 0}, {"frame_ms": 25.0}])
def test_the_impossible_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        Waveform(**change)
