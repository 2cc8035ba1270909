import gzip
import importlib
import json
import pathlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from raysee import schema, storage
from raysee.corpora import exchange
from raysee.corpora.exchange import from_audformat, from_lhotse, to_audformat, to_lhotse
from raysee.errors import ConfigurationError, CorpusError, StorageError

RATE = 8000


def sound(path: pathlib.Path, seconds: float = 2.0, channels: int = 1) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((round(seconds * RATE), channels), np.float32), RATE, "PCM_16")
    return path


def clip(clip_id: str, path: pathlib.Path, **other: object) -> dict[str, object]:
    """A row of schema.UTTERANCES, with the size and the tag that a listing gives."""
    listed = storage.list_files(str(path))[0] if path.exists() else None
    return {
        "clip_id": clip_id,
        "corpus": "mine",
        "uri": storage.normalise(path),
        "size_bytes": listed.size_bytes if listed else 7,
        "etag": listed.etag if listed else "tag",
        "speaker": "03",
        "group": "03",
        "language": "und",
        "label": "anger",
        "emotion": "anger",
        **other,
    }


def utterances(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["clip_id"])), schema=schema.UTTERANCES)


def a_corpus(folder: pathlib.Path) -> pa.Table:
    """Every column with and without a value, whole files and parts of one, one or two channels, odd names."""
    said = {
        "gender": "female",
        "session": "1",
        "sentence": "a02",
        "intensity": "strong",
        "repetition": "2",
        "language": "fr-CA",
    }
    whole = sound(folder / "wav" / "a b,c.wav", channels=2)
    parts = sound(folder / "parts.flac", 3.3)
    return utterances(
        clip("0301", whole, speaker="0301", group="G", label="joie", emotion="happiness", **said),
        clip("part-1", parts, end_s=0.3, label="boredom", emotion="other", gender="male"),
        clip("part-2", parts, start_s=0.3, end_s=1.1234567, sentence="NA"),
        clip("part-3", parts, start_s=1.1234567, label="unknown", emotion="unknown"),
    )


@pytest.fixture(params=["audformat", "lhotse"])
def formats(request: pytest.FixtureRequest) -> tuple[Callable[..., Any], Callable[..., Any]]:
    pytest.importorskip(request.param)
    return {"audformat": (to_audformat, from_audformat), "lhotse": (to_lhotse, from_lhotse)}[request.param]


@pytest.mark.parametrize("inside", [True, False])
def test_every_column_comes_back(tmp_path: pathlib.Path, formats: Any, inside: bool) -> None:
    write, read = formats
    folder = tmp_path / "a b"
    table = a_corpus(folder if inside else tmp_path / "elsewhere")
    write(table, str(folder))
    found, rejects = read(str(folder), "mine")
    assert rejects.num_rows == 0
    assert found.to_pylist() == table.to_pylist()
    assert found.schema.equals(schema.UTTERANCES)


def test_objects_keep_their_places(bucket: str, tmp_path: pathlib.Path, formats: Any) -> None:
    write, read = formats
    uri = storage.join(bucket, "wav", "a b.wav")
    storage.write_bytes(uri, sound(tmp_path / "a.wav").read_bytes())
    table = utterances(clip("01", tmp_path / "none.wav", uri=uri))
    write(table, str(tmp_path / "out"))
    found, _ = read(str(tmp_path / "out"), "mine")
    assert found.to_pylist() == table.to_pylist()


def test_a_name_is_the_callers(tmp_path: pathlib.Path, formats: Any) -> None:
    write, read = formats
    write(a_corpus(tmp_path), str(tmp_path))
    assert set(read(str(tmp_path), "yours")[0]["corpus"].to_pylist()) == {"yours"}
    with pytest.raises(ConfigurationError, match="'emodb' cannot name a corpus of your own"):
        read(str(tmp_path), "emodb")


def test_nothing_is_written_over(tmp_path: pathlib.Path, formats: Any) -> None:
    write, _ = formats
    table = a_corpus(tmp_path)
    write(table, str(tmp_path))
    with pytest.raises(StorageError, match="already: choose another folder"):
        write(table, str(tmp_path))


@pytest.mark.parametrize("text", [None, b"", b"neither YAML: [nor JSON"])
def test_a_folder_of_something_else_is_one_sentence(tmp_path: pathlib.Path, formats: Any, text: bytes | None) -> None:
    if text is not None:
        (tmp_path / exchange.HEADER).write_bytes(text)
        for name in (exchange.RECORDINGS, exchange.SUPERVISIONS):
            (tmp_path / name).write_bytes(gzip.compress(text) if text else text)
    with pytest.raises(CorpusError, match="(?s)that can be read"):
        formats[1](str(tmp_path), "mine")


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("audformat", lambda folder: to_audformat(utterances(), folder)),
        ("audformat", lambda folder: from_audformat(folder, "mine")),
        ("lhotse", lambda folder: to_lhotse(utterances(), folder)),
        ("lhotse", lambda folder: from_lhotse(folder, "mine")),
    ],
)
def test_without_the_package_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, package: str, call: Callable[[str], Any]
) -> None:
    def absent(name: str) -> types.ModuleType:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ConfigurationError, match=rf"{package} is not installed.*pip install 'raysee\[{package}\]'"):
        call(str(tmp_path))


def test_the_audformat_database_is_what_its_own_reader_expects(tmp_path: pathlib.Path) -> None:
    audformat = pytest.importorskip("audformat")
    rows = [
        clip("01", tmp_path / "wav/a.wav", corpus="ravdess", gender="male"),
        clip("02", tmp_path / "wav/b.wav", corpus="ravdess", start_s=0.5, end_s=2.25, label="calm", emotion="other"),
    ]
    to_audformat(utterances(*rows), str(tmp_path))
    database = audformat.Database.load(str(tmp_path))
    assert (database.name, database.usage, database.license) == ("ravdess", "other", "ravdess: CC BY-NC-SA 4.0")
    assert database.is_portable
    index = [(file, start.total_seconds(), end) for file, start, end in database["clips"].index]
    assert [(file, start) for file, start, _ in index] == [("wav/a.wav", 0.0), ("wav/b.wav", 0.5)]
    assert index[0][2] != index[0][2]  # to the file's end
    assert index[1][2].total_seconds() == 2.25
    assert database["clips"]["emotion"].get().tolist() == ["anger", "other"]
    assert database.schemes["gender"].labels == ["female", "male"]


def test_an_audformat_table_holds_a_stretch_once(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("audformat")
    with pytest.raises(CorpusError, match="1 clips are the same stretch"):
        to_audformat(utterances(clip("01", tmp_path / "a.wav"), clip("02", tmp_path / "a.wav")), str(tmp_path))


def a_database(folder: pathlib.Path, emotions: list[str | None], speakers: list[int | None]) -> Any:
    """As audEERING publishes corpora: a table of emotions, one of files, speakers described by their scheme."""
    audformat = pytest.importorskip("audformat")
    database = audformat.Database("theirs")
    database.schemes["emotion"] = audformat.Scheme(labels=["anger", "boredom", "joy"])
    described = {3: {"gender": "male", "age": 31}, 8: {"gender": "female", "language": "deu"}, 9: {"gender": "other"}}
    database.schemes["speaker"] = audformat.Scheme(labels=described)
    files = audformat.filewise_index([f"wav/{number}.wav" for number in range(len(emotions))])
    for table, values in (("emotion", emotions), ("speaker", speakers)):
        database[f"{table}.table"] = audformat.Table(files)
        database[f"{table}.table"][table] = audformat.Column(scheme_id=table)
        database[f"{table}.table"][table].set(values)
    database.save(str(folder))
    return database


def test_an_audformat_database_of_others_is_gathered_from_its_tables(tmp_path: pathlib.Path) -> None:
    path = sound(tmp_path / "wav" / "0.wav")
    a_database(tmp_path, ["anger", "joy", "boredom", None, "anger"], [3, 8, 9, 3, None])
    found, rejects = from_audformat(str(tmp_path), "theirs")
    columns = ["clip_id", "speaker", "group", "gender", "language", "label", "emotion"]
    assert [tuple(row.values()) for row in found.select(columns).to_pylist()] == [
        ("wav/0", "3", "3", "male", "und", "anger", "anger"),
        ("wav/1", "8", "8", "female", "deu", "joy", "other"),
        ("wav/2", "9", "9", None, "und", "boredom", "other"),
    ]
    assert found["uri"].to_pylist()[0] == storage.normalise(path)
    assert found["size_bytes"].to_pylist() == [path.stat().st_size, 0, 0]
    assert [(row["id"], row["error"], row["message"][:10]) for row in rejects.to_pylist()] == [
        ("wav/3", "MissingValue", "no label: "),
        ("wav/4", "MissingValue", "no speaker"),
    ]


def test_speakers_may_be_described_in_a_table_of_their_own(tmp_path: pathlib.Path) -> None:
    audformat = pytest.importorskip("audformat")
    pandas = pytest.importorskip("pandas")
    database = a_database(tmp_path, ["anger", "joy"], [3, 8])
    database["who"] = audformat.MiscTable(pandas.Index([3, 8], name="speaker", dtype="Int64"))
    database.schemes["gender"] = audformat.Scheme(labels=["female", "male"])
    database["who"]["gender"] = audformat.Column(scheme_id="gender")
    database["who"]["gender"].set(["male", None])
    database.schemes["speaker"].replace_labels("who")
    database.save(str(tmp_path))
    found, _ = from_audformat(str(tmp_path), "theirs")
    assert list(zip(found["speaker"].to_pylist(), found["gender"].to_pylist(), strict=True)) == [
        ("3", "male"),
        ("8", None),
    ]


def test_a_database_without_emotions_or_with_two_of_a_clip_is_one_sentence(tmp_path: pathlib.Path) -> None:
    audformat = pytest.importorskip("audformat")
    audformat.Database("empty").save(str(tmp_path / "empty"))
    with pytest.raises(CorpusError, match="has no scheme emotion"):
        from_audformat(str(tmp_path / "empty"), "theirs")
    database = a_database(tmp_path, ["anger", "joy"], [3, 8])
    database["emotion.table"]["rater 2"] = audformat.Column(scheme_id="emotion")
    database["emotion.table"]["rater 2"].set(["anger", "boredom"])
    database.save(str(tmp_path))
    with pytest.raises(CorpusError, match="(?s)that can be read: Found overlapping data.*joy"):
        from_audformat(str(tmp_path), "theirs")


def test_nothing_is_unpickled(tmp_path: pathlib.Path) -> None:
    database = a_database(tmp_path, ["anger"], [3])
    database.save(str(tmp_path), storage_format="pkl")
    with pytest.raises(CorpusError, match=r"db\.emotion\.table\.pkl: a pickle can run any code"):
        from_audformat(str(tmp_path), "theirs")


def test_segments_of_others_have_their_times_in_their_names(tmp_path: pathlib.Path) -> None:
    audformat = pytest.importorskip("audformat")
    database = a_database(tmp_path, ["anger"], [3])
    database["segments"] = audformat.Table(audformat.segmented_index(["x.wav"] * 3, [0, 1.5, 3], [1.5, 3, None]))
    for scheme, values in (("emotion", ["joy", "anger", "anger"]), ("speaker", [8, 8, 8])):
        database["segments"][scheme] = audformat.Column(scheme_id=scheme)
        database["segments"][scheme].set(values)
    database.save(str(tmp_path))
    found, _ = from_audformat(str(tmp_path), "theirs")
    assert [tuple(row.values()) for row in found.select(["clip_id", "start_s", "end_s"]).to_pylist()] == [
        ("wav/0", None, None),
        ("x-0-1.5", None, 1.5),
        ("x-1.5-3", 1.5, 3.0),
        ("x-3-end", 3.0, None),
    ]


def test_the_lhotse_manifests_are_what_its_own_reader_expects(tmp_path: pathlib.Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    assert to_lhotse(a_corpus(tmp_path), str(tmp_path)).num_rows == 0
    recordings = lhotse.RecordingSet.from_file(tmp_path / exchange.RECORDINGS)
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / exchange.SUPERVISIONS)
    lhotse.validate(recordings)
    cuts = lhotse.CutSet.from_manifests(recordings, supervisions).trim_to_supervisions()
    found = {cut.supervisions[0].id: cut for cut in cuts}
    assert len(recordings) == 2
    assert found["0301"].load_audio().shape == (2, 2 * RATE)
    assert found["part-1"].load_audio().shape == (1, 2400)
    assert found["part-3"].duration == pytest.approx(3.3 - 1.1234567, abs=1 / RATE)
    assert (found["0301"].supervisions[0].emotion, found["0301"].supervisions[0].speaker) == ("happiness", "0301")


def test_clips_whose_sound_cannot_be_read_are_rejects(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("lhotse")
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    good = sound(tmp_path / "good.wav")
    rejects = to_lhotse(
        utterances(
            clip("bad", tmp_path / "bad.wav"),
            clip("good", good),
            clip("late", good, start_s=1.5, end_s=2.0001),
            clip("past", good, start_s=2.0),
            clip("rounded", good, start_s=1.0, end_s=2.00004),  # less than half a sample
            clip("gone", tmp_path / "gone.wav"),
        ),
        str(tmp_path),
    )
    assert {(row["id"], row["stage"], row["error"]) for row in rejects.to_pylist()} == {
        ("bad", "export", "NotAudio"),
        ("gone", "export", "MissingError"),
        ("late", "export", "AudioError"),
        ("past", "export", "AudioError"),
    }
    found, _ = from_lhotse(str(tmp_path), "mine")
    assert [tuple(row.values()) for row in found.select(["clip_id", "start_s", "end_s"]).to_pylist()] == [
        ("good", None, None),
        ("rounded", 1.0, None),
    ]


def lines(path: pathlib.Path, *rows: dict[str, Any]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def recording(name: str, **other: Any) -> dict[str, Any]:
    sources = [{"type": "file", "channels": [0, 1], "source": f"wav/{name}.wav"}]
    found = {"id": name, "sources": sources, "sampling_rate": 8000, "num_samples": 16000, "duration": 2.0}
    return {**found, "channel_ids": [0, 1], **other}


def supervision(name: str, recording_id: str = "a", **other: Any) -> dict[str, Any]:
    found = {"id": name, "recording_id": recording_id, "start": 0.0, "duration": 2.0, "channel": [0, 1]}
    return {**found, "speaker": "x", "gender": "F", "language": "English", "custom": {"emotion": "joy"}, **other}


def test_lhotse_manifests_of_others_are_read(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("lhotse")
    piped = [{"type": "command", "channels": [0, 1], "source": "sox -"}]
    halves = [{"type": "file", "channels": [one], "source": f"{one}.wav"} for one in (0, 1)]
    lines(
        tmp_path / exchange.RECORDINGS,
        recording("a"),
        recording("piped", sources=piped),
        recording("halves", sources=halves),
    )
    lines(
        tmp_path / exchange.SUPERVISIONS,
        supervision("1"),
        supervision("2", start=0.1, duration=0.2, gender=None, language=None, custom={"label": "calm", "rate": 3}),
        supervision("left", channel=0),
        supervision("piped", "piped"),
        supervision("halves", "halves"),
        supervision("lost", "nowhere"),
        supervision("silent", custom=None),
    )
    found, rejects = from_lhotse(str(tmp_path), "theirs")
    columns = ["clip_id", "uri", "start_s", "end_s", "speaker", "gender", "language", "label", "emotion"]
    uri = storage.normalise(tmp_path / "wav/a.wav")
    assert [tuple(row.values()) for row in found.select(columns).to_pylist()] == [
        ("1", uri, None, None, "x", "female", "English", "joy", "other"),
        ("2", uri, 0.1, 0.3, "x", None, "und", "calm", "other"),
    ]
    assert {row["id"]: (row["error"], row["message"].split(":")[0]) for row in rejects.to_pylist()} == {
        "left": ("OtherSound", "it is of channels [0] of [0, 1]"),
        "piped": ("OtherSound", "recording 'piped' is not one plain file"),
        "halves": ("OtherSound", "recording 'halves' is not one plain file"),
        "lost": ("OtherSound", "there is no recording 'nowhere'"),
        "silent": ("MissingValue", "no label"),
    }
