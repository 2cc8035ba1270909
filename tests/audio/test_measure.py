import hashlib
import io

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from raysee.audio.decode import Audio, NotAudio
from raysee.audio.measure import Measures, measure
from raysee.errors import AudioError

RATE_HZ = 16_000
Samples = npt.NDArray[np.float64]


def wav(samples: Samples, rate_hz: int = RATE_HZ, subtype: str = "FLOAT") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype=subtype)
    return buffer.getvalue()


def one(samples: Samples, rate_hz: int = RATE_HZ, subtype: str = "FLOAT") -> Measures:
    (found,) = measure(wav(samples, rate_hz, subtype))
    assert isinstance(found, Measures)
    return found


def tone(dbfs: float, seconds: float, rate_hz: int = RATE_HZ) -> Samples:
    """A sine whose RMS is at this level."""
    return 10 ** (dbfs / 20) * 2**0.5 * np.sin(2 * np.pi * 400 * np.arange(round(seconds * rate_hz)) / rate_hz)


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (16_000, 2), (44_100, 1), (48_000, 3)])
def test_the_file_is_described(rate_hz: int, channels: int) -> None:
    samples = np.repeat(tone(-20, 0.5, rate_hz)[:, None], channels, axis=1)
    found = one(samples, rate_hz)
    assert (found.duration_s, found.sample_rate_hz, found.num_channels) == (0.5, rate_hz, channels)
    assert found.level_dbfs == pytest.approx(-20, abs=0.01)
    assert found.peak == pytest.approx(0.1 * 2**0.5, abs=1e-3)
    assert found.content_sha256 == hashlib.sha256(wav(samples, rate_hz)).hexdigest()


@pytest.mark.parametrize(
    ("samples", "level_dbfs"),
    [
        (np.zeros(RATE_HZ), -100.0),
        (np.full(RATE_HZ, 0.5), -100.0),  # a constant offset is no sound
        (tone(-30, 1.0) + 0.3, -30.0),
        (np.stack([tone(-20, 1.0), -tone(-20, 1.0)], axis=1), -20.0),  # opposite channels don't cancel
        (np.stack([tone(-20, 1.0), np.zeros(RATE_HZ)], axis=1), -23.01),
        (np.stack([np.full(RATE_HZ, 0.2), np.full(RATE_HZ, -0.2)], axis=1), -100.0),  # each has its own offset
    ],
)
def test_level_is_that_of_all_channels_without_their_offsets(samples: Samples, level_dbfs: float) -> None:
    assert one(samples).level_dbfs == pytest.approx(level_dbfs, abs=0.01)


@pytest.mark.parametrize(
    ("highest", "subtype", "clipped"),
    [
        (32767 / 32768, "PCM_16", True),
        (32766 / 32768, "PCM_16", False),
        (-1.0, "PCM_16", True),
        (-32766 / 32768, "PCM_16", False),
        (8388607 / 8388608, "PCM_24", True),
        (1.7, "FLOAT", True),
        (0.999, "FLOAT", False),
    ],
)
def test_full_scale_is_the_highest_16_bit_sample(highest: float, subtype: str, clipped: bool) -> None:
    samples = np.zeros(1000)
    samples[[3, 500, 501, 502, 999]] = highest
    found = one(samples, subtype=subtype)
    assert found.peak == pytest.approx(abs(highest), abs=1e-6)
    assert found.clipped_share == (pytest.approx(0.005) if clipped else 0.0)
    assert found.longest_clipping == (3 if clipped else 0)


def test_a_run_of_clipping_is_of_one_channel() -> None:
    samples = np.zeros((100, 2))
    samples[10:12, 0] = samples[12:16, 1] = samples[98:, 0] = 1.0
    found = one(samples)
    assert found.longest_clipping == 4
    assert found.clipped_share == pytest.approx(8 / 200)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
@pytest.mark.parametrize("dbfs", [-6.0, -45.0])
@pytest.mark.parametrize("around_db", [-41.0, -200.0])
def test_silence_is_40_db_below_the_loudest_frame_whatever_the_level(
    rate_hz: int, dbfs: float, around_db: float
) -> None:
    samples = tone(dbfs + around_db, 2.0, rate_hz)
    for start_s, end_s, down_db in [(0.4, 0.8, 0), (1.0, 1.5, 39)]:
        inside = slice(round(start_s * rate_hz), round(end_s * rate_hz))
        samples[inside] = tone(dbfs - down_db, 2.0, rate_hz)[inside]
    found = one(samples, rate_hz)
    assert found.silent_share == pytest.approx(0.55)
    assert found.leading_silence_s == pytest.approx(0.4)
    assert found.trailing_silence_s == pytest.approx(0.5)


def test_noise_at_digital_silence_is_silent_though_nothing_is_louder() -> None:
    found = one(tone(-95, 1.0))
    assert (found.silent_share, found.leading_silence_s, found.trailing_silence_s) == (1.0, 1.0, 1.0)
    assert one(tone(-85, 1.0)).silent_share == 0.0


@pytest.mark.parametrize("num_samples", [1, 2, 319, 321])
def test_clips_of_hardly_a_frame_have_measures_too(num_samples: int) -> None:
    found = one(np.random.default_rng(0).uniform(-0.5, 0.5, num_samples))
    assert found.duration_s == num_samples / RATE_HZ
    assert np.isfinite([value for value in found if isinstance(value, float)]).all()


def test_parts_of_a_file_are_measured_apart_and_know_their_file() -> None:
    data = wav(np.concatenate([tone(-10, 1.0), tone(-30, 2.0)]))
    first, second, whole, beyond, empty, backwards = measure(
        data, [(None, 1.0), (1.0, None), (None, None), (2.5, 3.1), (1.0, 1.0), (2.0, 1.0)]
    )
    assert isinstance(first, Measures)
    assert isinstance(second, Measures)
    assert isinstance(whole, Measures)
    assert [round(found.duration_s, 6) for found in (first, second, whole)] == [1.0, 2.0, 3.0]
    assert first.level_dbfs == pytest.approx(-10, abs=0.01)
    assert second.level_dbfs == pytest.approx(-30, abs=0.01)
    assert {first.content_sha256, second.content_sha256} == {hashlib.sha256(data).hexdigest()}
    assert [str(error) for error in (beyond, empty, backwards)] == [
        "the clip is samples 40000 to 49600, the file has 48000",
        "the clip is samples 16000 to 16000, the file has 48000",
        "the clip is samples 32000 to 16000, the file has 48000",
    ]


def test_a_file_that_cannot_be_decoded_has_no_parts() -> None:
    with pytest.raises(NotAudio):
        measure(b"no sound", [(None, 1.0)])


@pytest.mark.parametrize(
    ("start_s", "end_s", "first", "last"),
    [(None, None, 0, 9), (0.0, 0.009, 0, 8), (0.003, None, 3, 9), (0.0026, 0.0034, None, None), (-0.001, 0.002, 0, 0)],
)
def test_a_part_is_cut_at_the_nearest_sample(
    start_s: float | None, end_s: float | None, first: int | None, last: int | None
) -> None:
    audio = Audio(np.arange(10, dtype=np.float32)[:, None], 1000)
    if not last:
        with pytest.raises(AudioError, match="the file has 10"):
            audio.part(start_s, end_s)
        return
    cut = audio.part(start_s, end_s)
    assert cut.sample_rate_hz == 1000
    assert (cut.samples[0, 0], cut.samples[-1, 0]) == (first, last)
