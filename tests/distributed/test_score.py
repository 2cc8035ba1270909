import pathlib

import numpy as np
import pytest

from raysee import receipts, schema, storage
from raysee.config import RunConfig, ScoreConfig, TrainingConfig
from raysee.distributed.score import score
from raysee.distributed.train import train
from raysee.errors import ConfigurationError, StorageError

CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    labels=("anger", "neutral"),
    training=TrainingConfig(epochs=1),
)


@pytest.fixture(scope="module")
def model(lake: str) -> str:
    return train(lake, CONFIG).place


def _archive(place: str, calls: pathlib.Path) -> str:
    archive = storage.join(place, "calls")
    for path in sorted(calls.rglob("*.wav")):
        storage.write_bytes(storage.join(archive, "2026-11-19", path.name), path.read_bytes())
    storage.write_bytes(storage.join(archive, "2026-11-19", "cut.wav"), path.read_bytes()[:5000])
    storage.write_bytes(storage.join(archive, "notes.txt"), b"no recording")
    return archive


def _tables(scores: str) -> tuple[list[dict], list[dict], list[dict]]:
    return tuple(  # type: ignore[return-value]
        storage.read_table(storage.join(scores, name), its_schema).to_pylist()
        for name, its_schema in (("calls", schema.CALLS), ("segments", schema.SEGMENTS), ("rejects", schema.REJECTS))
    )


def test_every_recording_is_scored_or_rejected(model: str, call_archive: pathlib.Path, place: str) -> None:
    archive, scores = _archive(place, call_archive), storage.join(place, "scores")
    stage = score(archive, model, scores, ScoreConfig())
    calls, segments, rejects = _tables(scores)
    assert stage.receipt.counts == {"in": 4, "out": 3, "rejected": 1}
    assert stage.receipt.details["not_recordings"] == {".txt": 1}
    assert sorted((call["uri"].rsplit("/", 1)[-1], call["channel"]) for call in calls) == [
        (f"call-000{number}.wav", channel) for number in (1, 2, 3) for channel in (0, 1)
    ]
    assert [(row["error"], row["uri"].rsplit("/", 1)[-1]) for row in rejects] == [("TruncatedAudio", "cut.wav")]
    for call in calls:
        mine = [s for s in segments if (s["call_id"], s["channel"]) == (call["call_id"], call["channel"])]
        assert len(mine) == call["num_segments"] > 0
        weights = [segment["speech_s"] for segment in mine]
        mean = np.average([segment["probabilities"] for segment in mine], axis=0, weights=weights)
        assert call["probabilities"] == pytest.approx(mean, abs=1e-6)
        assert call["label"] == call["labels"][int(np.argmax(mean))]
        assert all(0 <= s["start_s"] < s["end_s"] <= call["duration_s"] + 1e-9 for s in mine)

    before = storage.list_files(scores)
    assert score(archive, model, scores, ScoreConfig()).found
    assert storage.list_files(scores) == before

    # What has come since is scored, what was scored stays as it is.
    late = storage.join(archive, "2026-11-20", "late.wav")
    storage.write_bytes(late, next(call_archive.rglob("*.wav")).read_bytes())
    again = score(archive, model, scores, ScoreConfig())
    assert again.receipt.counts == {"in": 5, "out": 4, "rejected": 1}
    after, _, _ = _tables(scores)
    assert [call for call in after if call["uri"] != late] == calls

    with pytest.raises(ConfigurationError, match=r"different: config.*--overwrite"):
        score(archive, model, scores, ScoreConfig(max_s=4.0))
    other = score(archive, model, scores, ScoreConfig(max_s=4.0), overwrite=True)
    assert other.receipt.counts["in"] == 5


def test_what_was_cut_short_is_done_again(model: str, call_archive: pathlib.Path, place: str) -> None:
    archive, scores = _archive(place, call_archive), storage.join(place, "scores")
    score(archive, model, scores, ScoreConfig())
    whole = _tables(scores)
    # As if it had been killed between two of a shard's tables.
    for name in (receipts.NAME, "done/part-00000.json", "calls/part-00000.parquet"):
        storage.remove(storage.join(scores, name))
    score(archive, model, scores, ScoreConfig())
    assert _tables(scores) == whole


def test_nothing_to_score_is_said(model: str, place: str) -> None:
    storage.write_bytes(storage.join(place, "calls", "readme.txt"), b"no recording")
    with pytest.raises(StorageError, match=r"No recording below .*calls: 1 files"):
        score(storage.join(place, "calls"), model, storage.join(place, "scores"), ScoreConfig())
    with pytest.raises(StorageError, match="nowhere.* does not exist"):
        score(storage.join(place, "nowhere"), model, storage.join(place, "scores"), ScoreConfig())
    assert storage.names(storage.join(place, "scores")) == set(), "nothing was written"


def test_no_model_is_said(place: str, call_archive: pathlib.Path) -> None:
    with pytest.raises(StorageError, match=r"model.json.* does not exist"):
        score(str(call_archive), storage.join(place, "nowhere"), storage.join(place, "scores"), ScoreConfig())
