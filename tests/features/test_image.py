import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.image import Image, brightness, jet, resized

Samples = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
DARK_BLUE = (0.0, 0.0, 33 / 64)
ONE_STEP = 1 / 64 + 1e-4  # of a colour: where single precision rounds to the neighbouring one


def noise(num_samples: int) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def tone(hz: float, num_samples: int = 9_600) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / 16_000)).astype(np.float32)


def colour(step: int) -> list[float]:
    """MATLAB's jet(256), told as its three trapezoids are."""
    levels = [number / 64 for number in range(1, 65)]
    trapezoid = [*levels, *[1.0] * 63, *reversed(levels)]
    places = [step - 96, step - 32, step + 32]
    return [trapezoid[place] if 0 <= place < len(trapezoid) else 0.0 for place in places]


COLOURS = [colour(step) for step in range(256)]


def shrink_or_stretch(num_in: int, num_out: int) -> Array:
    """Bilinear weights (num_out, num_in): a triangle around each pixel's middle, as wide as the coarser grid."""
    scale = max(num_in / num_out, 1.0)
    rows = []
    for pixel in range(num_out):
        middle = (pixel + 0.5) * num_in / num_out
        row = [max(1 - abs(place + 0.5 - middle) / scale, 0.0) for place in range(num_in)]
        rows.append([weight / sum(row) for weight in row])
    return np.array(rows)


def picture_by_definition(window: Samples, size: int) -> Array:
    """The picture of 9600 samples in float64, with the discrete Fourier transform written out."""
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    hann = np.array([math.sin(math.pi * n / 400) ** 2 for n in range(400)])
    level = np.empty((257, 58))
    for number in range(58):
        frame = hann * window[160 * number : 160 * number + 400]
        power = np.abs(fourier @ frame) ** 2
        level[:, number] = 10 * np.log10(np.maximum(power, 1e-10))
    lowest = max(level.min(), level.max() - 80)
    scaled = np.clip((level - lowest) / (level.max() - lowest), 0, 1)
    colours = np.array(COLOURS)[np.minimum(scaled[::-1] * 256, 255).astype(int)]
    rows, columns = shrink_or_stretch(257, size), shrink_or_stretch(58, size)
    return np.stack([rows @ colours[:, :, channel] @ columns.T for channel in range(3)], axis=2)


@pytest.mark.parametrize("size", [256, 40])
@pytest.mark.parametrize("samples", [noise(16_000), noise(16_000) ** 3 + tone(900, 16_000)], ids=["noise", "tone"])
def test_it_is_what_the_definition_says(samples: Samples, size: int) -> None:
    found = Image(size=size)(samples)
    assert found.shape == (2, size, size, 3)
    assert found.dtype == np.float32
    for picture, first in zip(found, [0, 6_400], strict=True):
        wrong = np.abs(picture - picture_by_definition(samples[first : first + 9_600], size))
        assert wrong.max() < ONE_STEP
        assert wrong.mean() < 1e-4


def test_golden_values() -> None:
    """Numbers of `picture_by_definition`, written down: if they move, Image.version must, too."""
    (picture,) = Image()(noise(9_600))
    places = [(0, 0), (255, 255), (100, 17), (31, 200)]
    expected = [[1.0, 0.0629, 0.0], [1.0, 0.1721, 0.0], [0.9899, 0.2625, 0.0], [0.9909, 0.6473, 0.0091]]
    np.testing.assert_allclose([picture[place] for place in places], expected, rtol=0, atol=ONE_STEP)


def test_golden_fingerprint() -> None:
    assert Image().fingerprint() == "e7374d2e9790"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, DARK_BLUE),
        (31, (0, 0, 1)),
        (32, (0, 1 / 64, 1)),
        (95, (0, 1, 1)),
        (127, (0.5, 1, 0.5)),
        (159, (1, 1, 0)),
        (223, (1, 0, 0)),
        (255, (0.5, 0, 0)),
    ],
)
def test_colours_are_matlabs(step: int, expected: tuple[float, float, float]) -> None:
    values = torch.tensor([step / 256, (step + 0.99) / 256, min((step + 1) / 256, 1.0)])
    low, high, following = jet(values).tolist()
    assert tuple(low) == tuple(high) == expected
    assert tuple(following) != expected or step == 255


def test_brightness_is_relative_to_the_highest_level() -> None:
    power = torch.tensor([[1.0, 10.0, 100.0, 0.0], [7.0, 7.0, 7.0, 7.0]])
    found = brightness(power, 40.0, dim=(1,))
    np.testing.assert_allclose(found, [[0.5, 0.75, 1, 0], [0, 0, 0, 0]], rtol=0, atol=1e-6)
    np.testing.assert_allclose(brightness(power[:1, :3], 40.0, dim=(1,)), [[0, 0.5, 1]], rtol=0, atol=1e-6)


def test_a_picture_keeps_its_mean_and_its_sides() -> None:
    picture = torch.rand(2, 30, 20, 3)
    np.testing.assert_array_equal(resized(picture[:, :20], 20), picture[:, :20])
    np.testing.assert_allclose(resized(picture, 10).mean((1, 2)), picture.mean((1, 2)), rtol=0, atol=0.03)
    picture[:, :15] = 0
    assert (resized(picture, 8)[:, :3] == 0).all()


@pytest.mark.parametrize(
    ("num_samples", "num_images"),
    [(1, 1), (399, 1), (9_599, 1), (9_600, 1), (15_999, 1), (16_000, 2), (22_399, 2), (22_400, 3)],
)
def test_the_number_of_pictures(num_samples: int, num_images: int) -> None:
    assert Image(size=8)(noise(num_samples)).shape == (num_images, 8, 8, 3)


def test_a_picture_knows_only_its_window() -> None:
    samples, front_end = noise(30_000), Image(size=64)
    for number, picture in enumerate(front_end(samples)):
        (alone,) = front_end(samples[6_400 * number :][:9_600])
        np.testing.assert_allclose(picture, alone, rtol=0, atol=ONE_STEP)


def test_a_short_clip_has_silence_behind_it() -> None:
    samples, front_end = noise(5_000), Image(size=64)
    np.testing.assert_array_equal(front_end(samples), front_end(np.append(samples, np.zeros(4_600, np.float32))))
    np.testing.assert_allclose(front_end(samples)[0, :, 40:], np.full((64, 24, 3), DARK_BLUE), rtol=0, atol=1e-6)


def test_loudness_does_not_matter() -> None:
    samples = noise(9_600)
    wrong = np.abs(Image()(samples) - Image()(samples / 4))
    assert wrong.max() < ONE_STEP
    assert wrong.mean() < 1e-4


@pytest.mark.parametrize("hz", [500.0, 2_000.0, 7_000.0])
def test_a_tone_is_a_red_line_at_its_height(hz: float) -> None:
    (picture,) = Image()(tone(hz))
    red = np.flatnonzero((picture[:, :, 0] - picture[:, :, 2]).min(axis=1) > 0.4)
    assert len(red) < 12
    assert abs(red.mean() + 0.5 - (1 - hz / 8_000) * 256) < 1


def test_time_goes_from_left_to_right() -> None:
    (picture,) = Image()(np.concatenate([np.zeros(4_800, np.float32), noise(4_800)]))
    np.testing.assert_allclose(picture[:, :100], np.full((256, 100, 3), DARK_BLUE), rtol=0, atol=1e-6)
    assert picture[:, 140:, 0].mean() > 0.5


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(10_000, np.float32),
        np.full(10_000, 0.5, np.float32),
        np.ones(1, np.float32),
        np.sign(noise(10_000)),
        1e-20 * noise(10_000),
    ],
    ids=["silence", "a constant", "one sample", "clipping", "next to nothing"],
)
def test_strange_samples_make_pictures_too(samples: Samples) -> None:
    found = Image(size=32)(samples)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_silence_is_dark_blue() -> None:
    found = Image(size=32)(np.zeros(9_600, np.float32))
    np.testing.assert_allclose(found, np.full((1, 32, 32, 3), DARK_BLUE), rtol=0, atol=1e-6)


def test_nothing_is_too_short() -> None:
    with pytest.raises(TooShort, match="0 samples at 16000 Hz, at least 1 is needed"):
        Image()(noise(0))


def test_samples_are_left_as_they_were() -> None:
    samples = noise(20_000)
    both = np.stack([samples, -samples], axis=1)
    both.flags.writeable = False  # what Arrow and Ray lend
    np.testing.assert_array_equal(Image(size=32)(both[:, 0]), Image(size=32)(samples))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"size": 128},
        {"sample_rate_hz": 8_000},
        {"window_ms": 500.0},
        {"slide_ms": 300.0},
        {"frame_ms": 20.0},
        {"hop_ms": 5.0},
        {"fft_size": 1_024},
        {"range_db": 60.0},
    ],
)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert Image(**change).fingerprint() != Image().fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fft_size": 256}, "do not fit an FFT of 256"),
        ({"hop_ms": 0.0}, "every 0.0 ms"),
        ({"window_ms": 20.0}, "does not hold a frame"),
        ({"slide_ms": 405.0}, "not a whole number of hops"),
        ({"slide_ms": 0.0}, "not a whole number of hops"),
        ({"range_db": 0.0}, "range_db"),
        ({"colour": "grey"}, "colour"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Image(**change)


def test_it_travels_to_another_process() -> None:
    again = pickle.loads(pickle.dumps(Image()))
    assert again.num_columns == 3
    np.testing.assert_array_equal(again(noise(9_600)), Image()(noise(9_600)))
