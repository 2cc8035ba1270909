import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import soundfile
import torch

from raysee import schema
from raysee.audio import silero, stream
from raysee.audio.measure import level_dbfs
from raysee.audio.resample import resample
from raysee.audio.segments import FRAME_S
from raysee.audio.speech import ENERGY, NONE
from raysee.config import Channel, RunConfig, ScoreConfig
from raysee.errors import ConfigurationError, MissingError
from raysee.evaluation.protocols import PROTOCOLS
from raysee.features import FEATURES
from raysee.models import MODELS
from raysee.scoring import hearing, ledger
from raysee.scoring.hearing import Unanswered
from raysee.scoring.plan import plan
from raysee.scoring.score import Scores, score
from raysee.scoring.scorer import Scorer, predictor
from raysee.storage import FileInfo
from raysee.synthesis.calls import call
from raysee.training.card import Card

Samples = npt.NDArray[np.float32]
LABELS = ["anger", "neutral", "sadness"]
RATE_HZ = 16_000
FRONT_END = FEATURES["logmel40"]
EVERYBODY = (("customer",), ("caller", "customer"))
needs_silero = pytest.mark.skipif(not silero.is_installed(), reason="needs raysee[speech]")


def scorer(
    *,
    by_speaker: bool = False,
    temperature: float = 1.0,
    channel: Channel = "clean",
    **config: Any,
) -> Scorer:
    """A network that has learned nothing, but answers differently to different sounds."""
    torch.manual_seed(3)
    model = MODELS["aldeneh"].sizes["debug"]((40,), len(LABELS)).eval()
    card = Card(
        labels=LABELS,
        shape=[40],
        config=RunConfig(corpora=("emodb",), features="logmel40", model="aldeneh", size="debug", channel=channel),
        protocol=PROTOCOLS["paper" if by_speaker else "strict"],
        chosen_epoch=1,
        front_end=FRONT_END.model_dump(),
        front_end_fingerprint=FRONT_END.fingerprint(),
        mean=None if by_speaker else [-8.0 + 0.05 * band for band in range(40)],
        std=None if by_speaker else [3.0 + 0.02 * band for band in range(40)],
        corpora=[],
        synthetic=True,
        metrics={},
        temperature=temperature,
        fingerprint="0",
        versions={},
        written_at="",
    )
    wanted = ScoreConfig(**{"detector": ENERGY, "channels": EVERYBODY, **config})
    return Scorer(predictor(model, card, wanted), card, FRONT_END, wanted)


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
    def open_each(wanted: Sequence[FileInfo]) -> Any:
        found = (files[file.uri] for file in wanted)
        return (io.BytesIO(data) if isinstance(data, bytes) else data for data in found)

    return score(planned(*files), "work", scorer, open_each)


def planned(*uris: str, roles: Sequence[str] = ()) -> pa.Table:
    rows = [
        {"uri": uri, "size_bytes": 1, "etag": "tag", "call_id": uri[8:], "roles": roles, "carried": [("queue", "7")]}
        for uri in uris
    ]
    recordings = pa.Table.from_pylist(rows, schema=schema.RECORDINGS)
    keys = pa.array([key.hex() for key in ledger.keys(recordings).to_pylist()], pa.string())
    return plan(recordings.append_column("key", keys), 0, synthetic=False)


def one(data: bytes, **config: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Segments and calls of a recording that can be read."""
    scores = run({"file:///a.wav": data}, scorer(**config))
    assert scores.rejects.num_rows == 0
    return scores.segments.to_pylist(), scores.calls.to_pylist()


def test_a_call_is_cut_into_segments_of_speech() -> None:
    samples = np.concatenate([silence(2), speech(6), silence(6), speech(1.5)])
    segments, (call_row,) = one(wav(samples))
    assert [row["start_s"] for row in segments] == pytest.approx([2.0, 14.0], abs=0.07)
    assert [row["end_s"] for row in segments] == pytest.approx([8.0, 15.5], abs=0.07)
    assert [row["speech_s"] for row in segments] == pytest.approx([6.0, 1.5], abs=0.1)
    assert call_row["talk_s"] == pytest.approx(sum(row["speech_s"] for row in segments))
    assert call_row["duration_s"] == 15.5
    assert (call_row["channel"], call_row["num_channels"], call_row["num_segments"]) == (0, 1, 2)
    assert (call_row["sample_rate_hz"], call_row["uri"]) == (RATE_HZ, "file:///a.wav")
    assert segments[0]["level_dbfs"] == pytest.approx(-20.0, abs=0.3)


def test_long_speech_is_cut_below_the_longest_segment() -> None:
    segments, _ = one(wav(speech(30)), max_s=5.0)
    assert len(segments) >= 6
    assert all(1.0 <= row["end_s"] - row["start_s"] <= 5.0 + 1e-9 for row in segments)
    ends = [row["end_s"] for row in segments]
    assert all(row["start_s"] >= end for row, end in zip(segments[1:], ends, strict=False)), "they do not overlap"


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_it_does_not_matter_how_often_the_model_is_asked(rate_hz: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes of two channels, once the whole call at once, once whenever there are two segments."""
    quiet = [silence(pause) for pause in (0.3, 1.0, 2.5, 0.5, 4.0)]
    left, right = (
        np.concatenate(
            [part for number in range(12) for part in (speech(2 + number % 9, number + seed), quiet[number % 5])]
        )
        for seed in (0, 50)
    )
    length = min(len(left), len(right))
    data = wav(np.stack([left[:length], right[:length]], axis=1)[:: RATE_HZ // rate_hz], rate_hz)
    at_once = run({"file:///a.wav": data}, scorer())
    monkeypatch.setattr("raysee.scoring.hearing.ASK_AT", 2)
    asked: list[int] = []
    its = scorer()
    its = its._replace(predict=lambda features, answer=its.predict: asked.append(len(features)) or answer(features))
    in_turn = run({"file:///a.wav": data}, its)
    assert len(asked) > 2
    assert sum(asked) == at_once.segments.num_rows > 20
    for ours, theirs in ((in_turn.segments, at_once.segments), (in_turn.calls, at_once.calls)):
        for mine, row in zip(ours.to_pylist(), theirs.to_pylist(), strict=True):
            assert mine.keys() == row.keys()
            for name, value in mine.items():
                if isinstance(value, float):
                    assert value == pytest.approx(row[name], abs=1e-5)
                elif name in ("probabilities", "shares", "by_quarter"):
                    np.testing.assert_allclose(value, row[name], atol=1e-5)
                else:
                    assert value == row[name]


@pytest.mark.parametrize("detector", [ENERGY, pytest.param("silero", marks=needs_silero)])
def test_a_call_is_the_same_in_blocks_of_any_length(detector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, _ = call("call-0002", seconds=70.0)
    data, name = wav(samples, 8_000), silero.name() if detector == "silero" else detector
    by_30_s = one(data, detector=name)
    assert by_30_s[1][0]["talk_s"] > 5
    opened = functools.partial(stream.open_call, block_s=0.7)
    monkeypatch.setattr("raysee.scoring.score.open_call", opened)
    by_less = one(data, detector=name)
    for ours, theirs in zip(by_less[0], by_30_s[0], strict=True):
        assert (ours["start_s"], ours["end_s"], ours["label"]) == (theirs["start_s"], theirs["end_s"], theirs["label"])
        assert ours["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-4)


def test_recordings_that_are_utterances_are_heard_whole() -> None:
    """What is said of one is what is said of the same sound where a model is evaluated."""
    samples = np.concatenate([silence(1), speech(2), silence(3), speech(2, 1), silence(0.517)])
    its = scorer(detector=NONE)
    scores = run({"file:///a.wav": wav(samples)}, its)
    (segment,), (call_row,) = scores.segments.to_pylist(), scores.calls.to_pylist()
    assert (segment["start_s"], segment["end_s"]) == (0.0, len(samples) / RATE_HZ)
    assert call_row["talk_s"] == call_row["duration_s"] == len(samples) / RATE_HZ
    read, _ = soundfile.read(io.BytesIO(wav(samples)), dtype="float32")
    (evaluated,) = its.predict(its.standardised([FRONT_END(read)]))
    np.testing.assert_allclose(segment["probabilities"], evaluated, atol=1e-6)
    np.testing.assert_allclose(call_row["shares"], evaluated, atol=1e-6)


def test_what_is_too_long_for_one_utterance_is_rejected_and_a_click_has_no_segment() -> None:
    files = {name: wav(speech(seconds)) for name, seconds in (("long", 60.1), ("click", 0.05), ("one", 1))}
    scores = run({f"file:///{name}.wav": data for name, data in files.items()}, scorer(detector=NONE))
    (rejected,) = scores.rejects.to_pylist()
    assert rejected["uri"] == "file:///long.wav"
    assert "longer than 60 s" in rejected["message"]
    segments = dict(zip(scores.calls["call_id"].to_pylist(), scores.calls["num_segments"].to_pylist(), strict=True))
    assert segments == {"click.wav": 0, "one.wav": 1}


def test_short_calls_share_a_request_to_the_model() -> None:
    asked: list[int] = []
    its = scorer()
    its = its._replace(predict=lambda features, answer=its.predict: asked.append(len(features)) or answer(features))
    scores = run({f"file:///{name}.wav": wav(speech(5, seed)) for seed, name in enumerate("abc")}, its)
    assert asked == [scores.segments.num_rows] == [3]


def test_no_speech_lies_behind_the_end_where_the_detector_hears_another_rate() -> None:
    """At 16 kHz these 11,995 samples are 17,408, which is 34 frames and 0.25 samples more than there was."""
    front_end = FRONT_END.model_copy(update={"sample_rate_hz": 11_025})
    data = wav(resample(speech(2), RATE_HZ, 11_025)[:11_995], 11_025)
    (call_row,) = run({"file:///a.wav": data}, scorer(channels=())._replace(front_end=front_end)).calls.to_pylist()
    assert call_row["duration_s"] - 0.07 < call_row["talk_s"] <= call_row["duration_s"]


def test_tables_have_their_schemas_and_one_identity_a_call() -> None:
    scores = run({"file:///a.wav": wav(speech(5)), "file:///b.wav": b""}, scorer())
    for table, expected in (
        (scores.segments, schema.SEGMENTS),
        (scores.calls, schema.CALLS),
        (scores.rejects, schema.REJECTS),
    ):
        assert schema.check(table, expected).schema.equals(expected)
    (call_row,) = scores.calls.to_pylist()
    assert call_row["key"] == planned("file:///a.wav")["key"][0].as_py() != scores.rejects["id"][0].as_py()
    assert (call_row["work"], call_row["call_id"], call_row["carried"]) == ("work", "a.wav", [("queue", "7")])
    for name in ("key", "work", "call_id", "role"):
        assert set(scores.segments[name].to_pylist()) == {call_row[name]}
    assert scores.audio_s == 5.0  # of what was scored


def test_a_call_is_the_mean_of_its_segments_by_their_speech() -> None:
    parts = [part for seed, seconds in enumerate((5, 2, 7, 1.5)) for part in (speech(seconds, seed), silence(2))]
    segments, (call_row,) = one(wav(np.concatenate(parts)))
    probabilities = np.array([row["probabilities"] for row in segments])
    weights = np.array([row["speech_s"] for row in segments])
    assert len(segments) == 4
    assert np.ptp(probabilities, axis=0).max() > 0.01  # they differ, or their mean would say nothing
    np.testing.assert_allclose(call_row["shares"], weights @ probabilities / weights.sum(), rtol=1e-5)
    for row in [*segments, call_row]:
        assert row["labels"] == LABELS
        shares = row.get("probabilities") or row["shares"]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert row["label"] == LABELS[int(np.argmax(shares))]
        assert row["confidence"] == max(shares)


@pytest.mark.parametrize("by_speaker", [False, True])
def test_a_segment_is_what_the_network_says_of_its_standardised_features(by_speaker: bool) -> None:
    samples = np.concatenate([speech(4, 1), silence(2), speech(3, 2, dbfs=-30)])
    segments, _ = one(wav(samples), by_speaker=by_speaker)
    decoded = np.round(samples * 32768).clip(-32768, 32767).astype(np.float32) / 32768
    room_s = int(0.5 / FRAME_S) * FRAME_S  # of the pauses around it
    ends = [(max(row["start_s"] - room_s, 0), min(row["end_s"] + room_s, 9)) for row in segments]
    cuts = [decoded[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] for start_s, end_s in ends]
    features = [FRONT_END(part).astype(np.float64) for part in cuts]
    assert len(features) == 2
    if by_speaker:  # the channel is the speaker
        frames = np.concatenate(features)
        mean, std = frames.mean(axis=0), frames.std(axis=0)
    else:
        mean, std = -8.0 + 0.05 * np.arange(40), 3.0 + 0.02 * np.arange(40)
    torch.manual_seed(3)
    model = MODELS["aldeneh"].sizes["debug"]((40,), len(LABELS)).eval()
    for row, feature in zip(segments, features, strict=True):
        padded = np.zeros((1, -(-len(feature) // 64) * 64, 40))  # as it is alone
        padded[0, : len(feature)] = (feature - mean) / std
        expected = model(torch.from_numpy(padded).float()).softmax(dim=1)[0].tolist()
        assert row["probabilities"] == pytest.approx(expected, abs=1e-3)


def test_standardised_by_speaker_it_does_not_matter_how_loud_a_channel_is() -> None:
    loud = speech(9, dbfs=-10)
    both = wav(np.stack([loud, 0.25 * loud], axis=1))
    _, (left, right) = one(both, by_speaker=True)
    assert left["shares"] == pytest.approx(right["shares"], abs=0.005)
    _, (left, right) = one(both)
    assert left["shares"] != pytest.approx(right["shares"], abs=0.01)


@pytest.mark.parametrize("speaking", [0, 1])
def test_a_silent_channel_is_a_row_without_an_answer(speaking: int) -> None:
    channels = [silence(6), silence(6)]
    channels[speaking] = speech(6)
    segments, calls = one(wav(np.stack(channels, axis=1)))
    assert {row["channel"] for row in segments} == {speaking}
    assert [row["channel"] for row in calls] == [0, 1]
    assert [row["num_channels"] for row in calls] == [2, 2]
    silent = calls[1 - speaking]
    assert (silent["num_segments"], silent["talk_s"], silent["duration_s"]) == (0, 0.0, 6.0)
    assert (silent["shares"], silent["label"], silent["confidence"]) == (None, None, None)
    assert silent["labels"] == LABELS
    _, (alone,) = one(wav(speech(6)))
    assert calls[speaking]["shares"] == pytest.approx(alone["shares"], abs=1e-6)


@pytest.mark.parametrize(("seconds", "num_segments"), [(0.01, 0), (0.05, 0), (0.2, 0), (0.5, 1), (3.99, 1)])
def test_a_short_call_is_one_segment_or_none(seconds: float, num_segments: int) -> None:
    segments, (call_row,) = one(wav(speech(seconds)))
    assert call_row["num_segments"] == len(segments) == num_segments
    assert (call_row["label"] is None) is (num_segments == 0)
    assert call_row["duration_s"] == pytest.approx(seconds)


@pytest.mark.parametrize("seconds", [0.022, 0.03])
def test_a_call_of_less_than_a_feature_frame_is_a_row_too(seconds: float) -> None:
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
    ids = [*scores.calls["key"].to_pylist(), *scores.rejects["id"].to_pylist()]
    assert len(set(ids)) == 5
    assert scores.unsettled == [scores.rejects["id"][2].as_py()], "only what the store did not give may come back"


def test_what_nobody_has_foreseen_in_a_recording_costs_one_row_and_is_tried_again() -> None:
    its = scorer()

    class Odd(type(FRONT_END)):  # type: ignore[misc]
        def __call__(self, samples: Samples) -> Any:
            assert len(samples) < 6 * RATE_HZ
            return super().__call__(samples)

    odd = its._replace(front_end=Odd(**FRONT_END.model_dump()))
    files = {"file:///a.wav": wav(speech(5)), "file:///b.wav": wav(speech(7)), "file:///c.wav": wav(speech(5))}
    scores = run(files, odd)
    assert scores.calls["uri"].to_pylist() == ["file:///a.wav", "file:///c.wav"]
    (rejected,) = scores.rejects.to_pylist()
    assert (rejected["uri"], rejected["error"]) == ("file:///b.wav", "AssertionError")
    assert "test_score.py, line" in rejected["message"]
    assert scores.unsettled == [rejected["id"]]


@pytest.mark.parametrize("ask_at", [1, 256])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(KeyError("a layer"), Unanswered), (ConfigurationError("another model"), ConfigurationError)],
)
def test_what_is_wrong_with_the_model_rejects_no_recording(
    ask_at: int, error: Exception, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a long call is read, and at its end."""
    monkeypatch.setattr("raysee.scoring.hearing.ASK_AT", ask_at)

    def broken(features: object) -> Any:
        raise error

    sound = np.concatenate([speech(5), silence(60)])
    with pytest.raises(raised):
        run({"file:///a.wav": wav(sound)}, scorer()._replace(predict=broken))


def test_no_calls_make_no_rows() -> None:
    scores = run({}, scorer())
    assert scores.segments.num_rows == scores.calls.num_rows == scores.rejects.num_rows == 0
    assert scores.audio_s == 0.0


def test_a_channel_does_not_depend_on_the_size_of_the_batches() -> None:
    parts = [part for seed, seconds in enumerate((2, 7, 3, 1.2, 5)) for part in (speech(seconds, seed), silence(1))]
    data = wav(np.concatenate(parts))
    small, large = (one(data, batch_size=size)[0] for size in (1, 64))
    assert [row["probabilities"] for row in small] == [pytest.approx(row["probabilities"], abs=1e-5) for row in large]


def test_mixed_precision_says_nearly_the_same() -> None:
    data = wav(np.concatenate([part for seed in range(4) for part in (speech(4, seed), silence(1))]))
    full, mixed = (one(data, precision=precision)[0] for precision in ("float32", "bfloat16"))
    differences = [
        np.abs(np.subtract(one["probabilities"], other["probabilities"])).max()
        for one, other in zip(full, mixed, strict=True)
    ]
    assert 0 < max(differences) < 0.02


def test_a_telephone_call_of_the_synthetic_voice_has_both_sides() -> None:
    samples, turns = call("call-0001", seconds=12.0)
    segments, (agent, customer) = one(wav(samples, 8_000), max_s=3.0)
    assert (agent["sample_rate_hz"], agent["duration_s"]) == (8_000, 12.0)
    for side in (agent, customer):
        spoken = sum(turn.end_s - turn.start_s for turn in turns if turn.channel == side["channel"])
        assert side["talk_s"] == pytest.approx(spoken, rel=0.35)
        assert side["num_segments"] == sum(row["channel"] == side["channel"] for row in segments) > 0
    first = turns[0]
    assert segments[0]["channel"] == first.channel
    assert segments[0]["start_s"] - 0.15 <= first.start_s < segments[0]["end_s"]


def test_levels_are_those_of_the_segments() -> None:
    samples = np.concatenate([speech(4, dbfs=-12), silence(2), speech(4, dbfs=-32)])
    segments, _ = one(wav(samples))
    cuts = [samples[round(row["start_s"] * RATE_HZ) : round(row["end_s"] * RATE_HZ)] for row in segments]
    assert len(cuts) == 2
    assert [row["level_dbfs"] for row in segments] == pytest.approx(
        [float(level_dbfs(part)) for part in cuts], abs=0.05
    )


@needs_silero
def test_silero_does_not_take_noise_for_speech() -> None:
    segments, (call_row,) = one(wav(speech(10)), detector=silero.name())
    assert (segments, call_row["num_segments"], call_row["label"]) == ([], 0, None)


def test_the_same_sound_in_both_channels_is_scored_once() -> None:
    parts = [part for seed in range(5) for part in (speech(4, seed), silence(1))]
    sound = np.concatenate(parts)
    segments, (call_row,) = one(wav(np.stack([sound, 0.5 * sound], axis=1)))
    assert (call_row["channel"], call_row["num_channels"], "dual_mono" in call_row["flags"]) == (0, 2, True)
    assert {row["channel"] for row in segments} == {0}
    other = np.concatenate([part for seed in range(5) for part in (silence(2), speech(3, seed + 9))])
    _, calls = one(wav(np.stack([sound, other], axis=1)))
    assert [(row["channel"], "dual_mono" in row["flags"]) for row in calls] == [(0, False), (1, False)]


def both_sides(*, left: int = 0, right: int = 7) -> bytes:
    """A telephone call of two people who take turns."""
    return wav(
        np.stack(
            [np.concatenate([speech(5, left), silence(5)]), np.concatenate([silence(5), speech(5, right)])], axis=1
        )
    )


def test_an_agent_is_listened_to_and_not_scored() -> None:
    segments, (agent, customer) = one(both_sides(), channels=(("agent", "customer"),))
    assert {(row["channel"], row["role"]) for row in segments} == {(1, "customer")}
    assert (agent["role"], agent["scored"], agent["label"], agent["shares"], agent["trend"]) == (
        "agent",
        False,
        *[None] * 3,
    )
    assert agent["talk_s"] == pytest.approx(5, abs=0.1)
    assert (customer["role"], customer["scored"], customer["num_segments"]) == ("customer", True, len(segments))
    assert agent["silence_s"] == customer["silence_s"] == pytest.approx(0, abs=0.2)
    everybody, _ = one(both_sides(), channels=(("agent", "customer"),), score_agents=True)
    assert {row["role"] for row in everybody} == {"agent", "customer"}


@pytest.mark.parametrize("ask_at", [1, 256])
def test_the_model_never_hears_an_agent(ask_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it would be thrown away afterwards: of two channels that are one sound, nobody knows before."""
    monkeypatch.setattr("raysee.scoring.hearing.ASK_AT", ask_at)
    asked = []
    its = scorer(channels=(("agent", "customer"),))
    its = its._replace(predict=lambda features: asked.extend(features) or np.full((len(features), 3), 1 / 3))
    scores = run({"file:///a.wav": both_sides()}, its)
    assert len(asked) == scores.segments.num_rows > 0
    sound = np.concatenate([part for seed in range(5) for part in (speech(4, seed), silence(1))])
    asked.clear()
    agents_line = its._replace(config=its.config.model_copy(update={"channels": (("agent", "unknown"),)}))
    scores = run({"file:///a.wav": wav(np.stack([sound, sound], axis=1))}, agents_line)
    assert (asked, scores.segments.num_rows) == ([], 0)


def test_roles_are_those_of_the_list_before_those_of_the_configuration() -> None:
    its = scorer(channels=(("agent", "customer"),))
    data = both_sides()

    def roles(*told: str) -> list[tuple[str, bool]]:
        opened = lambda wanted: iter([io.BytesIO(data)])  # noqa: E731
        calls = score(planned("file:///a.wav", roles=told), "work", its, opened).calls
        return list(zip(calls["role"].to_pylist(), calls["scored"].to_pylist(), strict=True))

    assert roles() == [("agent", False), ("customer", True)]
    assert roles("customer", "agent") == [("customer", True), ("agent", False)]
    assert roles("customer") == [("agent", False), ("customer", True)], "of another number of channels"
    its = scorer(channels=(("customer",),))
    assert roles() == [("unknown", False), ("unknown", False)], "nobody has said who that is"


@pytest.mark.parametrize("ask_at", [1, 256])
@pytest.mark.parametrize(("alone", "role"), [((), "unknown"), (("caller",), "caller")])
def test_one_sound_in_two_channels_is_everybody(
    alone: tuple[str, ...], role: str, ask_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysee.scoring.hearing.ASK_AT", ask_at)
    sound = np.concatenate([part for seed in range(5) for part in (speech(4, seed), silence(1))])
    roles = (("agent", "customer"), alone) if alone else (("agent", "customer"),)
    segments, (call_row,) = one(wav(np.stack([sound, sound], axis=1)), channels=roles)
    assert (call_row["role"], call_row["scored"], call_row["channel"]) == (role, bool(alone), 0)
    assert len(segments) == (call_row["num_segments"] if alone else 0)
    assert call_row["talk_s"] > 15


@pytest.mark.parametrize(("alone", "then"), [((), "one"), (("caller",), "one"), ((), "two")])
def test_one_sound_in_two_channels_needs_no_more_memory_the_longer_it_is(
    alone: tuple[str, ...], then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody may be heard, and where two people come only when it was decided that it is one sound."""
    monkeypatch.setattr("raysee.scoring.hearing.ASK_AT", 4)
    monkeypatch.setattr("raysee.scoring.hearing.MOST_WAITING", 8)
    most, asked = [0], []
    add = hearing.Channel.add

    def added(channel: hearing.Channel, *args: Any) -> None:
        add(channel, *args)
        most.append(channel.num_waiting)

    monkeypatch.setattr(hearing.Channel, "add", added)
    sound = np.concatenate([part for seed in range(60) for part in (speech(4, seed), silence(1))])
    both = np.stack([sound, sound], axis=1)
    if then == "two":
        both = np.concatenate([both, np.stack([speech(200, 98), speech(200, 99)], axis=1)])
    its = scorer(channels=(("caller", "customer"), alone) if alone else (("caller", "customer"),))
    its = its._replace(predict=lambda features, answer=its.predict: asked.extend(features) or answer(features))
    scores = run({"file:///a.wav": wav(both)}, its)
    (call_row,) = scores.calls.to_pylist()
    assert (call_row["scored"], "dual_mono" in call_row["flags"]) == (bool(alone), True)
    assert call_row["talk_s"] == pytest.approx(len(both) / RATE_HZ - 60, rel=0.05)
    assert scores.segments.num_rows == (call_row["num_segments"] if alone else 0)
    assert bool(asked) == bool(alone), "the model hears nothing that may not be scored"
    assert max(most) <= (4 if alone else 8) + 10, "a block of 30 s has 6 segments, and what was said at its end"


def test_what_is_improbable_is_unsure() -> None:
    segments, (call_row,) = one(wav(speech(6)), abstain=0.99)
    assert {row["label"] for row in segments} == {call_row["label"]} == {"unsure"}
    assert 0.3 < call_row["confidence"] < 0.99


def test_flags_say_what_is_to_be_known_of_the_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    def flags(samples: Samples, rate_hz: int = RATE_HZ) -> list[str]:
        return list(one(wav(samples, rate_hz))[1][0]["flags"])

    assert flags(speech(6)) == []
    assert flags(speech(6)[::2], RATE_HZ // 2) == ["narrow_band"]
    assert flags((5 * speech(6)).clip(-1, 1)) == ["clipped"]
    assert flags(silence(6)) == ["no_speech"]
    monkeypatch.setattr("raysee.scoring.summary.QUIET_DBFS", -15.0)
    assert flags(speech(6)) == ["quiet"]


def test_probabilities_are_calibrated() -> None:
    data = wav(speech(6))
    plain = one(data)[0][0]["probabilities"]
    (row,) = run({"file:///a.wav": data}, scorer(temperature=2.0)).segments.to_pylist()
    roots = np.sqrt(plain)
    assert row["probabilities"] == pytest.approx(roots / roots.sum(), abs=1e-4)


def test_a_model_of_the_telephone_hears_wide_band_sound_through_one() -> None:
    sound = speech(6)
    heard: list[Any] = []

    def features_and_flags(samples: Samples, rate_hz: int) -> tuple[Any, list[str]]:
        its = scorer(channel="telephone")
        its = its._replace(predict=lambda features: heard.extend(features) or np.full((len(features), 3), 1 / 3))
        heard.clear()
        scores = run({"file:///a.wav": wav(samples, rate_hz)}, its)
        return heard[0], list(scores.calls["flags"][0].as_py())

    wide, flags = features_and_flags(sound, RATE_HZ)
    assert flags == ["wide_band"]
    narrow, flags = features_and_flags(resample(sound, RATE_HZ, 8_000), 8_000)
    assert flags == []
    plain = FRONT_END(sound)
    above = slice(34, 40)  # mel bands above 4 kHz
    for line in (wide, narrow):
        assert plain[:, above].mean() - 5 > line[:, above].mean()
        assert line.mean(axis=0).max() == pytest.approx(plain[:, 8:28].mean(axis=0).max(), abs=0.5)
