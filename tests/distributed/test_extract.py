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
from raysee.distributed.extract import extract
from raysee.distributed.shards import ShardResult, run_shards
from raysee.errors import ConfigurationError, RayseeError, UnreachableError
from raysee.features import front_end
from raysee.features.table import arrays, featurise

LOGMEL40 = front_end("logmel40")


def test_features_equal_those_of_the_pure_function(lake: str) -> None:
    utterances = storage.read_table(storage.join(places.utterances(lake, "emodb"), "clips"), schema.UTTERANCES)
    expected, rejects = featurise(utterances, LOGMEL40, storage.read_each)
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
    again = extract(lake, "emodb", "logmel40")
    assert again.found
    assert again.receipt.counts == {"in": 210, "out": 210, "rejected": 0}
    assert again.receipt.details["synthetic"] is True
    assert storage.list_files(lake) == before


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
    stage = extract(root, "emodb", "logmel40")
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
    stage = extract(root, "emodb", "logmel40")
    assert stage.receipt.counts == {"in": 2, "out": 1, "rejected": 1}


def test_what_was_cut_short_is_done_again(ray_session: None, emodb_tree: pathlib.Path, place: str) -> None:
    audio, root = storage.normalise(emodb_tree), storage.join(place, "lake")
    manifest(root, "emodb", audio, allow_count_mismatch=True)
    stage = extract(root, "emodb", "logmel40")
    whole = storage.read_table(storage.join(stage.place, "clips"), schema.FEATURES)
    # As if it had been killed after writing half of the data and before the shard's receipt.
    storage.write_bytes(storage.join(stage.place, "clips", "part-00000.parquet"), b"half")
    for name in (receipts.NAME, "done/part-00000.json"):
        storage.remove(storage.join(stage.place, name))
    again = extract(root, "emodb", "logmel40")
    assert not again.found
    assert storage.read_table(storage.join(again.place, "clips"), schema.FEATURES).equals(whole)
    assert again.receipt.fingerprint == stage.receipt.fingerprint


def test_another_manifest_is_another_configuration(ray_session: None, emodb_tree: pathlib.Path, place: str) -> None:
    root = storage.join(place, "lake")
    manifest(root, "emodb", str(emodb_tree), allow_count_mismatch=True)
    extract(root, "emodb", "logmel40")
    fewer = storage.join(place, "fewer")
    storage.write_bytes(storage.join(fewer, "03a01Wa.wav"), (emodb_tree / "wav" / "03a01Wa.wav").read_bytes())
    with pytest.raises(ConfigurationError, match="different: source.*--overwrite"):
        manifest(root, "emodb", fewer, allow_count_mismatch=True)
    manifest(root, "emodb", fewer, allow_count_mismatch=True, overwrite=True)
    with pytest.raises(ConfigurationError, match="different: utterances.*--overwrite"):
        extract(root, "emodb", "logmel40")
    stage = extract(root, "emodb", "logmel40", overwrite=True)
    assert len(arrays(storage.read_table(storage.join(stage.place, "clips"), schema.FEATURES))) == 1


def test_a_killed_worker_costs_nothing(ray_session: None, tmp_path: pathlib.Path) -> None:
    plan = pa.table({"id": ["a", "b", "c", "d"], "shard": pa.array([0, 0, 1, 1], pa.int32())})
    marker = tmp_path / "killed"

    def work(rows: pa.Table) -> ShardResult:
        if rows["id"].to_pylist() == ["c", "d"] and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        rejects = [dict.fromkeys(schema.REJECTS.names, one) for one in rows["id"].to_pylist()]
        table = pa.Table.from_pylist(rejects, schema=schema.REJECTS)
        return ShardResult({"rejects": (table, schema.REJECTS)}, num_out=0, audio_s=1.0, fingerprint="")

    place = storage.normalise(tmp_path / "out")
    total = run_shards(place, plan, work, work="a test")
    assert marker.exists()
    assert total["in"] == 4
    assert storage.read_table(storage.join(place, "rejects"), schema.REJECTS)["id"].to_pylist() == ["a", "b", "c", "d"]


def test_a_store_that_does_not_answer_stops_the_work(ray_session: None, tmp_path: pathlib.Path) -> None:
    def work(rows: pa.Table) -> ShardResult:
        raise UnreachableError("nobody there")

    place = storage.normalise(tmp_path / "out")
    with pytest.raises(RayseeError, match="^nobody there$"):
        run_shards(place, pa.table({"shard": pa.array([0], pa.int32())}), work, work="a test")
    assert storage.names(storage.join(place, "done")) == set(), "it is done when it answers again"


@pytest.mark.parametrize(
    ("corpus", "features", "message"),
    [
        ("emodb", "logmel41", "Unknown front-end 'logmel41'; choose one of: logmel240, logmel40"),
        ("emo-db", "logmel40", "Unknown corpus 'emo-db'; choose one of: emodb, ravdess"),
        ("ravdess", "logmel40", "has no manifest of ravdess: run `raysee manifest ravdess"),
    ],
)
def test_unknown_names_and_missing_stages(lake: str, corpus: str, features: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        extract(lake, corpus, features)


def _wav(samples: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV", subtype="FLOAT")
    return buffer.getvalue()
