import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.logmel import LogMel, mel_bank
from raysee.features.mfcc import Mfcc

Samples = npt.NDArray[np.float32]


def chirp(num_samples: int = 4_000) -> Samples:
    """A tone that climbs from 100 to 7900 Hz: every band hears it once."""
    hz = np.linspace(100, 7900, num_samples)
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hz) / 16_000)).astype(np.float32)


def noise(num_samples: int = 4_000) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def deltas_by_definition(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The slope of the line through five frames; beyond its ends a clip stays as it is there."""
    last = len(rows) - 1
    return np.array(
        [
            sum(step * (rows[min(t + step, last)] - rows[max(t - step, 0)]) for step in (1, 2)) / (2 * (1 + 4))
            for t in range(len(rows))
        ]
    )


def mfcc_by_definition(samples: Samples) -> npt.NDArray[np.float64]:
    """Frame by frame and band by band in float64, with the sums of both transforms written out."""
    angle = 2 * np.pi * np.outer(np.arange(257), np.arange(400)) / 512
    hamming = [0.54 - 0.46 * math.cos(2 * math.pi * n / 399) for n in range(400)]

    def mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    edges = [mel(8000) * number / 27 for number in range(28)]
    rows = []
    for start in range(0, len(samples) - 399, 160):
        frame = samples[start : start + 400].astype(np.float64)
        emphasised = [0.03 * frame[0]] + [frame[n] - 0.97 * frame[n - 1] for n in range(1, 400)]
        windowed = np.multiply(emphasised, hamming)
        power = (np.cos(angle) @ windowed) ** 2 + (np.sin(angle) @ windowed) ** 2
        positions = [mel(number * 31.25) for number in range(257)]
        logs = [
            math.log(max(power @ np.interp(positions, edges[band : band + 3], [0, 1, 0], left=0, right=0), 1e-7))
            for band in range(26)
        ]
        rows.append(
            [
                math.sqrt((1 if number == 0 else 2) / 26)
                * sum(logs[band] * math.cos(math.pi * number * (band + 0.5) / 26) for band in range(26))
                for number in range(13)
            ]
        )
    coefficients = np.array(rows)
    deltas = deltas_by_definition(coefficients)
    return np.concatenate([coefficients, deltas, deltas_by_definition(deltas)], axis=1)


@pytest.mark.parametrize(
    "samples", [chirp(), noise(), noise(400), noise(560)], ids=["chirp", "noise", "one frame", "two frames"]
)
def test_it_is_what_the_definition_says(samples: Samples) -> None:
    found = Mfcc()(samples)
    assert found.dtype == np.float32
    assert found.shape == ((len(samples) - 400) // 160 + 1, Mfcc().num_columns)
    np.testing.assert_allclose(found, mfcc_by_definition(samples), rtol=0, atol=2e-3)


def test_librosas_spectra_give_the_same_but_for_preemphasis() -> None:
    import librosa

    samples = noise(16_000)
    # librosa puts the 400 samples of a frame into the middle of 512.
    spectrum = librosa.stft(
        np.pad(samples, 56), n_fft=512, win_length=400, hop_length=160, window=np.hamming(400), center=False
    )
    bank = mel_bank(26, 512, 16_000, 0.0, 8_000.0)  # librosa's triangles are straight in Hz, not in mel
    expected = librosa.feature.mfcc(S=np.log(bank.T @ np.abs(spectrum) ** 2), n_mfcc=13).T
    found = Mfcc(logmel=LogMel(num_bands=26, preemphasis=0.0))(samples)
    np.testing.assert_allclose(found[:, :13], expected, rtol=0, atol=2e-3)


def test_golden_values() -> None:
    """Numbers of `mfcc_by_definition`, written down: if they move, Mfcc.version or LogMel.version must, too."""
    found = Mfcc()(chirp())
    assert found.shape == (23, 39)
    chosen = found[[0, 5, 22, 0, 11, 22, 11], [0, 1, 12, 13, 14, 25, 27]]
    expected = [-29.03885, -2.48163, 0.99214, 2.63149, -0.72489, 0.41325, 0.01124]
    np.testing.assert_allclose(chosen, expected, rtol=0, atol=2e-3)


def test_golden_fingerprint() -> None:
    """It was taken in another process. A lake's features are found again by it."""
    assert Mfcc().fingerprint() == "7f53747ae700"


@pytest.mark.parametrize("num_samples", [0, 1, 80, 399])
def test_less_than_a_frame_is_too_short(num_samples: int) -> None:
    with pytest.raises(TooShort, match=f"{num_samples} samples at 16000 Hz, one frame needs 400"):
        Mfcc()(noise(num_samples))


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(16_000, np.float32),
        np.full(16_000, 0.5, np.float32),
        noise(160_000),
        np.where(np.arange(16_000) % 100 < 50, 1, -1).astype(np.float32),
    ],
    ids=["silence", "constant", "10 s", "square wave"],
)
def test_extremes_are_finite(samples: Samples) -> None:
    assert np.isfinite(Mfcc()(samples)).all()


def test_silence_is_the_floor_and_does_not_move() -> None:
    found = Mfcc()(np.zeros(3_000, np.float32))
    np.testing.assert_allclose(found[:, 0], math.log(1e-7) * math.sqrt(26), rtol=1e-5)
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-4)


def test_a_frame_is_the_same_stretch_of_sound_as_in_the_logmels() -> None:
    logmel = LogMel(num_bands=13)
    front_end = Mfcc(logmel=logmel)
    cosines = np.cos(np.pi * np.outer(np.arange(13), np.arange(13) + 0.5) / 13) * math.sqrt(2 / 13)
    cosines[0] /= math.sqrt(2)
    # With as many coefficients as bands nothing is lost: back to the log-mels.
    np.testing.assert_allclose(front_end(noise())[:, :13] @ cosines, logmel(noise()), rtol=0, atol=1e-3)


def test_the_rate_is_that_of_the_logmels() -> None:
    front_end = Mfcc(logmel=LogMel(num_bands=26, sample_rate_hz=8_000, high_hz=4_000.0))
    assert front_end.sample_rate_hz == 8_000
    assert front_end(noise(200)).shape == (1, 39)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"num_mfccs": 12},
        {"delta_reach": 4},
        {"logmel": LogMel(num_bands=40)},
        {"logmel": LogMel(num_bands=26, version=2)},  # its numbers are ours
    ],
)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert Mfcc(**change).fingerprint() != Mfcc().fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_mfccs": 27}, "27 MFCCs cannot be made of 26 mel bands"),
        ({"num_mfccs": 0}, "num_mfccs"),
        ({"delta_reach": 0}, "delta_reach"),
        ({"lifter": 22}, "lifter"),
    ],
)
def test_the_impossible_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mfcc(**change)


def test_it_travels_to_another_process() -> None:
    front_end = Mfcc()
    data = pickle.dumps(front_end)
    assert len(data) < 1_000
    assert np.array_equal(pickle.loads(data)(noise()), front_end(noise()))
