import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee.audio.speech import find_speech, level_dbfs, windows

RATE_HZ = 16_000
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


@pytest.mark.parametrize("rate_hz", [8_000, RATE_HZ])
@pytest.mark.parametrize("line_dbfs", [-200.0, -80.0, -60.0])
def test_a_burst_is_found_and_widened_by_a_fifth_of_a_second(rate_hz: int, line_dbfs: float) -> None:
    samples = burst(-20, 2.0, 3.0, rate_hz=rate_hz) + noise(line_dbfs, 6.0, rate_hz)
    mask = find_speech(samples, rate_hz)
    assert mask.shape == (300,)
    assert mask.dtype == np.bool_
    assert stretches(mask) == [(1.8, 3.2)]


def test_short_pauses_belong_to_the_speech_around_them() -> None:
    samples = burst(-20, 1.0, 1.5) + burst(-20, 1.84, 2.0) + burst(-20, 3.0, 3.5)
    assert stretches(find_speech(samples, RATE_HZ)) == [(0.8, 2.2), (2.8, 3.7)]


def test_speech_at_the_ends_is_not_widened_beyond_them() -> None:
    samples = burst(-20, 0.0, 0.5) + burst(-20, 5.5, 6.0)
    assert stretches(find_speech(samples, RATE_HZ)) == [(0.0, 0.7), (5.3, 6.0)]


@pytest.mark.parametrize(
    ("line_dbfs", "burst_dbfs", "found"),
    [
        (-60.0, -40.0, True),
        (-60.0, -54.0, False),  # 6 dB above the line
        (-50.0, -30.0, True),
        (-50.0, -42.0, False),
        (-90.0, -52.0, True),
        (-90.0, -58.0, False),  # far above the line, but nobody could hear it
    ],
)
def test_speech_is_12_db_above_the_line_and_above_minus_55(line_dbfs: float, burst_dbfs: float, found: bool) -> None:
    samples = noise(line_dbfs, 6.0) + burst(burst_dbfs, 2.0, 3.0)
    assert bool(stretches(find_speech(samples, RATE_HZ))) is found


@pytest.mark.parametrize("dbfs", [-200.0, -80.0, -60.0, -50.0])
def test_a_line_without_speech_holds_none(dbfs: float) -> None:
    assert not find_speech(noise(dbfs, 3.0), RATE_HZ).any()
    assert not find_speech(np.zeros(3 * RATE_HZ, np.float32), RATE_HZ).any()


@pytest.mark.parametrize("dbfs", [-30.0, -12.0])
def test_speech_without_a_break_is_not_taken_for_the_line(dbfs: float) -> None:
    assert find_speech(noise(dbfs, 3.0), RATE_HZ).all()


def test_digital_silence_does_not_set_the_floor() -> None:
    """Half of the channel is zeros (somebody muted it): the noise of the rest is still no speech."""
    samples = np.concatenate([np.zeros(3 * RATE_HZ, np.float32), noise(-50, 3.0) + burst(-20, 1.0, 2.0, 3.0)])
    assert stretches(find_speech(samples, RATE_HZ)) == [(3.8, 5.2)]


@pytest.mark.parametrize(("num_samples", "num_frames"), [(0, 0), (160, 0), (319, 0), (320, 1), (959, 2)])
def test_only_whole_frames_count(num_samples: int, num_frames: int) -> None:
    assert find_speech(noise(-10, 1.0)[:num_samples], RATE_HZ).tolist() == [True] * num_frames


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


def test_windows_come_every_hop_and_the_last_ends_with_the_recording() -> None:
    nine = np.ones(450, np.bool_)
    assert windows(nine, window_s=4.0, hop_s=2.0, min_speech=0.3) == [(0.0, 4.0), (2.0, 6.0), (4.0, 8.0), (5.0, 9.0)]
    assert windows(nine[:400], window_s=4.0, hop_s=2.0, min_speech=0.3) == [(0.0, 4.0), (2.0, 6.0), (4.0, 8.0)]
    assert windows(nine[:200], window_s=4.0, hop_s=2.0, min_speech=0.3) == [(0.0, 4.0)]


@pytest.mark.parametrize(("num_frames", "expected"), [(0, []), (1, [(0.0, 0.02)]), (199, [(0.0, 3.98)])])
def test_a_short_recording_is_one_window(num_frames: int, expected: list[tuple[float, float]]) -> None:
    assert windows(np.ones(num_frames, np.bool_), window_s=4.0, hop_s=2.0, min_speech=0.3) == expected


@pytest.mark.parametrize(
    ("num_speech", "min_speech", "kept"),
    [(60, 0.3, True), (59, 0.3, False), (1, 0.0, True), (0, 0.0, False), (200, 1.0, True), (199, 1.0, False)],
)
def test_a_window_needs_its_share_of_speech(num_speech: int, min_speech: float, kept: bool) -> None:
    is_speech = np.arange(200) < num_speech
    assert bool(windows(is_speech, window_s=4.0, hop_s=2.0, min_speech=min_speech)) is kept


@given(
    is_speech=st.lists(st.booleans(), max_size=120),
    window_s=st.floats(0.001, 3.0),
    hop_s=st.floats(0.001, 3.0),
    min_speech=st.floats(0.0, 1.0),
)
def test_windows_lie_inside_and_in_order_and_hold_speech(
    is_speech: list[bool], window_s: float, hop_s: float, min_speech: float
) -> None:
    mask = np.array(is_speech, np.bool_)
    found = windows(mask, window_s=window_s, hop_s=hop_s, min_speech=min_speech)
    frames = [(round(start * FRAMES_A_SECOND), round(end * FRAMES_A_SECOND)) for start, end in found]
    assert frames == sorted(set(frames))
    for start, end in frames:
        assert 0 <= start < end <= len(mask)
        assert mask[start:end].any()
        assert mask[start:end].mean() >= min_speech
    every = windows(np.ones_like(mask), window_s=window_s, hop_s=hop_s, min_speech=min_speech)
    assert set(found) <= set(every)
    if len(mask):
        assert every[0][0] == 0.0
        assert every[-1][1] == pytest.approx(len(mask) / FRAMES_A_SECOND)
