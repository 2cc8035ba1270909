import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.sliding import Sliding, window_starts

Samples = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
ONE_STEP = 1 / 64 + 1e-4  # of a colour: where single precision rounds to the neighbouring one
SCALES = ["mel", "linear", "log"]
UNTRIMMED_DB = 300.0


def noise(num_samples: int) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def tone(hz: float, num_samples: int) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / 16_000)).astype(np.float32)


def silence(num_samples: int) -> Samples:
    return np.zeros(num_samples, np.float32)


def frequencies(scale: str, size: int) -> list[float]:
    """From 50 to 8000 Hz, both included, in equal steps of the scale."""

    def there(hz: float) -> float:
        return {"linear": hz, "log": math.log2(hz), "mel": 2595 * math.log10(1 + hz / 700)}[scale]

    def back(value: float) -> float:
        return {"linear": lambda: value, "log": lambda: 2**value, "mel": lambda: 700 * (10 ** (value / 2595) - 1)}[
            scale
        ]()

    low, high = there(50.0), there(8_000.0)
    return [back(low + (high - low) * number / (size - 1)) for number in range(size)]


def heights(scale: str) -> Array:
    """Weights (227, 257) of the bins, row by row from the highest frequency."""
    edges = frequencies(scale, 229)
    rows = []
    for below, centre, above in zip(edges, edges[1:], edges[2:], strict=False):
        row = []
        for number in range(257):
            away = number * 31.25 - centre
            reach = max(above - centre, 31.25) if away > 0 else max(centre - below, 31.25)
            row.append(max(1 - abs(away) / reach, 0.0))
        rows.append([weight / sum(row) for weight in row])
    return np.array(rows[::-1])


def colour(step: int) -> list[float]:
    """MATLAB's jet(256), told as its three trapezoids are."""
    levels = [number / 64 for number in range(1, 65)]
    trapezoid = [*levels, *[1.0] * 63, *reversed(levels)]
    places = [step - 96, step - 32, step + 32]
    return [trapezoid[place] if 0 <= place < len(trapezoid) else 0.0 for place in places]


COLOURS = [colour(step) for step in range(256)]


def image_by_definition(samples: Samples, scale: str) -> Array:
    """Column by column in float64, with the discrete Fourier transform written out; nothing is trimmed."""
    samples = samples - samples.mean(dtype=np.float64)
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    hann = np.array([math.sin(math.pi * n / 400) ** 2 for n in range(400)])
    weights, columns = heights(scale), []
    for number in range(math.floor(len(samples) / 16_000 * 227 + 0.5)):
        middle = math.floor((number + 0.5) / 227 * 16_000)
        frame = [samples[n] if 0 <= n < len(samples) else 0.0 for n in range(middle - 200, middle + 200)]
        power = np.abs(fourier @ (hann * frame)) ** 2
        columns.append(10 * np.log10(np.maximum(weights @ power, 1e-10)))
    level = np.array(columns)
    lowest = max(level.min(), level.max() - 80)
    scaled = np.clip((level - lowest) / (level.max() - lowest), 0, 1)
    return np.array(COLOURS)[np.minimum(scaled * 256, 255).astype(int)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("samples", [noise(17_000), tone(700, 17_000) + noise(17_000) ** 3], ids=["noise", "tone"])
def test_it_is_what_the_definition_says(samples: Samples, scale: Any) -> None:
    found = Sliding(scale=scale, trim_db=UNTRIMMED_DB)(samples)
    assert found.shape == (241, 227, 3)
    assert found.dtype == np.float32
    wrong = np.abs(found - image_by_definition(samples, scale))
    assert wrong.max() < ONE_STEP
    assert wrong.mean() < 1e-4


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("mel", [[1.0, 0.6719, 0.0], [1.0, 0.5781, 0.0], [1.0, 0.6719, 0.0], [1.0, 0.8438, 0.0]]),
        ("linear", [[1.0, 0.625, 0.0], [1.0, 0.4375, 0.0], [0.8438, 1.0, 0.1562], [1.0, 0.6094, 0.0]]),
        ("log", [[1.0, 0.8281, 0.0], [1.0, 0.8281, 0.0], [0.9062, 0.0, 0.0], [1.0, 0.9062, 0.0]]),
    ],
)
def test_golden_values(scale: Any, expected: list[list[float]]) -> None:
    """Numbers of `image_by_definition`, written down: if they move, Sliding.version must, too."""
    found = Sliding(scale=scale)(noise(16_000))
    places = [(0, 226), (17, 3), (100, 200), (226, 0)]
    np.testing.assert_allclose([found[place] for place in places], expected, rtol=0, atol=ONE_STEP)


@pytest.mark.parametrize(
    ("scale", "expected"), [("mel", "ef7a02881c2c"), ("linear", "bc5545c0a94c"), ("log", "faa0bbca99a9")]
)
def test_golden_fingerprints(scale: Any, expected: str) -> None:
    assert Sliding(scale=scale).fingerprint() == expected


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("hz", [200.0, 1_000.0, 5_000.0])
def test_a_tone_is_a_line_at_its_height(scale: Any, hz: float) -> None:
    found = Sliding(scale=scale, range_db=10)(tone(hz, 16_000))
    is_bright = found[113, :, 2] < 0.5  # not blue
    heard = np.array(frequencies(scale, 229)[-2:0:-1])[is_bright]
    assert abs(heard.mean() / hz - 1) < 0.05
    assert heard[0] - heard[-1] < 120


@pytest.mark.parametrize(
    ("num_samples", "num_frames"), [(1, 227), (16_000, 227), (16_035, 227), (16_036, 228), (32_000, 454)]
)
def test_one_second_is_227_frames(num_samples: int, num_frames: int) -> None:
    assert Sliding(trim_db=UNTRIMMED_DB)(noise(num_samples)).shape == (num_frames, 227, 3)


@pytest.mark.parametrize(
    ("before", "speech", "after", "num_frames"),
    [
        (16_000, 24_000, 16_000, 341),  # 1.5 s
        (0, 24_000, 16_000, 341),
        (16_000, 24_000, 0, 341),
        (16_000, 4_000, 16_000, 227),  # some silence stays
        (0, 4_000, 16_000, 227),
        (16_000, 4_000, 0, 227),
        (4_000, 4_000, 4_000, 227),
    ],
)
def test_silence_around_the_speech_is_cut_off(before: int, speech: int, after: int, num_frames: int) -> None:
    samples = np.concatenate([silence(before), tone(1_000, speech), silence(after)])
    samples += 0.001 * noise(len(samples))  # 71 dB below the tone
    found = Sliding()(samples)
    assert num_frames <= len(found) <= num_frames + 4
    is_loud = found[:, :, 0].max(axis=1) > 0.9
    assert abs(is_loud.sum() - speech / 16_000 * 227) < 6


def test_a_pause_in_the_speech_stays() -> None:
    samples = np.concatenate([tone(1_000, 8_000), silence(8_000), tone(1_000, 8_000)])
    assert abs(len(Sliding()(samples)) - 1.5 * 227) <= 1


def test_a_constant_offset_is_no_sound() -> None:
    samples = np.concatenate([silence(16_000), tone(1_000, 16_000), silence(16_000)]) + 0.001 * noise(48_000)
    wrong = np.abs(Sliding()(samples + np.float32(0.2)) - Sliding()(samples))
    assert wrong.max() < ONE_STEP
    assert wrong.mean() < 1e-4


def windows(image_TFC: Array, hop_ms: int = 10) -> list[Array]:
    """Of one second, as high as they are long: frequency from high to low, then time."""
    starts = window_starts(len(image_TFC), image_TFC.shape[1], hop_ms)
    return [image_TFC.transpose(1, 0, 2)[:, start : start + image_TFC.shape[1]] for start in starts]


def test_windows_are_slices_of_the_picture() -> None:
    image = Sliding()(noise(24_000))
    found = windows(image)
    assert len(found) == 51
    for number, window in enumerate(found):
        first = math.floor(number * 2.27 + 0.5)
        assert window.shape == (227, 227, 3)
        assert np.shares_memory(window, image)
        np.testing.assert_array_equal(window, image[first : first + 227].transpose(1, 0, 2))


def test_slicing_is_windowing_before_the_transform() -> None:
    """At 22.7 kHz a column is 100 samples, and where all windows hold the same loudest frame they are scaled alike."""
    front_end = Sliding(sample_rate_hz=22_700, range_db=20.0, trim_db=UNTRIMMED_DB, fft_size=1_024)
    burst = np.hanning(900) * np.sin(np.arange(900))
    samples = np.tile(noise(2_500) + np.pad(burst, (700, 900)), 13).astype(np.float32)
    found = windows(front_end(samples))
    assert len(found) == 44
    for number in (0, 1, 2, 3, 22, 43):
        first = 100 * math.floor(number * 2.27 + 0.5)
        alone = front_end(samples[first : first + 22_700]).transpose(1, 0, 2)
        wrong = np.abs(found[number] - alone)[:, 3:-3]  # a window by itself knows nothing around it
        assert wrong.max() < ONE_STEP
        assert wrong.mean() < 1e-4


@given(hundredths=st.integers(100, 600))
def test_there_is_a_window_every_10_ms(hundredths: int) -> None:
    num_frames = math.floor(hundredths * 2.27 + 0.5 + 1e-9)
    image = np.arange(num_frames, dtype=np.float32)[:, None, None] * np.ones((1, 227, 3), np.float32)
    found = windows(image)
    assert len(found) == hundredths - 100 + 1
    starts = np.array([window[0, 0, 0] for window in found])
    assert np.abs(starts / 227 - np.arange(len(found)) / 100).max() <= 0.5 / 227 + 1e-6


@pytest.mark.parametrize(
    ("num_frames", "hop_ms", "num_windows"),
    [(226, 10, 0), (227, 10, 1), (454, 10, 101), (454, 1000, 2), (454, 20, 51), (454, 3000, 1)],
)
def test_the_number_of_windows(num_frames: int, hop_ms: int, num_windows: int) -> None:
    assert len(windows(np.zeros((num_frames, 227, 3), np.float32), hop_ms)) == num_windows


@pytest.mark.parametrize(
    "samples",
    [
        silence(20_000),
        np.full(20_000, 0.5, np.float32),
        np.ones(1, np.float32),
        np.sign(noise(20_000)),
        1e-20 * noise(99),
    ],
    ids=["silence", "a constant", "one sample", "clipping", "next to nothing"],
)
def test_strange_samples_make_pictures_too(samples: Samples) -> None:
    found = Sliding()(samples)
    assert len(found) >= 227
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_nothing_is_too_short() -> None:
    with pytest.raises(TooShort, match="0 samples at 16000 Hz, at least 1 is needed"):
        Sliding()(noise(0))


def test_samples_are_left_as_they_were() -> None:
    samples = noise(20_000)
    both = np.stack([samples, -samples], axis=1)
    both.flags.writeable = False  # what Arrow and Ray lend
    np.testing.assert_array_equal(Sliding()(both[:, 0]), Sliding()(samples))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"scale": "log"},
        {"size": 224},
        {"sample_rate_hz": 16_384},
        {"window_ms": 500},
        {"frame_ms": 20.0},
        {"fft_size": 1_024},
        {"low_hz": 60.0},
        {"high_hz": 4_000.0},
        {"range_db": 60.0},
        {"trim_db": 20.0},
    ],
)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert Sliding(**change).fingerprint() != Sliding().fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "bark"}, "scale"),
        ({"fft_size": 256}, "do not fit an FFT of 256"),
        ({"low_hz": 0.0}, "low_hz"),
        ({"high_hz": 8_001.0}, "does not fit 16000 Hz"),
        ({"low_hz": 5_000.0, "high_hz": 4_000.0}, "5000.0 to 4000.0 Hz"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Sliding(**change)


def test_it_travels_to_another_process() -> None:
    front_end = Sliding()
    front_end(noise(16_000))  # its tables are made
    data = pickle.dumps(front_end)
    assert len(data) < 1_000  # and stay here
    again = pickle.loads(data)
    assert again.num_columns == 3
    np.testing.assert_array_equal(again(noise(16_000)), front_end(noise(16_000)))
