import json
import pathlib
from typing import Any

import numpy as np
import pytest

from raysee import schema, storage
from raysee.config import ScoreConfig
from raysee.distributed.pool import PoolConfig
from raysee.distributed.score import score
from raysee.errors import ConfigurationError, StorageError
from raysee.receipts import Stage
from raysee.scoring import batches
from raysee.scoring.forget import forget

CUSTOMERS = ScoreConfig(channels=(("agent", "customer"),))
NIGHT = "2026-11-19"


def _archive(place: str, calls: pathlib.Path) -> str:
    archive = storage.join(place, "calls", NIGHT)
    for path in sorted(calls.rglob("*.wav")):
        storage.write_bytes(storage.join(archive, path.name), path.read_bytes())
    storage.write_bytes(storage.join(archive, "cut.wav"), path.read_bytes()[:5000])
    storage.write_bytes(storage.join(archive, "notes.txt"), b"no recording")
    return archive


def _score(archive: str, model: str, scores: str, config: ScoreConfig = CUSTOMERS, **more: Any) -> Stage:
    (stage,) = score(archive, model, scores, config, **more)
    return stage


def _tables(scores: str) -> dict[str, list[dict[str, Any]]]:
    schemas = {"calls": schema.CALLS, "segments": schema.SEGMENTS, "rejects": schema.REJECTS}
    return {
        name: sorted(batches.read(scores, name, its_schema).to_pylist(), key=repr)
        for name, its_schema in schemas.items()
    }


def _json(scores: str) -> list[dict[str, Any]]:
    """The files of calls, each of which lies where its key says."""
    found = []
    for file in storage.list_files(storage.join(scores, "json")):
        found.append(json.loads(storage.read_bytes(file.uri)))
        key = found[-1]["Scoring"]["Key"]
        assert storage.path_of(file.uri).endswith(f"/json/date={NIGHT}/{key[:2]}/{key}.json")
    return found


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({storage.basename(row["uri"]) for row in rows})


def test_every_recording_is_scored_or_rejected_once(model: str, call_archive: pathlib.Path, place: str) -> None:
    archive, scores = _archive(place, call_archive), storage.join(place, "scores")
    stage = _score(archive, model, scores)
    whole = _tables(scores)
    calls, segments = whole["calls"], whole["segments"]
    assert stage.receipt.counts == {"in": 4, "out": 3, "rejected": 1, "already": 0}
    assert stage.receipt.details["not_recordings"] == {".txt": 1}
    assert stage.receipt.details["date"] == NIGHT
    assert stage.receipt.details["channels"] == {"agent": 3, "customer": 3}
    assert stage.receipt.details["unscored"] == {"agent": 3}
    assert sorted((call["call_id"], call["role"]) for call in calls) == [
        (f"call-000{number}.wav", role) for number in (1, 2, 3) for role in ("agent", "customer")
    ]
    (rejected,) = whole["rejects"]
    assert (rejected["error"], storage.basename(rejected["uri"])) == ("TruncatedAudio", "cut.wav")
    for call in calls:
        mine = [s for s in segments if (s["key"], s["channel"]) == (call["key"], call["channel"])]
        if call["role"] == "agent":
            assert (mine, call["shares"]) == ([], None)
            continue
        assert len(mine) == call["num_segments"] > 0
        weights = [segment["speech_s"] for segment in mine]
        mean = np.average([segment["probabilities"] for segment in mine], axis=0, weights=weights)
        assert call["shares"] == pytest.approx(mean, abs=1e-6)
        assert all(0 <= s["start_s"] < s["end_s"] <= call["duration_s"] + 1e-9 for s in mine)

    before = storage.list_files(scores)
    again = _score(archive, model, scores)
    assert (again.found, again.receipt) == (True, stage.receipt)
    assert storage.list_files(scores) == before

    # What has come since is scored, what was scored stays as it is.
    late = storage.join(archive, "late.wav")
    storage.write_bytes(late, next(call_archive.rglob("*.wav")).read_bytes())
    again = _score(archive, model, scores)
    assert again.receipt.counts == {"in": 5, "out": 1, "rejected": 0, "already": 4}
    assert [call for call in _tables(scores)["calls"] if call["uri"] != late] == calls

    # So is what was replaced.
    storage.write_bytes(late, sorted(call_archive.rglob("*.wav"))[1].read_bytes()[:-100])
    again = _score(archive, model, scores)
    assert again.receipt.counts == {"in": 5, "out": 0, "rejected": 1, "already": 4}


def test_another_model_or_configuration_scores_what_is_new_or_everything(
    model: str, call_archive: pathlib.Path, place: str
) -> None:
    archive, scores = _archive(place, call_archive), storage.join(place, "scores")
    first = _score(archive, model, scores)
    other = ScoreConfig(channels=(("agent", "customer"),), max_s=4.0)
    assert _score(archive, model, scores, other).receipt.counts == {"in": 4, "out": 0, "rejected": 0, "already": 4}
    again = _score(archive, model, scores, other, rescore=True)
    assert again.receipt.counts == {"in": 4, "out": 3, "rejected": 1, "already": 0}
    works = [stage.receipt.details["work"] for stage in (first, again)]
    calls = _tables(scores)["calls"]
    assert len(calls) == 12
    assert len({(row["work"], row["key"], row["channel"]) for row in calls}) == 12
    assert sorted({row["work"] for row in calls}) == sorted(works)
    assert _score(archive, model, scores, other, rescore=True).found


def test_what_was_rejected_can_be_tried_again_until_it_is_scored(
    model: str, call_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    archive, scores = _archive(storage.normalise(tmp_path), call_archive), storage.normalise(tmp_path / "scores")
    _score(archive, model, scores)
    assert _score(archive, model, scores).found
    again = _score(archive, model, scores, replay=True)
    assert again.receipt.counts == {"in": 4, "out": 0, "rejected": 1, "already": 3}
    rejected = batches.read(scores, "rejects", schema.REJECTS)
    assert rejected["id"].to_pylist()[:1] * 2 == rejected["id"].to_pylist()
    # As if a later version had read it.
    read = batches.read(scores, "calls", schema.CALLS).slice(0, 1).drop_columns("key")
    read = read.append_column("key", rejected["id"].slice(0, 1)).select(schema.CALLS.names)
    storage.write_table(storage.join(scores, f"calls/date={NIGHT}/part-00099.parquet"), read, schema.CALLS)
    assert _score(archive, model, scores, replay=True).found


def test_what_was_cut_short_is_finished(model: str, call_archive: pathlib.Path, place: str) -> None:
    archive, scores = _archive(place, call_archive), storage.join(place, "scores")
    stage = _score(archive, model, scores, json_files=True)
    whole = _tables(scores)
    documents = _json(scores)
    assert {document["Scoring"]["Key"] for document in documents} == {row["key"] for row in whole["calls"]}
    # As if it had been killed between two of a shard's tables.
    work = stage.receipt.details["work"]
    part = f"calls/date={NIGHT}/part-00000.parquet"
    storage.remove(storage.join(scores, "json"))
    for name in ("nights/00000.json", "done/00000/part-00000.json", part, f"ledger/{work}/00000.parquet"):
        assert storage.exists(storage.join(scores, name))
        storage.remove(storage.join(scores, name))
    late = storage.join(archive, "late.wav")
    storage.write_bytes(late, next(call_archive.rglob("*.wav")).read_bytes())
    again, after = score(archive, model, scores, CUSTOMERS)
    assert again.receipt.fingerprint == stage.receipt.fingerprint
    assert after.receipt.counts == {"in": 5, "out": 1, "rejected": 0, "already": 4}
    assert [row for row in _tables(scores)["calls"] if row["uri"] != late] == whole["calls"]
    assert _json(scores) == documents, "the batch that was begun with them has them, the other one has not"


def test_a_night_that_was_cut_short_is_gone_on_with_by_another_configuration(
    model: str, call_archive: pathlib.Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysee.scoring.plan.SHARD_CALLS", 1)
    archive, scores = _archive(place, call_archive), storage.join(place, "scores")
    first = _score(archive, model, scores)
    work = first.receipt.details["work"]
    for number in (2, 3):
        storage.remove(storage.join(scores, f"done/00000/part-0000{number}.json"))
    for name in ("nights/00000.json", f"ledger/{work}/00000.parquet"):
        storage.remove(storage.join(scores, name))
    other = ScoreConfig(channels=(("agent", "customer"),), max_s=4.0)
    cut, rest = score(archive, model, scores, other)
    assert cut.receipt.counts == {"in": 2, "out": 2, "rejected": 0, "already": 0}
    assert cut.receipt.details["cut_short"]["left"] == 2
    assert rest.receipt.counts == {"in": 4, "out": 1, "rejected": 1, "already": 2}
    calls = _tables(scores)["calls"]
    assert len({(row["key"], row["channel"]) for row in calls}) == len(calls) == 6
    assert {row["work"] for row in calls} == {work, rest.receipt.details["work"]}
    assert _score(archive, model, scores).receipt.counts == {"in": 4, "out": 0, "rejected": 0, "already": 4}


def test_a_call_that_is_forgotten_in_a_night_that_was_cut_short_does_not_stop_it(
    model: str, call_archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    archive, scores = _archive(storage.normalise(tmp_path), call_archive), storage.normalise(tmp_path / "scores")
    _score(archive, model, scores)
    storage.remove(storage.join(scores, "nights/00000.json"))
    forget(scores, "call-0002.wav")
    storage.remove(storage.join(archive, "call-0002.wav"))
    stage = _score(archive, model, scores)
    assert stage.receipt.counts == {"in": 3, "out": 2, "rejected": 1, "already": 0}
    assert {row["call_id"] for row in _tables(scores)["calls"]} == {"call-0001.wav", "call-0003.wav"}


def test_models_in_actors_answer_alike(model: str, call_archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    archive = _archive(storage.normalise(tmp_path), call_archive)
    ours, theirs = (
        _tables(_score(archive, model, str(tmp_path / name), models=models).place)
        for name, models in (("here", PoolConfig()), ("actors", PoolConfig(2)))
    )
    assert [row["key"] for row in ours["segments"]] == [row["key"] for row in theirs["segments"]] != []
    for one, other in zip(ours["segments"], theirs["segments"], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_a_list_says_who_speaks_and_when(model: str, call_archive: pathlib.Path, place: str) -> None:
    archive, scores = _archive(place, call_archive), storage.join(place, "scores")
    rows = [
        "uri,call_id,start_time,roles,queue",
        f'{archive}/call-0001.wav,"a/b, ""c"" \n",2026-11-19T23:59:50+00:00,"customer,agent",007',
        f"{archive}/call-0001.wav,twice,,,",
        f"{NIGHT}/call-0002.wav,relative,,,8",
        f'{archive}/nowhere.wav,gone,,"agent,customer",',
    ]
    listed = storage.join(place, "calls", "night.csv")
    storage.write_bytes(listed, "\n".join(rows).replace("\\n", "\n").encode())
    stage = _score(listed, model, scores, date=NIGHT)
    assert stage.receipt.counts == {"in": 4, "out": 2, "rejected": 1, "already": 1}
    tables = _tables(scores)
    by_role = {(row["call_id"], row["role"]): row for row in tables["calls"]}
    told = 'a/b, "c" \n'
    assert set(by_role) == {(told, "customer"), (told, "agent"), ("relative", "customer"), ("relative", "agent")}
    assert by_role[told, "customer"]["channel"] == 0
    assert by_role[told, "customer"]["carried"] == [("queue", "007")]
    assert {(row["call_id"], row["channel"]) for row in tables["segments"]} == {(told, 0), ("relative", 1)}
    hours = stage.receipt.details["hours"]
    assert {hour for its in hours.values() for hour, seconds in enumerate(its) if seconds} <= {23, 0}
    timed = sum(row["speech_s"] for row in tables["segments"] if row["call_id"] == told)
    assert sum(map(sum, hours.values())) == pytest.approx(timed)
    # It was not there: it may come.
    assert [row["error"] for row in tables["rejects"]] == ["MissingError"]
    storage.write_bytes(storage.join(archive, "nowhere.wav"), next(call_archive.rglob("*.wav")).read_bytes())
    assert _score(listed, model, scores, date=NIGHT).receipt.counts == {"in": 4, "out": 1, "rejected": 0, "already": 3}


def test_a_pattern_is_a_part_of_an_archive(model: str, call_archive: pathlib.Path, place: str) -> None:
    archive = _archive(place, call_archive)
    source = storage.join(storage.normalise(place), "calls", "*", "call-000[13].wav")
    stage = _score(source, model, storage.join(place, "scores"))
    assert stage.receipt.counts["out"] == 2
    calls = _tables(stage.place)["calls"]
    assert _names(calls) == ["call-0001.wav", "call-0003.wav"]
    assert {row["call_id"] for row in calls} == {f"{NIGHT}/{name}" for name in _names(calls)}
    assert _score(archive, model, stage.place).receipt.counts == {"in": 4, "out": 1, "rejected": 1, "already": 2}


def test_whom_to_score_must_be_known(model: str, call_archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    scores = str(tmp_path / "scores")
    with pytest.raises(ConfigurationError, match="No channel is that of a customer, caller or patient"):
        score(str(call_archive), model, scores, ScoreConfig())
    with pytest.raises(ConfigurationError, match="No channel is that of a customer, caller or patient"):
        score(str(call_archive), model, scores, ScoreConfig(channels=(("agent", "unknown"),)))
    agents = ScoreConfig(channels=(("agent", "customer"),), score_agents=True)
    with pytest.raises(ConfigurationError, match=r"AI Act.*--reason"):
        score(str(call_archive), model, scores, agents, reason="  ")
    assert not pathlib.Path(scores).exists()
    stage = _score(str(call_archive), model, scores, agents, reason="safety of crews")
    assert stage.receipt.details["unscored"] == {}
    assert stage.receipt.details["reason"] == "safety of crews"
    assert {row["role"] for row in _tables(stage.place)["segments"]} == {"agent", "customer"}


def test_too_many_rejects_are_a_warning(model: str, call_archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stage = _score(_archive(storage.normalise(tmp_path), call_archive), model, str(tmp_path / "scores"))
    assert "1 of 4 calls were rejected (25.0%, limit 5.0%)" in stage.receipt.details["warnings"]["rejects"]
    written = json.loads(storage.read_bytes(storage.join(stage.place, "nights/00000.json")))
    assert written["details"]["warnings"] == stage.receipt.details["warnings"]


def test_nothing_to_score_is_said(model: str, place: str) -> None:
    storage.write_bytes(storage.join(place, "calls", "readme.txt"), b"no recording")
    with pytest.raises(StorageError, match=r"No recording in .*calls: 1 files"):
        score(storage.join(place, "calls"), model, storage.join(place, "scores"), CUSTOMERS)
    with pytest.raises(StorageError, match="nowhere.* does not exist"):
        score(storage.join(place, "nowhere"), model, storage.join(place, "scores"), CUSTOMERS)
    assert storage.names(storage.join(place, "scores")) == set(), "nothing was written"


def test_no_model_is_said(place: str, call_archive: pathlib.Path) -> None:
    with pytest.raises(StorageError, match=r"model.json.* does not exist"):
        score(str(call_archive), storage.join(place, "nowhere"), storage.join(place, "scores"), CUSTOMERS)


def test_a_place_of_something_else_is_left_alone(model: str, call_archive: pathlib.Path, lake: str) -> None:
    with pytest.raises(ConfigurationError, match="choose a folder of its own|was written by another"):
        score(str(call_archive), model, model, CUSTOMERS)
