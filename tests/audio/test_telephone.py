import collections
import hashlib

import numpy as np
import numpy.typing as npt
import pytest

from raysee.audio import telephone
from raysee.audio.telephone import CHANNELS, CODECS, RATE_HZ, band, codec_of, through
from raysee.errors import ConfigurationError

Samples = npt.NDArray[np.float32]
RATES_HZ = (8_000, 16_000, 44_100, 48_000)


def tone(hz: float, sample_rate_hz: int, seconds: float = 0.5) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz)).astype("f4")


def voice(sample_rate_hz: int, seconds: float = 1.0) -> Samples:
    """Pulses of 120 Hz with four slow swells: what codecs of speech are made for."""
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    harmonics = sum(np.sin(2 * np.pi * 120 * number * time_s + number**2) / number for number in range(1, 28))
    return (0.1 * harmonics * np.sin(np.pi * 4 * time_s) ** 2).astype(np.float32)


def level_db(samples: Samples) -> float:
    """Of the later half, in which a filter has settled, against the tone's own."""
    return float(20 * np.log10(samples[len(samples) // 2 :].std() / (0.5 / np.sqrt(2))))


@pytest.mark.parametrize("sample_rate_hz", RATES_HZ)
def test_the_band_keeps_the_middle_of_speech_and_nothing_below(sample_rate_hz: int) -> None:
    for hz, least, most in [(50, -200, -60), (100, -200, -36), (300, -3.3, -2.7), (1_000, -0.1, 0.1)]:
        assert least < level_db(band(tone(hz, sample_rate_hz), sample_rate_hz)) < most, hz
    assert -3.3 < level_db(band(tone(3_400, sample_rate_hz), sample_rate_hz)) < -2.7


@pytest.mark.parametrize("sample_rate_hz", RATES_HZ[1:])
def test_the_band_ends_above(sample_rate_hz: int) -> None:
    assert level_db(band(tone(5_000, sample_rate_hz), sample_rate_hz)) < -12
    for codec in CODECS:
        assert level_db(through(tone(5_000, sample_rate_hz), sample_rate_hz, codec)) < -50, "above half of 8 kHz"


def agreement(one: Samples, other: Samples) -> float:
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("sample_rate_hz", RATES_HZ)
@pytest.mark.parametrize(("codec", "least"), [("mu-law", 0.999), ("a-law", 0.999), ("gsm", 0.9), ("amr", 0.85)])
def test_a_codec_gives_speech_back_at_its_own_time(codec: str, least: float, sample_rate_hz: int) -> None:
    samples = voice(sample_rate_hz)
    expected, found = band(samples, sample_rate_hz), through(samples, sample_rate_hz, codec)
    assert (found.shape, found.dtype) == (samples.shape, np.float32)
    assert agreement(found, expected) > least
    assert abs(20 * np.log10(found.std() / expected.std())) < 1.5
    shifts = range(-sample_rate_hz // 200, sample_rate_hz // 200 + 1)  # 5 ms, AMR's delay
    best = max(shifts, key=lambda shift: agreement(np.roll(found, shift), expected))
    assert abs(best) <= sample_rate_hz // RATE_HZ, "not later than a sample at 8 kHz"


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_clip_comes_out_the_same_and_is_not_touched(codec: str) -> None:
    samples = voice(16_000, 0.3)
    before = samples.copy()
    first = through(samples, 16_000, codec)
    through(voice(16_000, 0.5), 16_000, codec)  # no codec remembers the clip before
    np.testing.assert_array_equal(through(samples, 16_000, codec), first)
    np.testing.assert_array_equal(samples, before)


def test_each_codec_is_heard() -> None:
    heard = {codec: through(voice(16_000, 0.3), 16_000, codec) for codec in CODECS}
    assert {"mu-law", "a-law", "gsm", "amr"} == heard.keys()
    assert len({hashlib.sha256(samples.tobytes()).digest() for samples in heard.values()}) == len(CODECS)


@pytest.mark.parametrize("sample_rate_hz", RATES_HZ)
@pytest.mark.parametrize("codec", CODECS)
def test_clips_of_any_length_keep_it(codec: str, sample_rate_hz: int) -> None:
    speech, frame = voice(sample_rate_hz, 0.1), sample_rate_hz // 50
    for num_samples in (0, 1, 2, 7, sample_rate_hz // 100, frame - 1, frame, frame + 1, 2 * frame):
        found = through(speech[:num_samples], sample_rate_hz, codec)
        assert (len(found), found.dtype) == (num_samples, np.float32)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("codec", CODECS)
def test_the_end_of_a_clip_is_not_lost(codec: str) -> None:
    """Whatever the codec's frames are: a whole number of them at 8 kHz, whose last 5 ms a late decoder would keep."""
    samples = voice(16_000, 0.32)
    samples[-320:] = tone(1_000, 16_000, 0.02)
    assert through(samples, 16_000, codec)[-60:].std() > 0.1


@pytest.mark.parametrize("codec", CODECS)
def test_silence_stays_silent(codec: str) -> None:
    for sample_rate_hz in RATES_HZ:
        assert np.abs(through(np.zeros(sample_rate_hz // 5, "f4"), sample_rate_hz, codec)).max() < 1e-3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("codec", CODECS)
def test_what_is_too_loud_is_clipped_and_not_wrapped(codec: str) -> None:
    samples = 8 * tone(1_000, 16_000)
    found = through(samples, 16_000, codec)
    assert 0.5 < np.abs(found[1_600:]).max() < 1.6
    assert agreement(found, samples) > 0.7, "a wrapped sample has the wrong sign"


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Unknown codec 'opus'; choose one of: a-law, amr, gsm, mu-law"):
        through(voice(8_000), 8_000, "opus")


def test_chance_gives_each_codec_its_share() -> None:
    drawn = collections.Counter(codec_of(f"clip-{number}") for number in range(4_000))
    assert drawn.keys() == CODECS.keys()
    assert all(abs(count - 1_000) < 120 for count in drawn.values()), drawn


def test_a_clip_has_the_same_codec_for_ever() -> None:
    """Another answer needs another version in CHANNELS."""
    clips = ["03a01Fa", "03a01Nc", "16b10Wb", "03-01-08-02-02-02-24"]
    assert [codec_of(clip) for clip in clips] == ["amr", "mu-law", "mu-law", "a-law"]


def test_a_build_without_an_encoder_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telephone, "_AMR_ENCODER", "no-such-encoder")
    with pytest.raises(ConfigurationError, match="PyAV has no AMR encoder"):
        through(voice(8_000), 8_000, "amr")


def test_the_channel_says_what_its_numbers_follow_from() -> None:
    assert CHANNELS["clean"] == {}, "features that are older than telephones keep their fingerprints"
    assert CHANNELS["telephone"]["telephone"]["codecs"] == [*CODECS]
