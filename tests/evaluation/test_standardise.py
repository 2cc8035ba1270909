import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee.evaluation.standardise import fit

Array = npt.NDArray[np.float32]


def frames(num_frames: int, num_columns: int = 3, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((num_frames, num_columns)).astype(np.float32)


def test_all_frames_of_all_clips_count_alike() -> None:
    """Not the clips: [0, 0, 0, 4] has mean 1 and population deviation sqrt(3)."""
    statistics = fit([np.array([[0.0], [0.0], [0.0]], np.float32), np.array([[4.0]], np.float32)])
    assert statistics.mean.tolist() == [1.0]
    assert statistics.std.tolist() == pytest.approx([3**0.5])
    assert statistics.mean.dtype == statistics.std.dtype == np.float64


def test_what_was_fitted_has_mean_0_and_deviation_1_by_column() -> None:
    values = frames(500) * np.array([0.01, 1, 300], np.float32) + np.array([5, -2, 0], np.float32)
    scaled = fit([values]).apply(values)
    assert scaled.dtype == np.float32
    assert scaled.shape == values.shape
    np.testing.assert_allclose(scaled.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0, dtype=np.float64), 1, atol=1e-5)


def test_others_are_scaled_by_what_was_fitted() -> None:
    statistics = fit([np.array([[1.0, 0.0], [3.0, 10.0]], np.float32)])
    assert statistics.apply(np.array([[5.0, 0.0]], np.float32)).tolist() == [[3.0, -1.0]]


def test_a_column_that_is_constant_but_for_rounding_is_constant() -> None:
    """The logarithm's floor, with its last bit to and fro: that must not be blown up to deviation 1."""
    floor = np.float32(-16.118095)
    values = np.where(np.arange(100) % 2, floor, np.nextafter(floor, np.float32(0)))[:, None]
    assert len(np.unique(values)) == 2
    assert np.abs(fit([values]).apply(values)).max() < 1e-5


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -16.118, 1e6, 1e-9])
def test_a_constant_column_becomes_zero(constant: float) -> None:
    values = frames(1_001)
    values[:, 1] = constant
    statistics = fit([values])
    scaled = statistics.apply(values)
    assert np.abs(scaled[:, 1]).max() < 1e-6
    assert statistics.std[1] == 1.0
    assert scaled[:, 0].std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("offset", [100.0, 1e4, 1e5])
def test_a_large_offset_does_not_drown_the_deviation(offset: float) -> None:
    """float32 sums of 200,000 frames at 1e4 would lose the deviation of 1."""
    values = (frames(200_000, 1).astype(np.float64) + offset).astype(np.float32)
    statistics = fit([values])
    assert statistics.mean[0] == pytest.approx(offset, abs=0.01)
    assert statistics.std[0] == pytest.approx(1.0, abs=0.01)
    assert statistics.apply(values).std(dtype=np.float64) == pytest.approx(1.0, abs=0.01)


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_scale_and_offset_of_the_features_do_not_matter(scale: float, shift: float) -> None:
    values = frames(50)
    moved = (values * scale + shift).astype(np.float32)
    np.testing.assert_allclose(fit([moved]).apply(moved), fit([values]).apply(values), rtol=0, atol=5e-3)


def test_the_clips_are_left_as_they_were() -> None:
    values = frames(20)
    before = values.copy()
    fit([values]).apply(values)
    assert np.array_equal(values, before)
