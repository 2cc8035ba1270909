import numpy as np
import numpy.typing as npt
import pytest

from raysee.audio.decode import Audio
from raysee.audio.resample import mono, resample


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def test_mono_is_the_mean_of_the_channels() -> None:
    samples = np.array([[1.0, 0.0], [0.5, -0.5], [-1.0, -1.0], [0.25, 0.5]], np.float32)
    mixed = mono(Audio(samples, 16_000))
    assert mixed.dtype == np.float32
    assert mixed.tolist() == [0.5, 0.0, -1.0, 0.375]
    assert mono(Audio(samples[:, 1:], 16_000)).tolist() == [0.0, -0.5, -1.0, 0.5]
    assert mono(Audio(np.repeat(samples[:, :1], 3, axis=1), 16_000)).tolist() == samples[:, 0].tolist()


def test_the_same_rate_changes_nothing() -> None:
    samples = tone(440, 16_000)
    assert np.array_equal(resample(samples, 16_000, 16_000), samples)


@pytest.mark.parametrize("from_hz", [8_000, 11_025, 22_050, 24_414, 44_100, 48_000])
def test_a_tone_keeps_its_length_frequency_and_level(from_hz: int) -> None:
    resampled = resample(tone(1_000, from_hz), from_hz, 16_000)
    assert resampled.dtype == np.float32
    assert len(resampled) == 16_000
    # The very tone, so its phase has not moved either; the ends ring.
    np.testing.assert_allclose(resampled[500:-500], tone(1_000, 16_000)[500:-500], rtol=0, atol=1e-4)


@pytest.mark.parametrize("hz", [9_000, 12_000, 20_000])
def test_what_the_new_rate_cannot_hold_is_gone(hz: float) -> None:
    resampled = resample(tone(hz, 48_000), 48_000, 16_000)
    assert np.abs(resampled[500:-500]).max() < 0.5e-4  # 80 dB below


def test_one_channel_of_two_is_resampled_like_a_copy_of_it() -> None:
    both = np.stack([tone(300, 8_000), tone(700, 8_000)], axis=1)
    assert np.array_equal(resample(both[:, 1], 8_000, 16_000), resample(both[:, 1].copy(), 8_000, 16_000))


@pytest.mark.parametrize("num_samples", [0, 1, 2, 7])
def test_a_few_samples_are_no_problem(num_samples: int) -> None:
    assert abs(len(resample(np.zeros(num_samples, np.float32), 48_000, 16_000)) - num_samples / 3) <= 1
