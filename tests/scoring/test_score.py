import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch

from raysee import schema
from raysee.audio.speech import level_dbfs
from raysee.config import RunConfig, ScoreConfig
from raysee.errors import MissingError
from raysee.evaluation.protocols import PROTOCOLS
from raysee.features import FEATURES
from raysee.models import MODELS
from raysee.scoring.plan import extend
from raysee.scoring.score import Scorer, Scores, score
from raysee.storage import FileInfo
from raysee.synthesis.calls import call
from raysee.training.card import Card

Samples = npt.NDArray[np.float32]
LABELS = ["anger", "neutral", "sadness"]
RATE_HZ = 16_000
FRONT_END = FEATURES["logmel40"]


def scorer(*, by_speaker: bool = False, **config: Any) -> Scorer:
    """A network that has learned nothing, but answers differently to different sounds."""
    torch.manual_seed(3)
    model = MODELS["aldeneh"].sizes["debug"]((40,), len(LABELS)).eval()
    card = Card(
        labels=LABELS,
        shape=[40],
        config=RunConfig(corpora=("emodb",), features="logmel40", model="aldeneh", size="debug"),
        protocol=PROTOCOLS["paper" if by_speaker else "strict"],
        chosen_epoch=1,
        front_end=FRONT_END.model_dump(),
        front_end_fingerprint=FRONT_END.fingerprint(),
        mean=None if by_speaker else [-8.0 + 0.05 * band for band in range(40)],
        std=None if by_speaker else [3.0 + 0.02 * band for band in range(40)],
        corpora=[],
        synthetic=True,
        metrics={},
        fingerprint="0",
        versions={},
        written_at="",
    )
    return Scorer(model, card, FRONT_END, ScoreConfig(**config))


def wav(samples: Samples, rate_hz: int = RATE_HZ) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def speech(seconds: float, seed: int = 0, dbfs: float = -20.0) -> Samples:
    """Noise of changing colour is speech enough for a detector of energy and a network that learned nothing."""
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(round(seconds * RATE_HZ))
    samples = np.convolve(samples, rng.standard_normal(20), mode="same")
    return (10 ** (dbfs / 20) * samples / samples.std()).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def run(files: Mapping[str, bytes | MissingError], scorer: Scorer) -> Scores:
    def read_each(uris: Sequence[str]) -> Any:
        return (files[uri] for uri in uris)

    listed = [FileInfo(uri, 1, "tag") for uri in files]
    return score(extend(schema.empty(schema.CALL_PLAN), listed), scorer, read_each)


def one(data: bytes, **config: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Segments and calls of a recording that can be read."""
    scores = run({"file:///a.wav": data}, scorer(**config))
    assert scores.rejects.num_rows == 0
    return scores.segments.to_pylist(), scores.calls.to_pylist()


def test_a_call_is_cut_into_windows_of_speech() -> None:
    samples = np.concatenate([silence(2), speech(6), silence(6), speech(1)])
    segments, (call_row,) = one(wav(samples))
    # Speech from 1.8 to 8.2 s and from 13.8 s: windows of 4 s every 2 s in which it fills 30 %, the last one flush.
    assert [row["start_s"] for row in segments] == pytest.approx([0.0, 2.0, 4.0, 6.0, 11.0])
    assert [row["end_s"] for row in segments] == pytest.approx([4.0, 6.0, 8.0, 10.0, 15.0])
    assert call_row["speech_s"] == pytest.approx(6.4 + 1.2)
    assert call_row["duration_s"] == 15.0
    assert (call_row["channel"], call_row["num_channels"], call_row["num_segments"]) == (0, 1, 5)
    assert (call_row["sample_rate_hz"], call_row["uri"]) == (RATE_HZ, "file:///a.wav")
    assert segments[1]["level_dbfs"] == pytest.approx(-20.0, abs=0.2)
    assert segments[0]["level_dbfs"] == pytest.approx(-23.0, abs=0.2)  # half of it is silence


def test_tables_have_their_schemas_and_one_identity_a_call() -> None:
    scores = run({"file:///a.wav": wav(speech(5)), "file:///b.wav": b""}, scorer())
    for table, expected in (
        (scores.segments, schema.SEGMENTS),
        (scores.calls, schema.CALLS),
        (scores.rejects, schema.REJECTS),
    ):
        assert schema.check(table, expected).schema.equals(expected)
    plan = extend(schema.empty(schema.CALL_PLAN), [FileInfo("file:///a.wav", 1, "tag")])
    assert set(scores.segments["call_id"].to_pylist()) == set(plan["call_id"].to_pylist())
    assert scores.calls["call_id"].to_pylist() == plan["call_id"].to_pylist()
    assert scores.audio_s == 5.0  # of what was scored


def test_a_call_is_the_mean_of_its_segments() -> None:
    segments, (call_row,) = one(wav(np.concatenate([speech(5, 1), speech(5, 2), speech(5, 3)])))
    probabilities = np.array([row["probabilities"] for row in segments])
    assert len(segments) > 4
    assert np.ptp(probabilities, axis=0).max() > 0.01  # they differ, or their mean would say nothing
    np.testing.assert_allclose(call_row["probabilities"], probabilities.mean(axis=0), rtol=1e-5)
    for row in [*segments, call_row]:
        assert row["labels"] == LABELS
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert row["label"] == LABELS[int(np.argmax(row["probabilities"]))]
        assert row["confidence"] == max(row["probabilities"])


@pytest.mark.parametrize("by_speaker", [False, True])
def test_a_segment_is_what_the_network_says_of_its_standardised_features(by_speaker: bool) -> None:
    samples = np.concatenate([speech(4, 1), speech(4, 2, dbfs=-30)])
    segments, _ = one(wav(samples), by_speaker=by_speaker)
    decoded = np.round(samples * 32768).clip(-32768, 32767).astype(np.float32) / 32768
    features = [FRONT_END(decoded[start * RATE_HZ : (start + 4) * RATE_HZ]).astype(np.float64) for start in (0, 2, 4)]
    if by_speaker:  # the channel is the speaker
        frames = np.concatenate(features)
        mean, std = frames.mean(axis=0), frames.std(axis=0)
    else:
        mean, std = -8.0 + 0.05 * np.arange(40), 3.0 + 0.02 * np.arange(40)
    for row, feature in zip(segments, features, strict=True):
        padded = np.zeros((1, 448, 40))  # 398 frames, to a multiple of 64
        padded[0, :398] = (feature - mean) / std
        expected = scorer().model(torch.from_numpy(padded).float()).softmax(dim=1)[0].tolist()
        assert row["probabilities"] == pytest.approx(expected, abs=1e-3)


def test_standardised_by_speaker_it_does_not_matter_how_loud_a_channel_is() -> None:
    loud = speech(9, dbfs=-10)
    both = wav(np.stack([loud, 0.25 * loud], axis=1))
    _, (left, right) = one(both, by_speaker=True)
    assert left["probabilities"] == pytest.approx(right["probabilities"], abs=0.02)
    _, (left, right) = one(both)
    assert left["probabilities"] != pytest.approx(right["probabilities"], abs=0.02)


@pytest.mark.parametrize("speaking", [0, 1])
def test_a_silent_channel_is_a_row_without_an_answer(speaking: int) -> None:
    channels = [silence(6), silence(6)]
    channels[speaking] = speech(6)
    segments, calls = one(wav(np.stack(channels, axis=1)))
    assert {row["channel"] for row in segments} == {speaking}
    assert [row["channel"] for row in calls] == [0, 1]
    assert [row["num_channels"] for row in calls] == [2, 2]
    silent = calls[1 - speaking]
    assert (silent["num_segments"], silent["speech_s"], silent["duration_s"]) == (0, 0.0, 6.0)
    assert (silent["probabilities"], silent["label"], silent["confidence"]) == (None, None, None)
    assert silent["labels"] == LABELS
    _, (alone,) = one(wav(speech(6)))
    assert calls[speaking]["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)


@pytest.mark.parametrize(("seconds", "num_segments"), [(0.01, 0), (0.05, 0), (0.11, 1), (0.5, 1), (3.99, 1)])
def test_a_short_call_is_one_window_or_none(seconds: float, num_segments: int) -> None:
    segments, (call_row,) = one(wav(speech(seconds)))
    assert call_row["num_segments"] == len(segments) == num_segments
    assert (call_row["label"] is None) is (num_segments == 0)
    assert call_row["duration_s"] == pytest.approx(seconds)


@pytest.mark.parametrize("seconds", [0.022, 0.03])
def test_a_call_of_less_than_a_feature_frame_is_a_row_too(seconds: float) -> None:
    """One frame of the speech detector (20 ms) is less than one of the front-end (25 ms)."""
    _, (call_row,) = one(wav(speech(seconds)))
    assert (call_row["num_segments"], call_row["label"]) == (0, None)


def test_one_bad_file_costs_one_row() -> None:
    good = wav(speech(5))
    gone = MissingError("it is gone")
    contents = {"a": good, "b": good[:-50], "c": b"text", "d": gone, "e": good}
    files = {f"file:///{name}.wav": data for name, data in contents.items()}
    scores = run(files, scorer())
    assert scores.calls["uri"].to_pylist() == ["file:///a.wav", "file:///e.wav"]
    assert scores.audio_s == 10.0
    rejected = [(row["uri"], row["stage"], row["error"]) for row in scores.rejects.to_pylist()]
    assert rejected == [
        ("file:///b.wav", "score", "TruncatedAudio"),
        ("file:///c.wav", "score", "NotAudio"),
        ("file:///d.wav", "score", "MissingError"),
    ]
    assert scores.rejects["message"].to_pylist()[2] == "it is gone"
    ids = [*scores.calls["call_id"].to_pylist(), *scores.rejects["id"].to_pylist()]
    assert len(set(ids)) == 5


def test_no_calls_make_no_rows() -> None:
    scores = run({}, scorer())
    assert scores.segments.num_rows == scores.calls.num_rows == scores.rejects.num_rows == 0
    assert scores.audio_s == 0.0


def test_a_channel_does_not_depend_on_the_size_of_the_batches() -> None:
    data = wav(speech(12))
    small, large = (one(data, batch_size=size)[0] for size in (1, 64))
    assert [row["probabilities"] for row in small] == [pytest.approx(row["probabilities"], abs=1e-5) for row in large]


def test_a_telephone_call_of_the_synthetic_voice_has_both_sides() -> None:
    samples, turns = call("call-0001", seconds=12.0)
    segments, (agent, customer) = one(wav(samples, 8_000), window_s=2.0, hop_s=1.0)
    assert (agent["sample_rate_hz"], agent["duration_s"]) == (8_000, 12.0)
    for side in (agent, customer):
        spoken = sum(turn.end_s - turn.start_s for turn in turns if turn.channel == side["channel"])
        assert side["speech_s"] == pytest.approx(spoken, rel=0.35)
        assert side["num_segments"] == sum(row["channel"] == side["channel"] for row in segments) > 2
    first = turns[0]
    assert segments[0]["channel"] == first.channel
    assert segments[0]["start_s"] <= first.start_s < segments[0]["end_s"]


def test_levels_are_those_of_the_segments() -> None:
    samples = np.concatenate([speech(4, dbfs=-12), speech(4, dbfs=-32)])
    segments, _ = one(wav(samples))
    assert [row["level_dbfs"] for row in segments] == pytest.approx(
        [float(level_dbfs(samples[start * RATE_HZ : (start + 4) * RATE_HZ])) for start in (0, 2, 4)], abs=0.05
    )
