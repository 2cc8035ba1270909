"""On the real corpora and calls, where RAYSEE_REAL_DATA says where they are."""

import pathlib

import pyarrow.compute as pc
import pytest

from raysee import schema, storage
from raysee.config import RunConfig, ScoreConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.score import score
from raysee.distributed.train import train
from raysee.features import front_end
from raysee.features.table import featurise
from raysee.scoring import batches

EMODB_COUNTS = {
    "anger": 127,
    "boredom": 81,
    "disgust": 46,
    "fear": 69,
    "happiness": 71,
    "neutral": 79,
    "sadness": 62,
}
TWINS = ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
# Name -> seconds: two stereo calls of about four minutes.
CALLS_S = {"auto_repairs_40.wav": 245.38, "auto_repairs_49.wav": 237.56}
QUICK = RunConfig(
    corpora=("emodb",), features="logmel40", model="aldeneh", size="debug", training=TrainingConfig(epochs=1)
)


def test_the_manifest_of_ravdess_is_complete(real_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stage = manifest(str(tmp_path), "ravdess", str(real_data / "ravdess"))
    emotions = ("anger", "calm", "disgust", "fear", "happiness", "sadness", "surprise")
    assert stage.receipt.counts == {"in": 1440, "out": 1440, "rejected": 0}
    assert stage.receipt.details["labels"] == {**dict.fromkeys(emotions, 192), "neutral": 96}
    assert (stage.receipt.details["num_speakers"], stage.receipt.details["synthetic"]) == (24, False)


def test_emodb_is_complete_and_every_clip_has_features(
    ray_session: None, real_data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    listed = manifest(str(tmp_path), "emodb", str(real_data / "emodb"))
    assert listed.receipt.counts == {"in": 535, "out": 535, "rejected": 0}
    assert listed.receipt.details["labels"] == EMODB_COUNTS
    assert (listed.receipt.details["num_speakers"], listed.receipt.details["synthetic"]) == (10, False)
    (made,) = extract(str(tmp_path), "emodb", ["logmel40"])
    assert made.receipt.counts == {"in": 535, "out": 535, "rejected": 0}
    assert made.receipt.details["audio_s"] == pytest.approx(1487, abs=2)
    clips = storage.join(made.place, "clips")
    features = storage.read_table(clips, schema.FEATURES, columns=["duration_s", "content_sha256"])
    assert pc.sum(features["duration_s"]).as_py() == pytest.approx(made.receipt.details["audio_s"])
    assert pc.count_distinct(features["content_sha256"]).as_py() == 535


def test_the_twins_of_ravdess_have_one_content(real_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stage = manifest(str(tmp_path), "ravdess", str(real_data / "ravdess"))
    utterances = storage.read_table(storage.join(stage.place, "clips"), schema.UTTERANCES)
    actor = utterances.filter(pc.equal(utterances["speaker"], "07"))
    ((features, rejects),) = featurise(actor, [front_end("logmel40")], storage.read_each)
    assert (features.num_rows, rejects.num_rows) == (60, 0)
    contents = dict(zip(features["clip_id"].to_pylist(), features["content_sha256"].to_pylist(), strict=True))
    assert contents[TWINS[0]] == contents[TWINS[1]]
    assert len(set(contents.values())) == 59, "and nobody else shares one"


def test_customers_of_stereo_calls_are_scored(lake: str, real_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The agent is on the left, and the mono recording is of an agent."""
    config = ScoreConfig(channels=(("agent",), ("agent", "customer")))
    (stage,) = score(str(real_data / "calls"), train(lake, QUICK).place, str(tmp_path / "scores"), config)
    assert stage.receipt.counts == {"in": 3, "out": 3, "rejected": 0, "already": 0}
    assert (stage.receipt.details["synthetic"], stage.receipt.details["synthetic_model"]) == (False, True)
    assert stage.receipt.details["channels"] == {"agent": 3, "customer": 2}
    assert stage.receipt.details["unscored"] == {"agent": 3}
    calls = batches.read(stage.place, "calls", schema.CALLS).to_pylist()
    segments = batches.read(stage.place, "segments", schema.SEGMENTS).to_pylist()
    stereo = {(storage.basename(call["uri"]), call["channel"]): call for call in calls if call["num_channels"] == 2}
    assert set(stereo) == {(name, channel) for name in CALLS_S for channel in (0, 1)}
    for (name, channel), call in stereo.items():
        assert call["duration_s"] == pytest.approx(CALLS_S[name], abs=0.01)
        assert call["sample_rate_hz"] == 8000
        assert 60 < call["talk_s"] < 200, "each side talks, and neither all the time"
        assert call["silence_s"] < call["duration_s"] - call["talk_s"]
        assert call["num_segments"] > 20
        mine = [row for row in segments if (row["key"], row["channel"]) == (call["key"], channel)]
        if channel == 0:
            assert (call["role"], call["scored"], call["shares"], mine) == ("agent", False, None, [])
            continue
        assert (call["role"], call["scored"]) == ("customer", True)
        assert len(mine) == call["num_segments"]
        assert all(0 <= row["start_s"] < row["end_s"] <= call["duration_s"] for row in mine)
        assert sum(call["shares"]) == pytest.approx(1, abs=1e-5)
        assert call["negative_end_s"] - call["negative_start_s"] >= 10
    shares = [stereo[name, 1]["shares"] for name in CALLS_S]
    assert shares[0] != shares[1], "two customers, two answers"
