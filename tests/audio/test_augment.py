import numpy as np
import numpy.typing as npt
import pytest

from raysee.audio.augment import VARIANTS, Variant, augment
from raysee.errors import ConfigurationError

Samples = npt.NDArray[np.float32]
RATE_HZ = 16_000
CHANGES = VARIANTS[1:]


def tone(hz: float, num_samples: int = RATE_HZ) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / RATE_HZ)).astype(np.float32)


def pitch_hz(samples: Samples, sample_rate_hz: int = RATE_HZ) -> float:
    """Where the spectrum of the middle half is highest, between bins by a parabola through their logarithms."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    level = np.log(np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) + 1e-9)
    peak = int(level.argmax())
    left, centre, right = level[peak - 1 : peak + 2]
    return float((peak + (left - right) / 2 / (left - 2 * centre + right)) * sample_rate_hz / len(middle))


def test_there_are_nine_variants_and_the_recording_is_the_first() -> None:
    assert VARIANTS[0] == Variant(pitch_semitones=0.0, tempo=1.0)
    assert set(VARIANTS) == {(pitch, tempo) for pitch in (-1.0, 0.0, 1.0) for tempo in (0.9, 1.0, 1.1)}
    assert len(VARIANTS) == 9


def test_the_recording_itself_is_not_touched() -> None:
    samples = tone(440)
    assert augment(samples, RATE_HZ, *VARIANTS[0]) is samples


@pytest.mark.parametrize("variant", CHANGES)
def test_length_and_pitch_are_what_was_asked_for(variant: Variant) -> None:
    samples = tone(440)
    before = samples.copy()
    found = augment(samples, RATE_HZ, *variant)
    assert found.shape == (round(RATE_HZ / variant.tempo),)
    assert found.dtype == np.float32
    assert abs(pitch_hz(found) / (440 * 2 ** (variant.pitch_semitones / 12)) - 1) < 0.003
    middle = found[len(found) // 4 : -len(found) // 4]
    assert abs(np.sqrt(2 * np.mean(middle**2)) - 0.5) < 0.06  # as loud as before, to 1 dB
    np.testing.assert_array_equal(samples, before)


def test_time_goes_faster_everywhere() -> None:
    """Speech from 0.5 to 1.5 s of 2 s is from 0.455 to 1.364 s when it is a tenth faster."""
    samples = np.concatenate([np.zeros(8_000, np.float32), tone(440), np.zeros(8_000, np.float32)])
    found = np.abs(augment(samples, RATE_HZ, 0.0, 1.1))
    heard = np.flatnonzero(found > 0.1) / RATE_HZ
    assert abs(heard[0] - 0.5 / 1.1) < 0.03
    assert abs(heard[-1] - 1.5 / 1.1) < 0.03


@pytest.mark.parametrize("sample_rate_hz", [8_000, 48_000])
def test_pitch_is_relative_to_the_sample_rate(sample_rate_hz: int) -> None:
    samples = np.sin(2 * np.pi * 300 * np.arange(sample_rate_hz) / sample_rate_hz).astype(np.float32)
    found = augment(samples, sample_rate_hz, 1.0, 1.0)
    assert abs(pitch_hz(found, sample_rate_hz) / (300 * 2 ** (1 / 12)) - 1) < 0.003


@pytest.mark.parametrize("variant", CHANGES)
def test_the_same_change_gives_the_same_samples(variant: Variant) -> None:
    np.testing.assert_array_equal(augment(tone(200), RATE_HZ, *variant), augment(tone(200), RATE_HZ, *variant))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("num_samples", [1, 2, 100, 1_023, 1_024, 1_025])
@pytest.mark.parametrize("variant", CHANGES)
def test_clips_shorter_than_a_frame_can_be_changed(variant: Variant, num_samples: int) -> None:
    found = augment(tone(440, num_samples), RATE_HZ, *variant)
    assert found.shape == (round(num_samples / variant.tempo),)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "samples",
    [np.zeros(4_000, np.float32), np.ones(4_000, np.float32), np.sign(tone(440, 4_000))],
    ids=["silence", "a constant", "clipping"],
)
@pytest.mark.parametrize("variant", CHANGES)
def test_strange_samples_stay_finite(variant: Variant, samples: Samples) -> None:
    found = augment(samples, RATE_HZ, *variant)
    assert np.isfinite(found).all()
    assert found.any() == samples.any()


def test_no_samples_stay_none() -> None:
    assert len(augment(tone(440, 0), RATE_HZ, 1.0, 1.1)) == 0


@pytest.mark.parametrize("tempo", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_tempo_is_refused(tempo: float) -> None:
    with pytest.raises(ConfigurationError, match=f"A tempo of {tempo} was asked for; it is a factor above 0"):
        augment(tone(440), RATE_HZ, 0.0, tempo)
