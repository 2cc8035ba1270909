import io
import pathlib

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from raysee.audio.decode import decode
from raysee.audio.dual_mono import DualMono
from raysee.synthesis.calls import call

RATE_HZ = 8_000
Samples = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def talk() -> Samples:
    """A minute of two people, each on a channel, (num_samples, 2)."""
    samples, _ = call("a", seconds=60.0)
    return samples


def is_dual_mono(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], rate_hz: int = RATE_HZ) -> bool:
    detector = DualMono(rate_hz)
    detector.feed(np.stack([first, second], axis=1).astype(np.float32))
    return detector.verdict()


def noise(like: npt.NDArray[np.floating], level_db: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """So far below the level of `like`."""
    return 10 ** (level_db / 20) * float(like.std()) * np.random.default_rng(seed).standard_normal(len(like))


@pytest.mark.parametrize("gain_db", [-10, 0, 6])
@pytest.mark.parametrize("delay", [0, 1, 40, -24])  # samples, up to 5 ms
def test_the_same_sound_with_a_gain_and_a_delay(talk: Samples, gain_db: float, delay: int) -> None:
    both = talk.sum(axis=1)
    second = 10 ** (gain_db / 20) * np.roll(both, delay)
    assert is_dual_mono(both, second)
    assert is_dual_mono(both, -second), "a wire may be the wrong way round"
    assert is_dual_mono(both + noise(both, -40, 1), second + noise(second, -40, 2))


def test_a_delay_of_half_a_sample(talk: Samples) -> None:
    both = talk.sum(axis=1)
    spectrum = np.fft.rfft(both) * np.exp(-2j * np.pi * np.fft.rfftfreq(len(both)) * 10.5)
    assert is_dual_mono(both, np.fft.irfft(spectrum, len(both)))


@pytest.mark.parametrize(
    ("format", "subtype"),
    [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("WAV", "ULAW"), ("WAV", "PCM_U8"), ("WAV", "MS_ADPCM")],
)
def test_what_codecs_add_is_not_another_sound(talk: Samples, format: str, subtype: str) -> None:
    both = talk[: 20 * RATE_HZ].sum(axis=1)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([both, 0.7 * np.roll(both, 9)], axis=1), RATE_HZ, format=format, subtype=subtype)
    samples = decode(buffer.getvalue()).samples
    assert is_dual_mono(samples[:, 0], samples[:, 1])


@pytest.mark.parametrize("crosstalk_db", [-60, -20, -6])
def test_two_people_who_hear_each_other_are_two(talk: Samples, crosstalk_db: float) -> None:
    share = 10 ** (crosstalk_db / 20)
    agent, customer = talk.T
    assert not is_dual_mono(agent + share * customer, customer + share * agent)


def test_a_person_and_a_silent_line_are_two(talk: Samples) -> None:
    both = talk.sum(axis=1)
    for silent in (np.zeros_like(both), noise(both, -30), 0.1 * both + noise(both, -40)):  # the last: crosstalk only
        assert not is_dual_mono(both, silent)
        assert not is_dual_mono(silent, both)


def test_music_in_both_channels_before_two_people_talk_is_two(talk: Samples) -> None:
    music = np.tile(talk.sum(axis=1), 5)
    first, second = (np.concatenate([music, channel]) for channel in talk.T)
    assert not is_dual_mono(first, second)


def test_nothing_is_said_of_silence_and_of_a_few_seconds(talk: Samples) -> None:
    both = talk.sum(axis=1)
    assert not DualMono(RATE_HZ).verdict()
    assert not is_dual_mono(np.zeros_like(both), np.zeros_like(both))
    assert not is_dual_mono(both[: 9 * RATE_HZ], both[: 9 * RATE_HZ])
    assert is_dual_mono(both[: 20 * RATE_HZ], both[: 20 * RATE_HZ])


def test_where_blocks_end_changes_nothing(talk: Samples) -> None:
    same = np.repeat(talk.sum(axis=1)[:, None], 2, axis=1)
    for samples, expected in ((same, True), (talk, False)):
        for size in (111, 7_777, 80_000):
            detector = DualMono(RATE_HZ)
            for start in range(0, len(samples), size):
                detector.feed(samples[start : start + size])
            assert detector.verdict() == expected


def test_real_calls_are_two_people(real_data: pathlib.Path) -> None:
    paths = sorted((real_data / "calls").glob("auto_repairs_??.wav"))
    assert paths
    for path in paths:
        audio = decode(path.read_bytes())
        first, second = audio.samples.T
        assert not is_dual_mono(first, second, audio.sample_rate_hz)
        assert is_dual_mono(first + second, np.roll(first + second, 12), audio.sample_rate_hz)
