import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy.signal import lfilter

from raysee import schema
from raysee.audio.decode import decode
from raysee.audio.resample import mono, resample
from raysee.errors import ConfigurationError
from raysee.evaluation.leakage import (
    LEAST_CORRELATION,
    Pair,
    Shared,
    identical,
    near_identical,
    shared,
    with_twins,
)
from raysee.features import FEATURES

Samples = npt.NDArray[np.float32]
RATE_HZ = 16_000
LOGMEL40 = FEATURES["logmel40"]


def rows(*names: tuple[str, str, str | None, str | None], **columns: list[Any]) -> pa.Table:
    """Clip, speaker, session and sentence of utterances, each clip in its own file unless `columns` say otherwise."""
    table = {name: [row[number] for row in names] for number, name in enumerate(("clip_id", "speaker"))}
    return pa.table(
        {
            **table,
            "session": pa.array([row[2] for row in names], pa.string()),
            "sentence": pa.array([row[3] for row in names], pa.string()),
            "uri": [f"file:///{row[0]}.wav" for row in names],
            **columns,
        }
    )


def voice(seed: int, seconds: float = 2.0) -> Samples:
    """Buzzing syllables of random pitch, colour, length and loudness between silences, over faint noise."""
    rng = np.random.default_rng(seed)
    samples = 1e-4 * rng.standard_normal(round(seconds * RATE_HZ))
    start = 0.2
    while start < seconds - 0.5:
        length = rng.uniform(0.08, 0.25)
        time = np.arange(round(length * RATE_HZ)) / RATE_HZ
        buzz = np.sin(
            2 * np.pi * np.cumsum(rng.uniform(90, 250) * (1 + 0.1 * time))[:, None] * np.arange(1, 20) / RATE_HZ
        )
        angle = 2 * np.pi * rng.uniform(400, 2500) / RATE_HZ
        coloured = lfilter([1], [1, -1.9 * np.cos(angle), 0.9025], buzz.sum(axis=1))
        first = round(start * RATE_HZ)
        samples[first : first + len(time)] += rng.uniform(0.2, 1) * np.hanning(len(time)) * coloured
        start += length + rng.uniform(0, 0.1)
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def log_mels(samples: Samples) -> npt.NDArray[np.float32]:
    return LOGMEL40(samples.astype(np.float32))


def features(*clips: tuple[str, str, Any]) -> pa.Table:
    """Clip, hash of its file, and array."""
    return pa.Table.from_pylist(
        [
            {
                "clip_id": clip_id,
                "content_sha256": sha256,
                "duration_s": 1.0,
                "sample_rate_hz": RATE_HZ,
                "shape": list(np.shape(array)),
                "values": np.ravel(array).tolist(),
            }
            for clip_id, sha256, array in clips
        ],
        schema=schema.FEATURES,
    )


def test_values_and_the_test_clips_that_have_them_are_counted() -> None:
    train = rows(("a", "01", "s1", "dogs"), ("b", "01", "s1", "kids"), ("c", "02", "s2", None))
    test = rows(
        ("d", "01", "s2", "dogs"), ("e", "02", "s2", "birds"), ("f", "02", "s3", None), ("g", "03", None, "kids")
    )
    assert shared(train, test) == [
        Shared("clips", 0, 0),
        Shared("files", 0, 0),
        Shared("speakers", 2, 3),
        Shared("sessions", 1, 2),
        Shared("sentences", 2, 2),
    ]


def test_what_nobody_names_is_not_shared() -> None:
    assert shared(rows(("a", "01", None, None)), rows(("b", "02", None, None)))[2:] == [
        Shared("speakers", 0, 0),
        Shared("sessions", 0, 0),
        Shared("sentences", 0, 0),
    ]


def test_a_clip_in_both_parts_is_told_from_another_clip_of_its_file() -> None:
    train = rows(("a", "01", None, None), ("b", "01", None, None), uri=["one.wav", "one.wav"])
    test = rows(
        ("b", "01", None, None), ("c", "02", None, None), ("d", "03", None, None), uri=["one.wav"] * 2 + ["two.wav"]
    )
    assert shared(train, test)[:2] == [Shared("clips", 1, 1), Shared("files", 1, 2)]


def test_twins_are_shared_by_either_name() -> None:
    everything = rows(*((clip, clip, None, None) for clip in "abcdef"))
    known = with_twins(everything, [["a", "b"]], [Pair("c", "d", 0.9, 0), Pair("e", "d", 0.8, 10)])
    assert known["identical"].to_pylist() == ["a", "a", None, None, None, None]
    assert known["near_identical"].to_pylist() == [None, None, "c", "c", "c", None]
    train, test = known.take([0, 2, 5]), known.take([1, 3, 4])
    assert shared(train, test)[-2:] == [Shared("identical clips", 1, 1), Shared("near-identical clips", 1, 2)]
    assert shared(known.take([5]), test)[-2:] == [Shared("identical clips", 0, 0), Shared("near-identical clips", 0, 0)]


def test_chains_of_pairs_become_one_group_in_whatever_order_they_come() -> None:
    everything = rows(*((clip, clip, None, None) for clip in "abcdx"))
    pairs = [Pair("a", "b", 1.0, 0), Pair("c", "d", 0.9, 0), Pair("b", "c", 0.8, 0)]
    for order in (pairs, pairs[::-1]):
        assert with_twins(everything, [], order)["near_identical"].to_pylist() == ["a", "a", "a", "a", None]


def test_the_same_bytes_under_several_names_are_one_group() -> None:
    array = np.arange(6.0).reshape(3, 2)
    table = features(("c", "11", array), ("a", "11", array), ("b", "22", array), ("d", "33", array), ("e", "33", array))
    assert identical(table) == [["a", "c"], ["d", "e"]]


def test_parts_of_one_file_are_not_identical_unless_they_are_the_same_part() -> None:
    array = np.arange(6.0).reshape(3, 2)
    parts = [("a", "11", array), ("b", "11", array + 1), ("c", "11", array.reshape(2, 3)), ("d", "11", array)]
    assert identical(features(*parts)) == [["a", "d"]]


@pytest.mark.parametrize(
    ("alter", "shift_ms"),
    [
        (lambda samples: 0.05 * samples, 0),
        (lambda samples: np.round(0.1 * samples * 2**15) / 2**15, 0),
        (lambda samples: np.concatenate([np.zeros(2_400), samples]), 150),
        (lambda samples: samples[80:], 0),  # half a frame
        (lambda samples: samples[2_400:-3_000], -150),
        (lambda samples: resample(resample(samples, RATE_HZ, 8_000), 8_000, RATE_HZ), 0),
        (lambda samples: samples + 0.03 * np.std(samples) * np.random.default_rng(9).standard_normal(len(samples)), 0),
    ],
    ids=["quieter", "16 bit", "later", "half a frame", "trimmed", "telephone band", "noise"],
)
def test_an_altered_copy_is_found_among_others_and_nothing_else_is(alter: Any, shift_ms: int) -> None:
    clips = [voice(seed) for seed in range(12)]
    clips.append(alter(clips[5]).astype(np.float32))
    (pair,) = near_identical([f"clip{number:02}" for number in range(13)], [log_mels(clip) for clip in clips])
    assert (pair.first, pair.second) == ("clip05", "clip12")
    assert pair.shift_ms == pytest.approx(shift_ms, abs=10)
    assert LEAST_CORRELATION <= pair.correlation <= 1


def test_the_same_syllables_in_another_voice_are_not_the_same_recording() -> None:
    one = voice(1)
    faster = resample(one, RATE_HZ, 15_000)
    assert not near_identical(["a", "b"], [log_mels(one), log_mels(faster)])


def test_the_correlation_is_the_one_of_the_definition() -> None:
    first, second = log_mels(voice(3)), log_mels(voice(3) + 0.1 * voice(4))
    (pair,) = near_identical(["a", "b"], [first, second])

    def changes(mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        low = mel[:, :30].astype(np.float64)
        low = np.where(low > low.max() - 6, low - low.max() + 6, 0)
        change = np.array([low[frame + 2] - low[frame] for frame in range(len(low) - 2)])
        return change - change.mean(axis=1, keepdims=True)

    x, y = changes(first), changes(second)
    by_shift = {
        shift: sum(x[frame] @ y[frame + shift] for frame in range(len(x)) if 0 <= frame + shift < len(y))
        for shift in range(-5, 6)
    }
    best = max(by_shift, key=lambda shift: by_shift[shift])
    assert pair.shift_ms == 10 * best
    assert pair.correlation == pytest.approx(by_shift[best] / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-4)


def test_candidates_are_searched_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [log_mels(voice(seed)) for seed in range(11)]
    names = [str(number) for number in range(14)]
    doubled = [*clips, clips[10], clips[0], clips[6]]
    whole = near_identical(names, doubled)
    assert {(pair.first, pair.second) for pair in whole} == {("10", "11"), ("0", "12"), ("6", "13")}
    monkeypatch.setattr("raysee.evaluation.leakage._BLOCK", 4)
    assert near_identical(names, doubled) == whole


def test_silence_and_short_clips_are_passed_over() -> None:
    silent = log_mels(np.zeros(RATE_HZ, np.float32))
    short = log_mels(voice(0)[3_200 : 3_200 + 4_000])
    whole = log_mels(voice(1))
    assert len(silent) > 50 > len(short)
    clips = [silent, silent, short, short, np.empty((0, 40), np.float32), whole, whole]
    assert near_identical([*"abcdefg"], clips) == [Pair("f", "g", pytest.approx(1, abs=1e-5), 0)]
    assert near_identical([], []) == []
    assert near_identical(["a"], [whole]) == []


def test_other_features_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"rows of shape \(64, 3\): take the features logmel40"):
        near_identical(["a"], [np.zeros((100, 64, 3), np.float32)])


def test_ravdess_holds_one_recording_twice_and_takes_are_told_apart(real_data: pathlib.Path) -> None:
    """Actor 7's happy "dogs" is there as both repetitions; actors 2 and 23 repeat themselves most exactly."""
    folder = real_data / "ravdess" / "Audio_Speech_Actors_01-24"
    found = {path.stem: path for actor in ("02", "07", "23") for path in folder.glob(f"Actor_{actor}/03-01-03-*.wav")}
    chosen = sorted(found)
    assert len(chosen) == 24
    clips = []
    for clip_id in chosen:
        audio = decode(found[clip_id].read_bytes())
        clips.append(log_mels(resample(mono(audio), audio.sample_rate_hz, RATE_HZ)))
    (pair,) = near_identical(chosen, clips)
    assert (pair.first, pair.second) == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert pair.correlation > 0.99
