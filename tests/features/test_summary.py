import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.summary import FeatureArray, Summary

Samples = npt.NDArray[np.float32]
MFCC, CHROMA, MEL = slice(0, 40), slice(40, 52), slice(52, 180)


def chirp(num_samples: int = 30_000) -> Samples:
    """A tone that climbs from 100 to 9900 Hz: every band hears it once."""
    hz = np.linspace(100, 9_900, num_samples)
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hz) / 22_050)).astype(np.float32)


def noise(num_samples: int = 30_000) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def mel_by_definition(samples: Samples) -> npt.NDArray[np.float64]:
    """Mel power (num_frames, 128) in float64: frames around every 512th sample, triangles on Slaney's scale."""
    padded = np.concatenate([np.zeros(1024), samples.astype(np.float64), np.zeros(1024)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    frames = np.array([padded[512 * number :][:2048] * hann for number in range(len(samples) // 512 + 1)])
    power = np.abs(np.fft.fft(frames, axis=1)[:, :1025]) ** 2

    def hz(mel: float) -> float:
        return 200 / 3 * mel if mel < 15 else 1000 * math.exp(math.log(6.4) / 27 * (mel - 15))

    top = 15 + 27 * math.log(11_025 / 1000) / math.log(6.4)
    edges = [hz(top * number / 129) for number in range(130)]
    bins = np.arange(1025) * 22_050 / 2048
    bank = [  # of equal area
        2 / (right - left) * np.interp(bins, [left, centre, right], [0, 1, 0], left=0, right=0)
        for left, centre, right in zip(edges[:-2], edges[1:-1], edges[2:], strict=True)
    ]
    return power @ np.transpose(bank)


def mfcc_by_definition(samples: Samples) -> npt.NDArray[np.float64]:
    """Orthonormal cosine transform of decibels, not more than 80 below the highest, (num_frames, 40)."""
    db = 10 * np.log10(np.maximum(mel_by_definition(samples), 1e-10))
    db = np.maximum(db, db.max() - 80)
    cosines = [
        math.sqrt((1 if number == 0 else 2) / 128) * np.cos(np.pi * number * (np.arange(128) + 0.5) / 128)
        for number in range(40)
    ]
    return db @ np.transpose(cosines)


def standardised(rows_TF: npt.NDArray[Any], num_frames: int = 275) -> npt.NDArray[np.float64]:
    padded = np.zeros((num_frames, rows_TF.shape[1]))
    padded[: len(rows_TF)] = rows_TF[:num_frames]
    deviation = padded.std(axis=0)
    return (padded - padded.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


@pytest.mark.parametrize("samples", [chirp(), noise()], ids=["chirp", "noise"])
def test_flat_features_are_what_the_definition_says(samples: Samples) -> None:
    found = Summary()(samples)
    assert (found.shape, found.dtype) == ((1, 180), np.float32)
    np.testing.assert_allclose(found[0, MFCC], mfcc_by_definition(samples).mean(axis=0), rtol=0, atol=2e-3)
    np.testing.assert_allclose(found[0, MEL], mel_by_definition(samples).mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("samples", [chirp(), noise(145_000)], ids=["shorter than 275 frames", "longer"])
def test_the_array_is_what_the_definition_says(samples: Samples) -> None:
    found = FeatureArray()(samples)
    assert (found.shape, found.dtype) == ((275, 180), np.float32)
    np.testing.assert_allclose(found[:, MFCC], standardised(mfcc_by_definition(samples)), rtol=0, atol=2e-3)
    np.testing.assert_allclose(found[:, MEL], standardised(mel_by_definition(samples)), rtol=0, atol=2e-3)


def test_librosas_own_functions_give_the_same() -> None:
    import librosa

    samples = noise()
    mfcc = librosa.feature.mfcc(y=samples, sr=22_050, n_mfcc=40)
    mel = librosa.feature.melspectrogram(y=samples, sr=22_050)
    of_power = librosa.feature.chroma_stft(y=samples, sr=22_050)
    of_magnitudes = librosa.feature.chroma_stft(S=np.abs(librosa.stft(samples)), sr=22_050)
    flat = np.concatenate([mfcc, of_magnitudes, mel]).mean(axis=1)
    np.testing.assert_allclose(Summary()(samples)[0], flat, rtol=1e-4, atol=1e-4)
    array = standardised(np.concatenate([mfcc, of_power, mel]).T)
    np.testing.assert_allclose(FeatureArray()(samples), array, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("hz", "note"), [(440.0, 9), (523.25, 0), (1_318.5, 4)])  # A, C, E
def test_chroma_hears_the_note(hz: float, note: int) -> None:
    samples = (0.3 * np.sin(2 * np.pi * hz * np.arange(30_000) / 22_050)).astype(np.float32)
    chroma = Summary()(samples)[0, CHROMA]
    assert chroma.argmax() == note
    assert chroma[note] > 0.9  # the loudest is 1 in each frame
    assert chroma[(note + 6) % 12] < 0.3


def test_golden_values() -> None:
    """Numbers of the definitions above, and for chroma of librosa 0.11: if they move, version must, too."""
    flat, array = Summary()(chirp())[0], FeatureArray()(chirp())
    chosen = flat[[0, 1, 39, 40, 51, 52, 100, 179]]
    expected = [-586.3811, -3.49422, -0.26215, 0.26099, 0.25507, 0.23167, 3.62717, 0.00019]
    np.testing.assert_allclose(chosen, expected, rtol=1e-4, atol=1e-4)
    chosen = array[[0, 20, 58, 274, 30, 2], [0, 1, 39, 45, 120, 60]]
    expected = [-1.17403, -1.01584, 1.79272, -0.22743, -0.08804, 1.73972]
    np.testing.assert_allclose(chosen, expected, rtol=0, atol=1e-3)


def test_golden_fingerprints() -> None:
    """They were taken in another process. A lake's features are found again by them."""
    assert Summary().fingerprint() == "a92c4ad06edd"
    assert FeatureArray().fingerprint() == "36c77974d3c4"


def test_columns_of_the_array_are_standardised_with_the_zeros_behind_the_clip() -> None:
    found = FeatureArray()(noise())
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-5)
    assert (found[59:] == found[59]).all()
    assert (found[58] != found[59]).all()


@pytest.mark.parametrize("front_end", [Summary(), FeatureArray()], ids=["flat", "array"])
@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(22_050, np.float32),
        np.full(22_050, 0.5, np.float32),
        np.ones(1, np.float32),
        noise(110),
        noise(220_500),
        np.where(np.arange(22_050) % 100 < 50, 1, -1).astype(np.float32),
    ],
    ids=["silence", "constant", "one sample", "5 ms", "10 s", "square wave"],
)
def test_extremes_are_finite_and_nobody_is_warned(front_end: Summary | FeatureArray, samples: Samples) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = front_end(samples)
    assert found.shape == ((1, 180) if isinstance(front_end, Summary) else (275, 180))
    assert front_end.num_columns == 180
    assert np.isfinite(found).all()


def test_silence_is_the_floor() -> None:
    found = Summary()(np.zeros(5_000, np.float32))[0]
    assert found[0] == pytest.approx(-100 * math.sqrt(128))
    assert np.abs(found[1:]).max() < 1e-3


@pytest.mark.parametrize("front_end", [Summary(), FeatureArray()], ids=["flat", "array"])
def test_no_sample_is_too_short(front_end: Summary | FeatureArray) -> None:
    with pytest.raises(TooShort, match="0 samples"):
        front_end(noise(0))


def test_the_array_is_cut_before_it_is_standardised() -> None:
    samples = noise(200_000)
    early = samples.copy()
    early[275 * 512 + 1024 :] = 0  # what no frame of the 275 reaches
    # Chroma is tuned to the whole clip, and MFCCs are held against its highest level.
    np.testing.assert_allclose(FeatureArray()(early)[:, MEL], FeatureArray()(samples)[:, MEL], rtol=0, atol=1e-4)


def test_samples_are_left_as_they_were() -> None:
    samples = noise(3_000)
    both = np.stack([samples, -samples], axis=1)
    both.flags.writeable = False
    assert np.array_equal(Summary()(both[:, 0]), Summary()(samples))  # a channel of a recording is not contiguous


CHANGES: list[dict[str, Any]] = [
    {"version": 2},
    {"sample_rate_hz": 16_000},
    {"num_mfccs": 39},
    {"num_chroma": 24},
    {"num_bands": 64},
    {"fft_size": 1024},
    {"hop_size": 256},
]


@pytest.mark.parametrize("kind", [Summary, FeatureArray])
@pytest.mark.parametrize("change", CHANGES)
def test_any_field_changes_the_fingerprint(kind: type[Summary | FeatureArray], change: dict[str, Any]) -> None:
    assert kind(**change).fingerprint() != kind().fingerprint()


def test_no_field_is_forgotten_above() -> None:
    assert FeatureArray(num_frames=276).fingerprint() != FeatureArray().fingerprint()
    assert {name for change in CHANGES for name in change} | {"kind"} == set(Summary.model_fields)
    assert set(FeatureArray.model_fields) - set(Summary.model_fields) == {"num_frames"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_mfccs": 129}, "129 MFCCs cannot be made of 128 mel bands"),
        ({"num_chroma": 0}, "num_chroma"),
        ({"hop_size": 0}, "hop_size"),
        ({"hop_ms": 10.0}, "hop_ms"),
    ],
)
def test_the_impossible_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Summary(**change)


@pytest.mark.parametrize(
    ("front_end", "shape"),
    [
        (Summary(num_mfccs=13, num_chroma=24, num_bands=64), (1, 101)),
        (FeatureArray(num_frames=10, fft_size=1024), (10, 180)),
    ],
)
def test_other_sizes_have_other_shapes(front_end: Summary | FeatureArray, shape: tuple[int, int]) -> None:
    assert front_end(noise(4_000)).shape == shape
    assert front_end.num_columns == shape[1]
