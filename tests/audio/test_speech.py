import functools
import itertools

import numpy as np
import numpy.typing as npt
import pytest

from raysee.audio import silero
from raysee.audio.measure import level_dbfs
from raysee.audio.resample import resample
from raysee.audio.segments import FRAME_S, Segment, SegmentConfig, cut
from raysee.audio.speech import ENERGY, Energy, detector, listener
from raysee.errors import ConfigurationError
from raysee.synthesis.calls import call
from raysee.synthesis.tract import SAMPLE_RATE_HZ
from raysee.synthesis.voice import Gender, sentence, speak, speaker

RATE_HZ = 16_000
RATES_HZ = (8_000, 16_000)
KEY_HZ = list(itertools.product((697, 770, 852, 941), (1209, 1336, 1477, 1633)))  # ITU-T Q.23
FRAMES_A_SECOND = 50
Samples = npt.NDArray[np.float32]


def noise(dbfs: float, seconds: float, rate_hz: int = RATE_HZ, seed: int = 0) -> Samples:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    return (10 ** (dbfs / 20) * samples).astype(np.float32)


def burst(dbfs: float, start_s: float, end_s: float, seconds: float = 6.0, rate_hz: int = RATE_HZ) -> Samples:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    tone = 10 ** (dbfs / 20) * 2**0.5 * np.sin(2 * np.pi * 300 * time)
    return np.where((time >= start_s) & (time < end_s), tone, 0.0).astype(np.float32)


def stretches(mask: npt.NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Start and end in seconds of each run of true frames."""
    edges = np.flatnonzero(np.diff([False, *mask, False]))
    return [
        (start / FRAMES_A_SECOND, end / FRAMES_A_SECOND) for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(100), -100.0),
        (np.ones(100), 0.0),
        (np.full(100, 0.1), -20.0),
        (np.sin(2 * np.pi * np.arange(1000) / 100), -3.0103),
    ],
)
def test_level_is_rms_over_full_scale(samples: npt.NDArray[np.float64], expected: float) -> None:
    assert float(level_dbfs(samples.astype(np.float32))) == pytest.approx(expected, abs=1e-3)


@pytest.fixture(
    params=[
        ENERGY,
        pytest.param("silero", marks=pytest.mark.skipif(not silero.is_installed(), reason="silero is not installed")),
    ]
)
def name(request: pytest.FixtureRequest) -> str:
    """The name of either detector."""
    return ENERGY if request.param == ENERGY else silero.name()


def silence(seconds: float, rate_hz: int) -> Samples:
    return np.zeros(round(seconds * rate_hz), np.float32)


def tone(frequencies_hz: tuple[float, ...], seconds: float, rate_hz: int) -> Samples:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.1 * sum(np.sin(2 * np.pi * hz * time) for hz in frequencies_hz)).astype(np.float32)


def cadence(frequencies_hz: tuple[float, ...], on_s: float, off_s: float, times: int, rate_hz: int) -> Samples:
    return np.tile(np.concatenate([tone(frequencies_hz, on_s, rate_hz), silence(off_s, rate_hz)]), times)


def signals(rate_hz: int) -> dict[str, Samples]:
    """What a telephone line sounds like while nobody speaks."""
    keys = [np.concatenate([tone(KEY_HZ[key], 0.1, rate_hz), silence(0.1, rate_hz)]) for key in range(16)]
    return {
        "dial tone": tone((350, 440), 6.0, rate_hz),
        "dial tone of Europe": tone((425,), 6.0, rate_hz),
        "ringing": cadence((440, 480), 2.0, 4.0, 3, rate_hz),
        "ringing in Europe": cadence((425,), 1.0, 4.0, 3, rate_hz),
        "busy": cadence((480, 620), 0.5, 0.5, 10, rate_hz),
        "keys": np.concatenate(keys),
        "a key held": tone(KEY_HZ[5], 2.0, rate_hz),
        "beep": np.concatenate([silence(2.0, rate_hz), tone((1400,), 0.4, rate_hz), silence(2.0, rate_hz)]),
    }


def music(seconds: float, rate_hz: int) -> Samples:
    """A progression of four chords with a melody above: plucked notes of six harmonics."""
    samples = np.zeros(round((seconds + 4) * rate_hz))
    rng = np.random.default_rng(0)

    def pluck(note: int, at_s: float, for_s: float, amplitude: float) -> None:
        time, hz = np.arange(round(for_s * rate_hz)) / rate_hz, 440 * 2 ** ((note - 69) / 12)
        harmonics = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 7) if hz * k < rate_hz / 2)
        first = round(at_s * rate_hz)
        samples[first : first + len(time)] += amplitude * harmonics * np.exp(-2 * time / for_s)

    for beat in range(round(seconds * 2)):
        chord = [(60, 64, 67), (57, 60, 64), (53, 57, 60), (55, 59, 62)][beat // 4 % 4]
        if beat % 4 == 0:
            for note in chord:
                pluck(note - 12, beat / 2, 2.0, 0.1)
        pluck(int(rng.choice(chord)) + 12, beat / 2, 0.75, 0.15)
    return samples[: round(seconds * rate_hz)].astype(np.float32)


@functools.cache
def voice(gender: Gender) -> Samples:
    """A made sentence of some 3.5 s at 16 kHz, with 0.1 s of room around it."""
    return speak(speaker("a", gender, 0), sentence("a", 0, syllables=14), "neutral")


def two_sentences(gender: Gender, rate_hz: int, dbfs: float = -70.0) -> tuple[Samples, list[tuple[float, float]]]:
    """A second of noise, a sentence, 1.5 s of noise, a sentence, a second of noise; where the sentences are."""
    said = resample(voice(gender), SAMPLE_RATE_HZ, rate_hz)
    parts = [silence(1.0, rate_hz), said, silence(1.5, rate_hz), said, silence(1.0, rate_hz)]
    samples = np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts]) / rate_hz
    return samples + noise(dbfs, len(samples) / rate_hz, rate_hz)[: len(samples)], [
        (ends[0] + 0.1, ends[1] - 0.1),
        (ends[2] + 0.1, ends[3] - 0.1),
    ]


def found_in(samples: Samples, rate_hz: int, name: str) -> list[Segment]:
    return cut(probabilities(samples, rate_hz, name), SegmentConfig())


def probabilities(samples: Samples, rate_hz: int, name: str) -> npt.NDArray[np.float32]:
    """Of speech, by the detector `name`, in a recording of one channel and any rate."""
    return listener(name, 1).push(resample(samples, rate_hz, silero.SAMPLE_RATE_HZ)[None])[0]


def as_spans(found: list[Segment]) -> list[tuple[float, float]]:
    return [(segment.start_s, segment.end_s) for segment in found]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("line_dbfs", [-200.0, -60.0, -50.0])
def test_silence_and_tones_are_no_speech(name: str, rate_hz: int, line_dbfs: float) -> None:
    heard = {"silence": silence(5.0, rate_hz), **signals(rate_hz)}
    heard = {key: samples + noise(line_dbfs, 18.0, rate_hz)[: len(samples)] for key, samples in heard.items()}
    found = {key: found_in(samples, rate_hz, name) for key, samples in heard.items()}
    assert found == {key: [] for key in heard}


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_music_is_speech_to_energy_and_not_to_silero(name: str, rate_hz: int) -> None:
    found = found_in(music(16.0, rate_hz), rate_hz, name)
    talk_s = sum(segment.speech_s for segment in found)
    assert talk_s > 15 if name == ENERGY else talk_s == 0


@pytest.mark.parametrize("gender", ["female", "male"])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("line_dbfs", [-200.0, -60.0, -48.0])
def test_sentences_are_found_where_they_are(name: str, gender: Gender, rate_hz: int, line_dbfs: float) -> None:
    samples, said = two_sentences(gender, rate_hz, line_dbfs)
    assert np.allclose(as_spans(found_in(samples, rate_hz, name)), said, atol=0.25)


def test_a_clipped_voice_is_speech_all_the_same(name: str) -> None:
    samples, said = two_sentences("female", 8_000)
    clipped = np.clip(30 * samples, -1, 1)
    assert (np.abs(clipped) == 1).mean() > 0.1
    assert np.allclose(as_spans(found_in(clipped, 8_000, name)), said, atol=0.25)


def test_speech_between_tones_is_all_that_is_found(name: str) -> None:
    sentences, said = two_sentences("male", 8_000)
    ringing = signals(8_000)["ringing"]
    before_s = len(ringing) / 8_000
    samples = np.concatenate([ringing, sentences, signals(8_000)["busy"]])
    found = as_spans(found_in(samples + noise(-65, len(samples) / 8_000, 8_000), 8_000, name))
    assert np.allclose(np.array(found) - before_s, said, atol=0.25)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_turns_of_a_call_are_found_by_channel(name: str, rate_hz: int) -> None:
    samples, turns = call("b", seconds=40.0, sample_rate_hz=rate_hz)
    found = [found_in(channel, rate_hz, name) for channel in samples.T]
    for channel in (0, 1):
        said_s = sum(turn.end_s - turn.start_s - 0.2 for turn in turns if turn.channel == channel)
        assert sum(segment.speech_s for segment in found[channel]) == pytest.approx(said_s, rel=0.15)
        for turn in turns:
            if turn.channel == channel and turn.end_s - turn.start_s > 1.0:
                middle = (turn.start_s + turn.end_s) / 2
                assert any(segment.start_s < middle < segment.end_s for segment in found[channel])


def test_two_channels_at_once_are_as_one_by_one(name: str) -> None:
    samples_BT = np.ascontiguousarray(call("c", seconds=30.0, sample_rate_hz=RATE_HZ)[0].T)
    together = listener(name, 2).push(samples_BT)
    assert together.shape == (2, 937)
    for samples_T, found_F in zip(samples_BT, together, strict=True):
        np.testing.assert_allclose(found_F, probabilities(samples_T, RATE_HZ, name), atol=1e-5)


@pytest.mark.parametrize("rate_hz", [6_000, 11_025, 44_100, 48_000])
def test_other_rates_are_resampled(name: str, rate_hz: int) -> None:
    samples, said = two_sentences("female", rate_hz)
    assert np.allclose(as_spans(found_in(samples, rate_hz, name)), said, atol=0.25)


def test_where_silero_is_not_installed_energy_is_used_and_nothing_else_found(monkeypatch: pytest.MonkeyPatch) -> None:
    if silero.is_installed():
        assert detector() == silero.name()
    monkeypatch.setattr(silero, "is_installed", lambda: False)
    assert detector() == ENERGY
    assert isinstance(listener(ENERGY, 1), Energy)
    with pytest.raises(ConfigurationError, match=r"by silero-v6-0123abcd, and energy-v1 is .*raysee\[speech\]"):
        listener("silero-v6-0123abcd", 1)


def pass_over(samples: Samples) -> npt.NDArray[np.float32]:
    """Probabilities by energy of a recording at 16 kHz."""
    return Energy(1).push(samples[None])[0]


def test_energy_goes_on_from_block_to_block() -> None:
    samples_BT = np.ascontiguousarray(call("d", seconds=10.0, sample_rate_hz=RATE_HZ)[0].T)
    energy, found, at = Energy(2), [], 0
    for size in (1, 511, 2, 0, 4_097, 33, 40_001, 160_000):
        found.append(energy.push(samples_BT[:, at : at + size]))
        at += size
    np.testing.assert_allclose(np.concatenate(found, axis=1), Energy(2).push(samples_BT), atol=1e-6)


@pytest.mark.parametrize(
    ("line_dbfs", "speech_dbfs", "found"),
    [
        (-60.0, -40.0, True),
        (-60.0, -52.0, False),  # 8 dB above the line
        (-40.0, -20.0, True),  # a line louder than -45 dBFS does not raise the floor
        (-85.0, -52.0, True),
        (-85.0, -58.0, False),  # far above the line, but nobody could hear it
    ],
)
def test_by_energy_speech_is_12_db_above_the_line_and_above_minus_55(
    line_dbfs: float, speech_dbfs: float, found: bool
) -> None:
    samples = noise(line_dbfs, 4.0)
    samples[32_000:48_000] += noise(speech_dbfs, 1.0, seed=1)
    samples += 0.2  # a constant offset is no sound
    assert (pass_over(samples)[64:93] >= 0.5).mean() == float(found)
    if line_dbfs < -45:
        assert not (pass_over(samples)[:60] >= 0.5).any()


def test_by_energy_muted_parts_do_not_set_the_floor() -> None:
    samples = np.concatenate([silence(30.0, RATE_HZ), noise(-50, 6.0), noise(-25, 1.0)])
    found = pass_over(samples) >= 0.5
    assert not found[: 36 * 125 // 4].any()
    assert found[36 * 125 // 4 + 2 :].all()


def test_by_energy_one_frame_alone_is_a_click() -> None:
    samples = noise(-70, 2.0)
    samples[30 * 512 : 31 * 512] += noise(-20, FRAME_S, seed=1)
    assert not (pass_over(samples) >= 0.5).any()
    samples[31 * 512 : 32 * 512] += noise(-20, FRAME_S, seed=2)
    assert np.flatnonzero(pass_over(samples) >= 0.5).tolist() == [31]
