import pathlib
import re

import numpy as np
import pytest
import soundfile

from raysee.synthesis import calls


def levels_db(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Level of every 100 ms of both channels: shape (windows, 2)."""
    window = sample_rate_hz // 10
    whole = samples[: len(samples) // window * window].reshape(-1, window, 2)
    return 10 * np.log10((whole**2).mean(axis=1) + 1e-12)


def test_archive_lies_in_dated_folders_as_stereo_wav(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALLS_A_DAY", 2)
    paths = calls.write_calls(tmp_path, calls=3, seconds=4.0)
    assert paths == sorted(tmp_path.rglob("*.wav"))
    names = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert names == ["2026-11-19/call-0001.wav", "2026-11-19/call-0002.wav", "2026-11-20/call-0003.wav"]
    for path in paths:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (8000, 2, "PCM_16", 32_000)


def test_the_two_take_turns() -> None:
    samples, turns = calls.call("call-0001", seconds=40.0)
    assert samples.shape == (320_000, 2)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 1.0
    loud = levels_db(samples, 8000) > -45
    assert loud[:, calls.AGENT].mean() > 0.15
    assert loud[:, calls.CUSTOMER].mean() > 0.15
    assert loud.all(axis=1).mean() < 0.03
    assert [turn.channel for turn in turns] == [number % 2 for number in range(len(turns))]
    assert len(turns) > 8


def test_turns_lie_where_the_sound_is() -> None:
    samples, turns = calls.call("call-0002", seconds=30.0)
    levels = levels_db(samples, 8000)
    said = np.zeros(levels.shape, dtype=bool)
    for turn in turns:
        assert 0 <= turn.start_s < turn.end_s <= 30.0
        said[int(turn.start_s * 10) : int(turn.end_s * 10) + 1, turn.channel] = True
    assert levels[said].mean() > levels[~said].mean() + 15
    assert np.median(levels[~said]) == pytest.approx(calls.LINE_NOISE_DBFS, abs=1.0)


def test_the_customers_mood_moves_and_the_agents_hardly_does() -> None:
    moods: dict[int, list[str]] = {calls.AGENT: [], calls.CUSTOMER: []}
    moved = 0
    for number in range(8):
        _, turns = calls.call(f"call-{number}", seconds=30.0)
        for turn in turns:
            moods[turn.channel].append(turn.emotion)
        moved += len({turn.emotion for turn in turns if turn.channel == calls.CUSTOMER}) > 1
    assert moved >= 4
    assert moods[calls.AGENT].count("neutral") > 0.7 * len(moods[calls.AGENT])
    assert len(set(moods[calls.CUSTOMER])) > 3


@pytest.mark.parametrize(("sample_rate_hz", "low_hz", "high_hz"), [(8000, 150, 3900), (44_100, 20, 7900)])
def test_a_call_is_as_narrow_as_the_telephone(sample_rate_hz: int, low_hz: float, high_hz: float) -> None:
    samples, _ = calls.call("call-0003", seconds=8.0, sample_rate_hz=sample_rate_hz)
    assert len(samples) == 8 * sample_rate_hz
    power = np.abs(np.fft.rfft(samples[:, 0])) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / sample_rate_hz)
    inside = power[(hz > 400) & (hz < 3000)].mean()
    assert power[hz < low_hz].mean() < 0.01 * inside
    assert power[hz > high_hz].mean() < 0.01 * inside


def test_a_call_depends_on_its_name_and_the_seed_only(tmp_path: pathlib.Path) -> None:
    few = calls.write_calls(tmp_path / "few", calls=1, seconds=3.0)
    more = calls.write_calls(tmp_path / "more", calls=2, seconds=3.0)
    other = calls.write_calls(tmp_path / "other", calls=1, seconds=3.0, seed=1)
    assert few[0].read_bytes() == more[0].read_bytes()
    assert more[0].read_bytes() != more[1].read_bytes()
    assert few[0].read_bytes() != other[0].read_bytes()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/call-\d{4}\.wav", few[0].relative_to(tmp_path / "few").as_posix())
