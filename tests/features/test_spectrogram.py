import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.logmel import mel_bank
from raysee.features.spectrogram import Spectrogram

Samples = npt.NDArray[np.float32]
SMALL = Spectrogram(num_bands=40)


def chirp(num_samples: int = 40_000) -> Samples:
    """A tone that climbs from 100 to 7900 Hz and fades: every band hears it once, at another level."""
    time = np.arange(num_samples) / 16_000
    phase = 2 * np.pi * np.cumsum(np.linspace(100, 7900, num_samples)) / 16_000
    return (0.3 * np.exp(-time) * np.sin(phase) + 0.01 * np.cos(70 * time)).astype(np.float32)


def noise(num_samples: int = 4_000) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def spectrogram_by_definition(samples: Samples, num_bands: int) -> npt.NDArray[np.float64]:
    """In float64, step by step, with the sums of the discrete Fourier transform and of the bands written out."""
    clip = np.zeros(80_000)
    clip[: len(samples)] = samples[:80_000]
    emphasised = [clip[0]] + [clip[n] - 0.97 * clip[n - 1] for n in range(1, 80_000)]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    angle = 2 * np.pi * np.outer(np.arange(400), np.arange(257)) / 512
    frames = np.array([np.multiply(emphasised[start : start + 400], hann) for start in range(0, 80_000 - 399, 160)])
    frames = frames[:-1]
    magnitudes = np.sqrt((frames @ np.cos(angle)) ** 2 + (frames @ np.sin(angle)) ** 2)

    def mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    edges = [mel(8000) * number / (num_bands + 1) for number in range(num_bands + 2)]
    sums = np.zeros((len(frames), num_bands))
    for band in range(num_bands):
        left, centre, right = edges[band : band + 3]
        for number in range(1, 257):
            position = mel(number * 31.25)
            if left < position <= centre:
                sums[:, band] += magnitudes[:, number] * (position - left) / (centre - left)
            elif centre < position < right:
                sums[:, band] += magnitudes[:, number] * (right - position) / (right - centre)
    power = sums**2
    db = 10 * np.log10(np.maximum(power, 1e-30)) - 10 * math.log10(power.max())
    db = np.maximum(db, -60)
    return 2 * (db - db.min()) / (db.max() - db.min()) - 1


@pytest.mark.parametrize("num_bands", [40, 240])
@pytest.mark.parametrize(
    "samples", [chirp(), chirp(90_000), noise(80_000)], ids=["shorter than 5 s", "longer", "without silence"]
)
def test_it_is_what_the_definition_says(samples: Samples, num_bands: int) -> None:
    found = Spectrogram(num_bands=num_bands)(samples)
    assert found.dtype == np.float32
    # 1e-3 is 0.03 dB: single precision, at 60 dB below the highest value.
    np.testing.assert_allclose(found, spectrogram_by_definition(samples, num_bands), rtol=0, atol=1e-3)


def test_librosas_spectra_and_decibels_give_the_same() -> None:
    import librosa  # takes a second, and only this test needs it

    samples = noise(80_000)
    emphasised = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    # librosa puts the 400 samples of a frame into the middle of 512.
    spectrum = librosa.stft(np.pad(emphasised, 56), n_fft=512, hop_length=160, win_length=400, center=False)
    bank = mel_bank(40, 512, 16_000, 0.0, 8_000.0)  # librosa's triangles are straight in Hz, not in mel
    db = librosa.amplitude_to_db(bank.T @ np.abs(spectrum[:, :-1]), ref=np.max, top_db=60)
    expected = np.interp(db, [db.min(), db.max()], [-1, 1]).T
    np.testing.assert_allclose(SMALL(samples), expected, rtol=0, atol=1e-3)


def test_golden_values() -> None:
    """Numbers of `spectrogram_by_definition`, written down: if they move, Spectrogram.version must, too."""
    found = SMALL(chirp())
    np.testing.assert_allclose(
        found[[0, 20, 120, 200, 400], [2, 9, 29, 36, 20]], [0.2493, -0.54148, 0.7812, 0.5874, -1], rtol=0, atol=1e-3
    )


def test_golden_fingerprints() -> None:
    """They were taken in another process. A lake's features are found again by them."""
    assert SMALL.fingerprint() == "f955af10a852"
    assert Spectrogram(num_bands=240).fingerprint() == "629284b87f2f"


@pytest.mark.parametrize("num_samples", [1, 80, 399, 79_999, 80_000, 80_001, 160_000])
@pytest.mark.parametrize("num_bands", [40, 240])
def test_every_spectrogram_has_497_frames_and_reaches_from_minus_1_to_1(num_samples: int, num_bands: int) -> None:
    front_end = Spectrogram(num_bands=num_bands)
    found = front_end(noise(num_samples))
    assert found.shape == (front_end.num_frames, front_end.num_columns) == (497, num_bands)
    assert (found.min(), found.max()) == (-1, 1)


def test_no_sample_is_too_short() -> None:
    with pytest.raises(TooShort, match="0 samples, one is enough"):
        SMALL(noise(0))


def test_silence_is_0_and_not_nan() -> None:
    assert not SMALL(np.zeros(20_000, np.float32)).any()


@pytest.mark.parametrize(
    "samples",
    [
        np.full(48_000, 0.5, np.float32),
        np.where(np.arange(48_000) % 100 < 50, 1, -1).astype(np.float32),
        np.ones(1, np.float32),
        1e-18 * noise(),
        100 * noise(),
    ],
    ids=["constant", "square wave", "one sample", "hardly a sound", "beyond full scale"],
)
def test_extremes_are_finite(samples: Samples) -> None:
    assert np.isfinite(SMALL(samples)).all()


def test_what_is_behind_a_clip_is_the_lowest_value() -> None:
    found = SMALL(noise(8_000))
    assert (found[50:] == -1).all()
    assert (found[:50, 5:] > -1).all()  # less than 60 dB are between these bands of a noise


def test_what_lies_beyond_5_s_does_not_count() -> None:
    samples = noise(100_000)
    assert np.array_equal(SMALL(samples), SMALL(samples[:80_000]))


@pytest.mark.parametrize("gain", [1e-4, 3.0])
def test_the_level_of_a_clip_does_not_count(gain: float) -> None:
    np.testing.assert_allclose(SMALL(np.float32(gain) * chirp()), SMALL(chirp()), rtol=0, atol=1e-4)


def test_60_db_are_the_range() -> None:
    samples = np.concatenate([1e-4 * noise(40_000), noise(40_000)]).astype(np.float32)  # 80 dB apart
    assert (SMALL(samples)[:245] == -1).all()
    assert (SMALL(samples)[255:, 39] > 0.5).all()
    # Of 100 dB, the highest band of the quiet half is 20 above the lowest value.
    assert SMALL.model_copy(update={"range_db": 100.0})(samples)[:245, 39].mean() == pytest.approx(-0.6, abs=0.2)


def test_samples_are_left_as_they_were() -> None:
    samples = noise()
    both = np.stack([samples, -samples], axis=1)
    both.flags.writeable = False
    assert np.array_equal(SMALL(both[:, 0]), SMALL(samples))  # a channel of a recording is not contiguous
    assert np.array_equal(both[:, 0], samples)


def test_a_batch_is_its_clips() -> None:
    clips = [noise(20_000), chirp(90_000), np.zeros(300, np.float32)]
    batch = np.zeros((3, 90_000), np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    found = SMALL.batch(torch.from_numpy(batch))
    for array, clip in zip(found.numpy(), clips, strict=True):
        np.testing.assert_allclose(array, SMALL(clip), rtol=0, atol=1e-4)


def test_a_batch_stays_on_its_device() -> None:
    found = SMALL.batch(torch.zeros(2, 20_000, device="meta"))  # which refuses most tensors of others
    assert (found.device.type, tuple(found.shape)) == ("meta", (2, 497, 40))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_numbers() -> None:
    found = SMALL.batch(torch.from_numpy(chirp()).cuda()[None])[0].cpu().numpy()
    np.testing.assert_allclose(found, SMALL(chirp()), rtol=0, atol=1e-3)


CHANGES: list[dict[str, Any]] = [
    {"version": 2},
    {"num_bands": 41},
    {"sample_rate_hz": 16_001},
    {"duration_s": 4.0},
    {"frame_ms": 20.0},
    {"hop_ms": 5.0},
    {"preemphasis": 0.95},
    {"fft_size": 1024},
    {"low_hz": 20.0},
    {"high_hz": 7_600.0},
    {"range_db": 80.0},
]


@pytest.mark.parametrize("change", CHANGES)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert Spectrogram(**{"num_bands": 40, **change}).fingerprint() != SMALL.fingerprint()


def test_no_field_is_forgotten_above() -> None:
    assert {name for change in CHANGES for name in change} | {"kind"} == set(Spectrogram.model_fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_bands": 0}, "num_bands"),
        ({"frame_ms": 33.0}, "do not fit an FFT of 512"),
        ({"hop_ms": 0.0}, "do not fit an FFT of 512"),
        ({"duration_s": 0.034}, "do not hold two frames"),
        ({"high_hz": 8_001.0}, "does not fit 16000 Hz"),
        ({"low_hz": 8_000.0}, "does not fit 16000 Hz"),
        ({"range_db": 0.0}, "range_db"),
        ({"bands": 40}, "bands"),
    ],
)
def test_the_impossible_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Spectrogram(**{"num_bands": 40, **change})


def test_two_frames_are_one_that_is_kept() -> None:
    front_end = Spectrogram(num_bands=40, duration_s=0.035)
    assert front_end(noise()).shape == (1, 40)


def test_it_travels_to_another_process() -> None:
    SMALL(noise())  # its tables are made
    data = pickle.dumps(SMALL)
    assert len(data) < 1_000  # and stay here
    assert np.array_equal(pickle.loads(data)(noise()), SMALL(noise()))
