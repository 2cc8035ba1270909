import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from raysee.features import TooShort
from raysee.features.chunks import ChunkFeatures, Chunks

Samples = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
CHUNK = 8_192
RMS, MFCC, CROSSINGS, BANDS, ROLLOFF, CENTROID, PITCH = (
    slice(0, 1),
    slice(1, 14),
    slice(14, 15),
    slice(15, 19),
    slice(19, 24),
    slice(24, 25),
    slice(25, 26),
)


def noise(num_samples: int) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def tone(hz: float, num_samples: int = CHUNK) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / 16_000)).astype(np.float32)


def voice(hz: float, num_samples: int = CHUNK) -> Samples:
    """Ten harmonics, each weaker than the one below."""
    return np.sum([tone(hz * number, num_samples) / (2 * number) for number in range(1, 11)], axis=0, dtype=np.float32)


def shrink(num_in: int, num_out: int) -> Array:
    """Bilinear weights (num_out, num_in): a triangle around each pixel's middle that reaches to its neighbours'."""
    scale, rows = num_in / num_out, []
    for pixel in range(num_out):
        row = [max(1 - abs((place + 0.5) / scale - (pixel + 0.5)), 0.0) for place in range(num_in)]
        rows.append([weight / sum(row) for weight in row])
    return np.array(rows)


def chunk_by_definition(samples: Samples, number: int) -> Array:
    """One chunk of a clip in float64, with the discrete Fourier transform of its 256 bins written out."""
    channels = []
    for size in (640, 80):
        hamming = np.array([0.54 - 0.46 * math.cos(2 * math.pi * n / (size - 1)) for n in range(size)])
        fourier = np.exp(-2j * np.pi * np.outer(np.arange(1, 257), np.arange(size)) / 2_048)
        level = np.empty((256, 256))
        for frame in range(256):
            first = CHUNK * number + 32 * frame + 16 - size // 2
            heard = [samples[n] if 0 <= n < len(samples) else 0.0 for n in range(first, first + size)]
            level[:, frame] = np.log(np.maximum(np.abs(fourier @ (hamming * heard)), 1e-5))
        channels.append(shrink(256, 64) @ level @ shrink(256, 64).T)
    return np.stack(channels, axis=2)


@pytest.mark.parametrize("samples", [noise(20_000), voice(150, 17_000)], ids=["noise", "voice"])
def test_it_is_what_the_definition_says(samples: Samples) -> None:
    found = Chunks()(samples)
    assert found.shape == (2, 64, 64, 2)
    assert found.dtype == np.float32
    for number, chunk in enumerate(found):
        # Single precision: between loud harmonics a level is right to 0.02 dB.
        np.testing.assert_allclose(chunk, chunk_by_definition(samples, number), rtol=0, atol=2e-3)


def test_golden_values() -> None:
    """Numbers of `chunk_by_definition`, written down: if they move, Chunks.version must, too."""
    (found,) = Chunks()(noise(CHUNK))
    np.testing.assert_allclose(
        found[[0, 63, 20, 5], [0, 63, 30, 60], [0, 0, 1, 1]], [0.02346, -0.05247, -0.93828, -1.13794], rtol=0, atol=1e-3
    )


def test_golden_fingerprints() -> None:
    assert Chunks().fingerprint() == "7db2cca79fbe"
    assert ChunkFeatures().fingerprint() == "b1b7ac47c5b3"


@pytest.mark.parametrize("hz", [250.0, 1_000.0, 1_750.0])
def test_a_tone_is_a_line_that_long_frames_make_thin(hz: float) -> None:
    (found,) = Chunks()(tone(hz))
    line = found[:, 8:-8].mean(axis=1)
    for channel in range(2):
        assert abs(int(line[:, channel].argmax()) - hz / 31.25) <= 1
    widths = (line > line.max(axis=0) - 2).sum(axis=0)
    assert widths[0] < 4 < widths[1]


def test_a_click_is_a_line_that_short_frames_make_thin() -> None:
    samples = np.zeros(CHUNK, np.float32)
    samples[4_000] = 1
    (found,) = Chunks()(samples)
    line = found.mean(axis=0)
    centres = [np.flatnonzero(line[:, channel] > line.min() + 1).mean() for channel in range(2)]
    np.testing.assert_allclose(centres, 4_000 / 128 - 0.5, rtol=0, atol=0.51)
    widths = (line > line.min() + 1).sum(axis=0)
    assert widths[1] <= 3 < widths[0] <= 8


FRONT_ENDS = pytest.mark.parametrize("front_end", [Chunks(), ChunkFeatures()], ids=["chunks", "features"])


@FRONT_ENDS
@pytest.mark.parametrize(
    ("num_samples", "num_chunks"), [(1, 1), (8_191, 1), (8_192, 1), (16_383, 1), (16_384, 2), (24_576, 3)]
)
def test_the_number_of_chunks(front_end: Chunks | ChunkFeatures, num_samples: int, num_chunks: int) -> None:
    shape = front_end(noise(num_samples)).shape
    assert shape[0] == num_chunks
    assert shape[-1] == front_end.num_columns


@FRONT_ENDS
def test_a_short_clip_has_silence_behind_it(front_end: Chunks | ChunkFeatures) -> None:
    filled = np.append(noise(5_000), np.zeros(3_192, np.float32))
    np.testing.assert_array_equal(front_end(noise(5_000)), front_end(filled))


def test_what_is_left_at_the_end_is_no_chunk() -> None:
    np.testing.assert_allclose(Chunks()(noise(16_000))[0, :, :61], Chunks()(noise(CHUNK))[0, :, :61], rtol=0, atol=1e-4)
    np.testing.assert_allclose(ChunkFeatures()(noise(16_000)), ChunkFeatures()(noise(CHUNK)), rtol=1e-5)


def test_features_of_a_chunk_know_nothing_of_its_neighbours() -> None:
    samples = np.concatenate([noise(CHUNK), 1e-4 * noise(CHUNK), voice(200)])
    together = ChunkFeatures()(samples)
    for number, row in enumerate(together):
        (alone,) = ChunkFeatures()(samples[CHUNK * number :][:CHUNK])
        np.testing.assert_allclose(row, alone, rtol=1e-4, atol=1e-5)


def slaney_mels(num_bands: int) -> Array:
    """Weights (num_bands, 513) of Slaney's Auditory Toolbox: triangles of equal area between 0 and 8000 Hz."""

    def mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1_000 else 15 + math.log(hz / 1_000) / (math.log(6.4) / 27)

    def hertz(value: float) -> float:
        return value * 200 / 3 if value < 15 else 1_000 * math.exp((value - 15) * math.log(6.4) / 27)

    edges = [hertz(mel(8_000) * number / (num_bands + 1)) for number in range(num_bands + 2)]
    rows = []
    for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
        bins = np.arange(513) * 15.625
        rows.append(np.interp(bins, [left, centre, right], [0, 1, 0]) * 2 / (right - left))
    return np.array(rows)


def features_by_definition(samples: Samples) -> dict[str, Array]:
    """Level, MFCC, crossings, bands, roll-off and centroid of one chunk in float64, feature by feature."""
    signal = samples.astype(np.float64)
    short = np.array([signal[first : first + 640] for first in range(0, CHUNK - 640 + 1, 160)])
    hann = np.array([math.sin(math.pi * n / 640) ** 2 for n in range(640)])
    # Frames of an FFT of 1024, in whose middle the window lies.
    inner = np.array([signal[first + 192 : first + 832] for first in range(0, CHUNK - 1_024 + 1, 160)])
    magnitude = np.abs(np.fft.rfft(inner * hann, 1_024))
    power, hz = magnitude**2, np.arange(513) * 15.625
    level = 10 * np.log10(np.maximum(power @ slaney_mels(40).T, 1e-10))
    cosines = np.array([[math.cos(math.pi * k * (n + 0.5) / 40) for n in range(40)] for k in range(13)])
    cosines *= np.sqrt(2 / 40)
    cosines[0] *= np.sqrt(0.5)
    mels = 1_127 * np.log1p(hz / 700)
    quarter = np.minimum(mels / (1_127 * math.log1p(8_000 / 700) / 4), 3).astype(int)
    bands = [power.mean(axis=0)[quarter == number].sum() for number in range(4)]
    rolloffs = []
    for share in (0.5, 0.75, 0.85, 0.9, 0.95):
        enough = np.cumsum(magnitude, axis=1) >= share * magnitude.sum(axis=1, keepdims=True)
        rolloffs.append(hz[enough.argmax(axis=1)].mean())
    return {
        "level": np.sqrt((short**2).mean(axis=1)).mean(keepdims=True),
        "mfcc": (level @ cosines.T).mean(axis=0),
        "crossings": ((short[:, 1:] < 0) != (short[:, :-1] < 0)).sum(axis=1).mean(keepdims=True) / 640,
        "bands": 10 * np.log10(bands),
        "rolloff": np.array(rolloffs),
        "centroid": ((magnitude @ hz) / magnitude.sum(axis=1)).mean(keepdims=True),
    }


@pytest.mark.parametrize("samples", [noise(CHUNK), voice(150) + 0.1 * noise(CHUNK)], ids=["noise", "voice"])
def test_features_are_what_their_definitions_say(samples: Samples) -> None:
    expected = features_by_definition(samples)
    (found,) = ChunkFeatures()(samples)
    assert found.shape == (26,)
    assert found.dtype == np.float32
    for name, place in [
        ("level", RMS),
        ("mfcc", MFCC),
        ("crossings", CROSSINGS),
        ("bands", BANDS),
        ("rolloff", ROLLOFF),
        ("centroid", CENTROID),
    ]:
        np.testing.assert_allclose(found[place], expected[name], rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("hz", [90.0, 150.0, 210.0, 400.0])
def test_pitch_is_that_of_the_voice(hz: float) -> None:
    (found,) = ChunkFeatures()(voice(hz))
    assert abs(found[PITCH].item() / hz - 1) < 0.01


def test_features_of_silence() -> None:
    (found,) = ChunkFeatures()(np.zeros(CHUNK, np.float32))
    np.testing.assert_allclose(found[BANDS], -100.0, rtol=1e-6)
    assert not found[[RMS.start, CROSSINGS.start, CENTROID.start, PITCH.start]].any()
    assert not found[ROLLOFF].any()
    np.testing.assert_allclose(found[MFCC], [-100 * math.sqrt(40), *[0] * 12], rtol=0, atol=1e-3)


@FRONT_ENDS
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
def test_strange_samples_have_features_too(front_end: Chunks | ChunkFeatures, samples: Samples) -> None:
    assert np.isfinite(front_end(samples)).all()


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(Chunks()(np.zeros(CHUNK, np.float32)), math.log(1e-5), rtol=0, atol=1e-5)


@FRONT_ENDS
def test_nothing_is_too_short(front_end: Chunks | ChunkFeatures) -> None:
    with pytest.raises(TooShort, match="0 samples at 16000 Hz, at least 1 is needed"):
        front_end(noise(0))


@FRONT_ENDS
def test_samples_are_left_as_they_were(front_end: Chunks | ChunkFeatures) -> None:
    samples = noise(CHUNK)
    both = np.stack([samples, -samples], axis=1)
    both.flags.writeable = False  # what Arrow and Ray lend
    np.testing.assert_array_equal(front_end(both[:, 0]), front_end(samples))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"size": 32},
        {"sample_rate_hz": 8_000},
        {"frames_ms": (40.0,)},
        {"hop_ms": 4.0},
        {"num_frames": 128},
        {"fft_size": 1_024},
        {"low_hz": 10.0},
        {"high_hz": 4_000.0},
        {"floor": 1e-6},
    ],
)
def test_any_field_changes_the_fingerprint_of_chunks(change: dict[str, Any]) -> None:
    assert Chunks(**change).fingerprint() != Chunks().fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"sample_rate_hz": 12_000},
        {"chunk_ms": 500.0},
        {"frame_ms": 25.0},
        {"hop_ms": 5.0},
        {"fft_size": 2_048},
        {"num_mel_bands": 26},
        {"num_coefficients": 12},
        {"num_bands": 5},
        {"rolloffs": (0.5,)},
        {"lowest_pitch_hz": 70.0},
        {"highest_pitch_hz": 400.0},
        {"floor": 1e-9},
    ],
)
def test_any_field_changes_the_fingerprint_of_features(change: dict[str, Any]) -> None:
    assert ChunkFeatures(**change).fingerprint() != ChunkFeatures().fingerprint()


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (Chunks, {"fft_size": 512}, "frames of 40.0 ms"),
        (Chunks, {"hop_ms": 6.0}, "frames of 5.0 ms"),
        (Chunks, {"frames_ms": ()}, "frames_ms"),
        (Chunks, {"high_hz": 8_100.0}, "1.0 to 8100.0 Hz"),
        (Chunks, {"low_hz": 100.0, "high_hz": 101.0}, "100.0 to 101.0 Hz"),
        (Chunks, {"low_hz": -20.0}, "-20.0 to 2000.0 Hz"),
        (ChunkFeatures, {"fft_size": 512}, "an FFT of 512 does not hold frames of 40.0 ms"),
        (ChunkFeatures, {"chunk_ms": 50.0}, "does not fit a chunk of 50.0 ms"),
        (ChunkFeatures, {"rolloffs": (0.5, 1.5)}, r"roll-offs of \(0.5, 1.5\)"),
        (ChunkFeatures, {"num_coefficients": 41}, "40 mel bands do not give 41"),
        (ChunkFeatures, {"lowest_pitch_hz": 20.0}, "20.0 to 500.0 Hz does not fit frames of 1024"),
        (ChunkFeatures, {"highest_pitch_hz": 50.0}, "60.0 to 50.0 Hz"),
    ],
)
def test_impossible_parameters_are_refused(
    kind: type[Chunks] | type[ChunkFeatures], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        kind(**change)


@FRONT_ENDS
def test_it_travels_to_another_process(front_end: Chunks | ChunkFeatures) -> None:
    again = pickle.loads(pickle.dumps(front_end))
    np.testing.assert_array_equal(again(noise(CHUNK)), front_end(noise(CHUNK)))
