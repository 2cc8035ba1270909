import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysee.errors import ConfigurationError
from raysee.features import FEATURES, TooShort, front_end
from raysee.features.logmel import LogMel, mel_bank

Samples = npt.NDArray[np.float32]
FLOOR = math.log(1e-7)


def chirp(num_samples: int = 4000) -> Samples:
    """A tone that climbs from 100 to 7900 Hz: every band hears it once."""
    time = np.arange(num_samples) / 16_000
    hz = np.linspace(100, 7900, num_samples)
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hz) / 16_000) + 0.01 * np.cos(70 * time)).astype(np.float32)


def noise(num_samples: int = 4000) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def logmel_by_definition(samples: Samples, num_bands: int) -> npt.NDArray[np.float64]:
    """Frame by frame and band by band in float64, with the sums of the discrete Fourier transform written out."""
    size, hop, fft_size, rate_hz = 400, 160, 512, 16_000
    num_bins = fft_size // 2 + 1
    angle = 2 * np.pi * np.outer(np.arange(num_bins), np.arange(size)) / fft_size
    hamming = [0.54 - 0.46 * math.cos(2 * math.pi * n / (size - 1)) for n in range(size)]

    def mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    edges = [mel(8000) * number / (num_bands + 1) for number in range(num_bands + 2)]
    rows = []
    for start in range(0, len(samples) - size + 1, hop):
        frame = samples[start : start + size].astype(np.float64)
        emphasised = [0.03 * frame[0]] + [frame[n] - 0.97 * frame[n - 1] for n in range(1, size)]
        windowed = np.multiply(emphasised, hamming)
        power = (np.cos(angle) @ windowed) ** 2 + (np.sin(angle) @ windowed) ** 2
        row = []
        for band in range(num_bands):
            left, centre, right = edges[band : band + 3]
            energy = 0.0
            for number in range(num_bins):
                position = mel(number * rate_hz / fft_size)
                if left < position <= centre:
                    energy += power[number] * (position - left) / (centre - left)
                elif centre < position < right:
                    energy += power[number] * (right - position) / (right - centre)
            row.append(math.log(max(energy, 1e-7)))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("num_bands", [40, 240])
@pytest.mark.parametrize("samples", [chirp(1500), noise(1500)], ids=["chirp", "noise"])
def test_it_is_what_the_definition_says(samples: Samples, num_bands: int) -> None:
    found = LogMel(num_bands=num_bands)(samples)
    assert found.dtype == np.float32
    # Single precision: 1e-3 of a neper is 0.004 dB.
    np.testing.assert_allclose(found, logmel_by_definition(samples, num_bands), rtol=0, atol=1e-3)


def test_golden_values() -> None:
    """Numbers of `logmel_by_definition`, written down: if they move, LogMel.version must, too."""
    found = FEATURES["logmel40"](chirp())
    assert found.shape == (23, 40)
    np.testing.assert_allclose(
        found[[0, 0, 11, 22], [2, 39, 28, 39]], [-3.70159, -10.98203, 3.30788, 8.50615], rtol=0, atol=1e-3
    )


def test_golden_fingerprints() -> None:
    """They were taken in another process. A lake's features are found again by them."""
    assert FEATURES["logmel40"].fingerprint() == "ff299f2f5080"
    assert FEATURES["logmel240"].fingerprint() == "f8cb05ca0007"


@pytest.mark.parametrize("num_bands", [1, 40, 240])
def test_bands_are_triangles_on_librosas_htk_scale(num_bands: int) -> None:
    import librosa  # takes a second, and only this test needs it

    bank = mel_bank(num_bands, 512, 16_000, 0.0, 8_000.0)
    assert bank.shape == (257, num_bands)
    bins = librosa.hz_to_mel(np.arange(257) * 31.25, htk=True)
    edges = librosa.hz_to_mel(librosa.mel_frequencies(num_bands + 2, fmin=0, fmax=8_000, htk=True), htk=True)
    for band in range(num_bands):
        triangle = np.interp(bins, edges[band : band + 3], [0.0, 1.0, 0.0], left=0.0, right=0.0)
        np.testing.assert_allclose(bank[:, band], triangle, rtol=0, atol=1e-6)


def test_bands_stay_within_their_range() -> None:
    hz = np.arange(257) * 31.25
    bank = mel_bank(20, 512, 16_000, 300.0, 3_400.0)
    heard = hz[bank.sum(axis=1) > 0]
    assert 300 < heard[0] < 332
    assert 3_368 < heard[-1] < 3_400


@given(num_samples=st.integers(400, 3_000))
def test_the_number_of_frames(num_samples: int) -> None:
    num_frames = (num_samples - 400) // 160 + 1
    assert FEATURES["logmel40"](np.zeros(num_samples, np.float32)).shape == (num_frames, 40)


@pytest.mark.parametrize(("num_samples", "num_frames"), [(400, 1), (559, 1), (560, 2)])
def test_one_frame_is_enough(num_samples: int, num_frames: int) -> None:
    assert FEATURES["logmel240"](noise(num_samples)).shape == (num_frames, 240)


@pytest.mark.parametrize("num_samples", [0, 1, 399])
def test_less_than_a_frame_is_too_short(num_samples: int) -> None:
    with pytest.raises(TooShort, match=f"{num_samples} samples at 16000 Hz, one frame needs 400"):
        FEATURES["logmel40"](noise(num_samples))


def test_silence_is_the_floor_and_not_infinite() -> None:
    np.testing.assert_allclose(FEATURES["logmel40"](np.zeros(2_000, np.float32)), FLOOR, rtol=0, atol=1e-5)


def test_twice_the_amplitude_is_log_4_more() -> None:
    front_end = LogMel(num_bands=40, floor=1e-30)
    np.testing.assert_allclose(front_end(2 * noise()), front_end(noise()) + math.log(4), rtol=0, atol=1e-4)


def test_a_frame_knows_nothing_of_its_neighbours() -> None:
    samples, front_end = noise(), FEATURES["logmel40"]
    for number, row in enumerate(front_end(samples)):
        np.testing.assert_allclose(front_end(samples[160 * number :][:400])[0], row, rtol=0, atol=1e-4)


def test_samples_are_left_as_they_were() -> None:
    samples = noise()
    both = np.stack([samples, -samples], axis=1)
    found = FEATURES["logmel40"](both[:, 0])  # a channel of a recording is not contiguous
    assert np.array_equal(found, FEATURES["logmel40"](samples))
    assert np.array_equal(both[:, 0], samples)


@pytest.mark.parametrize("num_samples", [400, 561, 4_000])
def test_a_batch_is_its_clips(num_samples: int) -> None:
    clips = np.stack([noise(num_samples), chirp(num_samples), np.zeros(num_samples, np.float32)])
    found = LogMel(num_bands=40).batch(torch.from_numpy(clips)).numpy()
    for array, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(array, FEATURES["logmel40"](clip), rtol=0, atol=1e-4)


def test_a_batch_of_short_clips_is_too_short() -> None:
    with pytest.raises(TooShort, match="399 samples at 16000 Hz, one frame needs 400"):
        LogMel(num_bands=40).batch(torch.zeros(2, 399))


def test_a_batch_stays_on_its_device() -> None:
    found = LogMel(num_bands=40).batch(torch.zeros(2, 1_000, device="meta"))  # which refuses most tensors of others
    assert (found.device.type, tuple(found.shape)) == ("meta", (2, 4, 40))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_numbers() -> None:
    found = LogMel(num_bands=40).batch(torch.from_numpy(chirp()).cuda()[None])[0].cpu().numpy()
    np.testing.assert_allclose(found, FEATURES["logmel40"](chirp()), rtol=0, atol=1e-3)


def test_22_of_240_bands_are_empty_and_constant() -> None:
    """So says the specification (computed there); with 40 bands there is none."""
    found = FEATURES["logmel240"](noise())
    assert int((found == found[0]).all(axis=0).sum()) == 22
    assert set(found[:, (found == found[0]).all(axis=0)].ravel()) == {np.float32(FLOOR)}
    assert not (FEATURES["logmel40"](noise()) == np.float32(FLOOR)).any()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"num_bands": 41},
        {"sample_rate_hz": 16_001},
        {"frame_ms": 20.0},
        {"hop_ms": 5.0},
        {"preemphasis": 0.95},
        {"fft_size": 1024},
        {"low_hz": 20.0},
        {"high_hz": 7_600.0},
        {"floor": 1e-8},
    ],
)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert LogMel(**{"num_bands": 40, **change}).fingerprint() != LogMel(num_bands=40).fingerprint()


def test_it_travels_to_another_process() -> None:
    front_end = FEATURES["logmel40"]
    front_end(noise())  # its tables are made
    data = pickle.dumps(front_end)
    assert len(data) < 1_000  # and stay here
    again = pickle.loads(data)
    assert again.fingerprint() == front_end.fingerprint()
    assert np.array_equal(again(noise()), front_end(noise()))


def test_an_unknown_front_end_is_answered_with_the_known_ones() -> None:
    assert front_end("logmel40").num_columns == 40
    assert front_end("logmel240").num_columns == 240
    with pytest.raises(ConfigurationError, match=r"'logmel41'.*logmel240, logmel40"):
        front_end("logmel41")
