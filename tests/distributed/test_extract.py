import json
import os
import pathlib
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from raysee import lake as places
from raysee import receipts, schema, storage
from raysee.corpora.manifest import manifest
from raysee.distributed import shards
from raysee.distributed.extract import extract
from raysee.distributed.shards import Shard, ShardResult, run_shards
from raysee.errors import BusyError, ConfigurationError, RayseeError, UnreachableError
from raysee.features import front_end, plan
from raysee.features.table import arrays, featurise
from raysee.lock import Lock

LOGMEL40 = front_end("logmel40")


def test_features_equal_those_of_the_pure_function(lake: str) -> None:
    utterances = storage.read_table(storage.join(places.utterances(lake, "emodb"), "clips"), schema.UTTERANCES)
    ((expected, rejects),) = featurise(utterances, [LOGMEL40], storage.read_each)
    found = storage.read_table(
        storage.join(places.features(lake, "emodb", "logmel40", LOGMEL40), "clips"), schema.FEATURES
    )
    assert found.equals(expected)
    assert (found.num_rows, rejects.num_rows) == (210, 0)


def test_any_parquet_reader_can_read_them(lake: str, tmp_path: pathlib.Path) -> None:
    part = storage.join(places.features(lake, "emodb", "logmel40", LOGMEL40), "clips", "part-00000.parquet")
    (tmp_path / "part.parquet").write_bytes(storage.read_bytes(part))
    file = pq.ParquetFile(tmp_path / "part.parquet")
    row = file.read_row_group(0).slice(0, 1).to_pylist()[0]
    assert len(row["values"]) == row["shape"][0] * row["shape"][1]
    assert {key.decode() for key in file.schema_arrow.metadata} >= {"front_end", "front_end_fingerprint"}
    described = json.loads(file.schema_arrow.metadata[b"front_end"])
    assert described["num_bands"] == row["shape"][1] == 40


def test_a_second_start_finds_the_receipt_and_writes_nothing(lake: str) -> None:
    before = storage.list_files(lake)
    (again,) = extract(lake, "emodb", ["logmel40"])
    assert again.found
    assert again.receipt.counts == {"in": 210, "out": 210, "rejected": 0}
    assert again.receipt.details["synthetic"] is True
    assert storage.list_files(lake) == before


def test_a_second_start_at_the_same_time_says_so_and_leaves(lake: str) -> None:
    """Also where only one of several features is being made; no other is begun."""
    mfcc, summary = (places.features(lake, "emodb", name, front_end(name)) for name in ("mfcc", "summary180"))
    with Lock(summary), pytest.raises(BusyError, match=f"is working on {summary}"):
        extract(lake, "emodb", ["mfcc", "summary180"])
    assert storage.names(mfcc) == storage.names(summary) == set()


def test_every_kind_of_broken_file_is_one_reject(ray_session: None, emodb_tree: pathlib.Path, place: str) -> None:
    good = (emodb_tree / "wav" / "03a01Wa.wav").read_bytes()
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    broken: dict[str, tuple[bytes, str]] = {
        "03a01Fa": (good[: len(good) // 2], "TruncatedAudio"),
        "03a01Ta": (b"not sound at all, but long enough for a header" * 4, "NotAudio"),
        "03a01Na": (_wav(np.zeros(0, np.float32)), "NoSamples"),
        "03a01Aa": (_wav(noise[:160]), "TooShort"),
        "03a01La": (_wav(np.where(noise > 0.3, np.nan, noise)), "NotFinite"),
    }
    audio, root = storage.join(place, "audio"), storage.join(place, "lake")
    storage.write_bytes(storage.join(audio, "wav", "03a01Wa.wav"), good)
    storage.write_bytes(storage.join(audio, "wav", "03a01Ea.wav"), b"")  # is a reject of the manifest
    for name, (data, _) in broken.items():
        storage.write_bytes(storage.join(audio, "wav", f"{name}.wav"), data)
    listed = manifest(root, "emodb", audio, allow_count_mismatch=True)
    assert listed.receipt.rejects == {"EmptyFile": 1}
    storage.remove(storage.join(audio, "wav", "03a02Fa.wav"))
    (stage,) = extract(root, "emodb", ["logmel40"])
    rejects = storage.read_table(storage.join(stage.place, "rejects"), schema.REJECTS).to_pylist()
    assert {row["id"]: row["error"] for row in rejects} == {name: error for name, (_, error) in broken.items()}
    assert all(row["stage"] == "extract" and row["uri"].endswith(f"{row['id']}.wav") for row in rejects)
    assert stage.receipt.counts == {"in": 6, "out": 1, "rejected": 5}
    assert stage.receipt.rejects == {error: 1 for _, error in broken.values()}


def test_a_file_that_vanished_is_a_reject(ray_session: None, emodb_tree: pathlib.Path, place: str) -> None:
    audio, root = storage.join(place, "audio"), storage.join(place, "lake")
    for name in ("03a01Wa.wav", "08a01Wa.wav"):
        storage.write_bytes(storage.join(audio, "wav", name), (emodb_tree / "wav" / name).read_bytes())
    manifest(root, "emodb", audio, allow_count_mismatch=True)
    storage.remove(storage.join(audio, "wav", "03a01Wa.wav"))
    (stage,) = extract(root, "emodb", ["logmel40"])
    assert stage.receipt.counts == {"in": 2, "out": 1, "rejected": 1}


def test_what_was_cut_short_is_done_again(ray_session: None, emodb_tree: pathlib.Path, place: str) -> None:
    audio, root = storage.normalise(emodb_tree), storage.join(place, "lake")
    manifest(root, "emodb", audio, allow_count_mismatch=True)
    (stage,) = extract(root, "emodb", ["logmel40"])
    whole = storage.read_table(storage.join(stage.place, "clips"), schema.FEATURES)
    # As if it had been killed after writing half of the data and before the shard's receipt.
    storage.write_bytes(storage.join(stage.place, "clips", "part-00000.parquet"), b"half")
    for name in (receipts.NAME, "done/part-00000.json"):
        storage.remove(storage.join(stage.place, name))
    (again,) = extract(root, "emodb", ["logmel40"])
    assert not again.found
    assert storage.read_table(storage.join(again.place, "clips"), schema.FEATURES).equals(whole)
    assert again.receipt.fingerprint == stage.receipt.fingerprint


def test_only_new_and_changed_clips_are_computed(
    ray_session: None, emodb_tree: pathlib.Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_CLIPS_PER_SHARD", (3, 3))
    audio, root = storage.join(place, "audio"), storage.join(place, "lake")
    sounds = {path.stem: path.read_bytes() for path in sorted((emodb_tree / "wav").glob("*.wav"))[:8]}
    (gone, changed, *kept), new = list(sounds)[:7], list(sounds)[7]
    for name in (gone, changed, *kept):
        storage.write_bytes(storage.join(audio, f"{name}.wav"), sounds[name])
    manifest(root, "emodb", audio, allow_count_mismatch=True)
    (first,) = extract(root, "emodb", ["logmel40"])
    written = _shard_receipts(first.place)
    assert len(written) == 3

    storage.remove(storage.join(audio, f"{gone}.wav"))
    storage.write_bytes(storage.join(audio, f"{changed}.wav"), sounds[new])
    storage.write_bytes(storage.join(audio, f"{new}.wav"), sounds[gone])
    assert not manifest(root, "emodb", audio, allow_count_mismatch=True).found
    (second,) = extract(root, "emodb", ["logmel40"])
    assert second.place == first.place
    assert second.receipt.counts == {"in": 7, "out": 7, "rejected": 0}
    rewritten = _shard_receipts(second.place)
    assert [rewritten[name] == written[name] for name in sorted(written)] == [False, True, True]
    assert len(rewritten) == 4, "the new clip is in a shard of its own"

    (fresh,) = extract(_again(root, place, audio), "emodb", ["logmel40"])
    assert second.receipt.fingerprint == fresh.receipt.fingerprint != first.receipt.fingerprint
    assert _features(second.place) == _features(fresh.place)
    assert extract(root, "emodb", ["logmel40"])[0].found


def test_shards_that_are_no_longer_listed_are_taken_out(
    ray_session: None, emodb_tree: pathlib.Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_CLIPS_PER_SHARD", (3, 3))
    audio, root = storage.join(place, "audio"), storage.join(place, "lake")
    sounds = sorted((emodb_tree / "wav").glob("*.wav"))[:6]
    for path in sounds:
        storage.write_bytes(storage.join(audio, path.name), path.read_bytes())
    manifest(root, "emodb", audio, allow_count_mismatch=True)
    extract(root, "emodb", ["logmel40"])
    for path in sounds[:3]:
        storage.remove(storage.join(audio, path.name))
    manifest(root, "emodb", audio, allow_count_mismatch=True)
    (stage,) = extract(root, "emodb", ["logmel40"])
    assert sorted(_features(stage.place)) == [path.stem for path in sounds[3:]]


def test_front_ends_of_one_pass_are_those_of_a_pass_each(
    ray_session: None, emodb_tree: pathlib.Path, place: str
) -> None:
    audio, root = storage.join(place, "audio"), storage.join(place, "lake")
    for path in sorted((emodb_tree / "wav").glob("*.wav"))[:5]:
        storage.write_bytes(storage.join(audio, path.name), path.read_bytes())
    manifest(root, "emodb", audio, allow_count_mismatch=True)
    (alone,) = extract(root, "emodb", ["logmel240"])
    both = extract(root, "emodb", ["logmel40", "logmel240"])
    assert [stage.found for stage in both] == [False, True]
    together = extract(_again(root, place, audio), "emodb", ["logmel40", "logmel240"])
    assert [stage.receipt.fingerprint for stage in together] == [stage.receipt.fingerprint for stage in both]
    assert [_features(stage.place) for stage in together] == [_features(stage.place) for stage in both]
    assert alone.place == both[1].place


def _again(root: str, place: str, audio: str) -> str:
    """Another lake with a manifest of the same audio."""
    another = storage.join(place, "another")
    manifest(another, "emodb", audio, allow_count_mismatch=True)
    return another


def _features(where: str) -> dict[str, tuple[str, bytes]]:
    table = storage.read_table(storage.join(where, "clips"), schema.FEATURES)
    contents = zip(table["content_sha256"].to_pylist(), arrays(table), strict=True)
    found = {
        clip_id: (sha256, array.tobytes())
        for clip_id, (sha256, array) in zip(table["clip_id"].to_pylist(), contents, strict=True)
    }
    assert len(found) == table.num_rows, "no clip twice"
    return found


def _shard_receipts(where: str) -> dict[str, bytes]:
    done = storage.join(where, "done")
    return {name: storage.read_bytes(storage.join(done, name)) for name in storage.names(done)}


def test_a_killed_worker_costs_nothing(ray_session: None, tmp_path: pathlib.Path) -> None:
    rows = pa.table({"id": ["a", "b", "c", "d"], "shard": pa.array([0, 0, 1, 1], pa.int32())})
    marker = tmp_path / "killed"

    def work(shard: Shard) -> list[ShardResult]:
        if shard.rows["id"].to_pylist() == ["c", "d"] and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        rejects = [dict.fromkeys(schema.REJECTS.names, one) for one in shard.rows["id"].to_pylist()]
        table = pa.Table.from_pylist(rejects, schema=schema.REJECTS)
        return [ShardResult({"rejects": (table, schema.REJECTS)}, num_out=0, audio_s=1.0, fingerprint="0")]

    place = storage.normalise(tmp_path / "out")
    total = run_shards({place: "a test"}, rows, work)[place]
    assert marker.exists()
    assert total["in"] == 4
    assert storage.read_table(storage.join(place, "rejects"), schema.REJECTS)["id"].to_pylist() == ["a", "b", "c", "d"]


def test_work_that_kills_its_worker_is_given_up(
    ray_session: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(shard: Shard) -> list[ShardResult]:
        (tmp_path / f"begun-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(shards, "_RETRIES", 1)
    with pytest.raises(RayseeError, match="Ray gave up .*start the same command again"):
        run_shards({storage.normalise(tmp_path): "a test"}, pa.table({"shard": pa.array([0], pa.int32())}), work)
    assert len(list(tmp_path.glob("begun-*"))) == 2


def test_a_store_that_does_not_answer_stops_the_work(ray_session: None, tmp_path: pathlib.Path) -> None:
    def work(shard: Shard) -> list[ShardResult]:
        raise UnreachableError("nobody there")

    place = storage.normalise(tmp_path / "out")
    with pytest.raises(RayseeError, match="^nobody there$"):
        run_shards({place: "a test"}, pa.table({"shard": pa.array([0], pa.int32())}), work)
    assert storage.names(storage.join(place, "done")) == set(), "it is done when it answers again"


@pytest.mark.parametrize(
    ("corpus", "features", "message"),
    [
        ("emodb", "logmel41", "Unknown front-end 'logmel41'; choose one of: array180, .*logmel240, logmel40, mfcc"),
        ("emo-db", "logmel40", "Unknown corpus 'emo-db'; choose one of: cafe, .*ravdess"),
        ("ravdess", "logmel40", "has no manifest of ravdess: run `raysee manifest ravdess"),
    ],
)
def test_unknown_names_and_missing_stages(lake: str, corpus: str, features: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        extract(lake, corpus, [features])


def _wav(samples: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV", subtype="FLOAT")
    return buffer.getvalue()
