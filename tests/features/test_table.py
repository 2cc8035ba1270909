import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from raysee import schema
from raysee.errors import MissingError
from raysee.features import FEATURES, table
from raysee.features.table import arrays, featurise

Samples = npt.NDArray[np.float32]
FRONT_END = FEATURES["logmel40"]


def noise(num_samples: int, channels: int = 1) -> Samples:
    return (0.1 * np.random.default_rng(num_samples).standard_normal((num_samples, channels))).astype(np.float32)


def wav(samples: Samples, rate_hz: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def utterances(*clips: dict[str, Any]) -> pa.Table:
    common = dict.fromkeys(schema.UTTERANCES.names, "x") | {
        "start_s": None,
        "end_s": None,
        "size_bytes": 1,
        "etag": "x",
    }
    rows = [{**common, "uri": f"file:///{clip['clip_id']}.wav", **clip} for clip in clips]
    return pa.Table.from_pylist(rows, schema=schema.UTTERANCES)


def reader(files: Mapping[str, bytes | MissingError]) -> Callable[[Sequence[str]], Iterator[bytes | MissingError]]:
    return lambda uris: (files[uri] for uri in uris)


def test_a_row_describes_the_file_and_holds_its_features() -> None:
    data = wav(noise(48_000), 48_000)
    ((features, rejects),) = featurise(utterances({"clip_id": "a"}), [FRONT_END], reader({"file:///a.wav": data}))
    assert features.schema.equals(schema.FEATURES)
    assert rejects.schema.equals(schema.REJECTS)
    assert rejects.num_rows == 0
    (row,) = features.to_pylist()
    assert row["clip_id"] == "a"
    assert row["content_sha256"] == hashlib.sha256(data).hexdigest()
    assert (row["duration_s"], row["sample_rate_hz"]) == (1.0, 48_000)
    assert row["level_dbfs"] == pytest.approx(-20 - 10 * np.log10(3), abs=0.3), "a third of the noise is below 8 kHz"
    assert row["shape"] == [98, 40]
    assert len(row["values"]) == 98 * 40


def test_stereo_is_mixed_before_it_is_resampled() -> None:
    samples = noise(16_000, channels=2)
    ((features, _),) = featurise(utterances({"clip_id": "a"}), [FRONT_END], reader({"file:///a.wav": wav(samples)}))
    (found,) = arrays(features)
    np.testing.assert_allclose(found, FRONT_END(samples.mean(axis=1)), rtol=0, atol=1e-4)


def test_every_utterance_is_a_row_or_a_reject_in_order() -> None:
    files: dict[str, bytes | MissingError] = {
        "file:///e.wav": wav(noise(1_600)),
        "file:///d.wav": b"",
        "file:///c.wav": MissingError("gone"),
        "file:///b.wav": wav(noise(800)),
        "file:///a.wav": wav(noise(399)),
        "file:///f.wav": b"no sound",
        "file:///g.wav": wav(noise(4_000))[:-100],
    }
    clips = utterances(*({"clip_id": name} for name in "edcbafg"))
    ((features, rejects),) = featurise(clips, [FRONT_END], reader(files))
    assert features["clip_id"].to_pylist() == ["e", "b"]
    assert [len(array) for array in arrays(features)] == [8, 3]
    assert [(row["id"], row["error"]) for row in rejects.to_pylist()] == [
        ("d", "EmptyFile"),
        ("c", "MissingError"),
        ("a", "TooShort"),
        ("f", "NotAudio"),
        ("g", "TruncatedAudio"),
    ]
    assert set(rejects["stage"].to_pylist()) == {"extract"}
    gone = rejects.to_pylist()[1]
    assert (gone["uri"], gone["message"]) == ("file:///c.wav", "gone")


@pytest.mark.parametrize(
    ("start_s", "end_s", "first", "last"),
    [
        (None, None, 0, 16_000),
        (0.25, None, 4_000, 16_000),
        (None, 0.5, 0, 8_000),
        (0.1, 0.2, 1_600, 3_200),
        (0.5, 1.0, 8_000, 16_000),  # to the very end
        (0.10004, 0.3333, 1_601, 5_333),  # to the nearest sample: 1600.64 and 5332.8
    ],
)
def test_a_span_is_cut_out(start_s: float | None, end_s: float | None, first: int, last: int) -> None:
    samples = noise(16_000)
    clips = utterances({"clip_id": "a", "start_s": start_s, "end_s": end_s})
    ((features, _),) = featurise(clips, [FRONT_END], reader({"file:///a.wav": wav(samples)}))
    assert features["duration_s"].to_pylist() == [(last - first) / 16_000]
    np.testing.assert_array_equal(arrays(features)[0], FRONT_END(samples[first:last, 0]))


@pytest.mark.parametrize(
    ("start_s", "end_s", "error"),
    [
        (0.5, 1.01, "AudioError"),  # beyond the end
        (0.5, 0.5, "AudioError"),
        (0.6, 0.5, "AudioError"),
        (2.0, None, "AudioError"),
        (-0.5, 0.5, "AudioError"),
    ],
)
def test_a_span_that_is_not_there_is_rejected(start_s: float, end_s: float | None, error: str) -> None:
    clips = utterances({"clip_id": "a", "start_s": start_s, "end_s": end_s})
    ((features, rejects),) = featurise(clips, [FRONT_END], reader({"file:///a.wav": wav(noise(16_000))}))
    assert features.num_rows == 0
    assert rejects["error"].to_pylist() == [error]


def test_features_that_are_not_finite_are_rejected() -> None:
    """One such clip would make the statistics of the whole corpus NaN."""
    data = wav(np.full((16_000, 1), 1e25, np.float32))
    with np.errstate(over="ignore"):
        ((features, rejects),) = featurise(utterances({"clip_id": "a"}), [FRONT_END], reader({"file:///a.wav": data}))
    assert (features.num_rows, rejects.num_rows) == (0, 1)


@pytest.mark.parametrize("clips", [[], [{"clip_id": "a"}]])
def test_no_features_are_a_table_too(clips: list[dict[str, Any]]) -> None:
    ((features, rejects),) = featurise(utterances(*clips), [FRONT_END], reader({"file:///a.wav": b""}))
    assert features.schema.equals(schema.FEATURES)
    assert (features.num_rows, rejects.num_rows) == (0, len(clips))
    assert arrays(features) == []


class Spy:
    """A front-end that counts its calls."""

    sample_rate_hz, num_columns, typical_values = 16_000, 1, 1

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        self.calls += 1
        return np.full((1, 1), len(samples), np.float32)

    def fingerprint(self) -> str:
        return "spy"

    def model_dump(self) -> dict[str, object]:
        return {}


def test_what_is_there_of_the_same_bytes_is_taken_over() -> None:
    files: dict[str, bytes | MissingError] = {f"file:///{name}.wav": wav(noise(size)) for name, size in SIZES.items()}
    whole = utterances(*({"clip_id": name} for name in SIZES))
    ((earlier, _),) = featurise(whole, [Spy()], reader(files))
    again = Spy()
    ((features, _),) = featurise(whole, [again], reader(files), [earlier])
    assert (again.calls, features) == (0, earlier)

    files["file:///b.wav"] = wav(noise(5_000))
    ((features, _),) = featurise(whole, [again], reader(files), [earlier])
    assert again.calls == 1, "other bytes"
    assert [array.item() for array in arrays(features)] == [1_000, 5_000, 3_000]

    cut = utterances({"clip_id": "a", "start_s": 0.0, "end_s": 0.01})
    ((features, _),) = featurise(cut, [again], reader(files), [earlier])
    assert again.calls == 2, "another part of the same bytes"
    assert arrays(features)[0].item() == 160

    files["file:///c.wav"] = MissingError("gone")
    ((features, rejects),) = featurise(whole, [Spy()], reader(files), [earlier])
    assert features["clip_id"].to_pylist() == ["a", "b"]
    assert rejects["id"].to_pylist() == ["c"]


SIZES = {"a": 1_000, "b": 2_000, "c": 3_000}


def test_a_clip_is_decoded_and_resampled_once_for_all_front_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for name in ("decode", "resample"):
        work = getattr(table, name)
        monkeypatch.setattr(table, name, lambda *args, name=name, work=work: (called.append(name), work(*args))[1])
    files: dict[str, bytes | MissingError] = {"file:///a.wav": wav(noise(8_000), 8_000)}
    made = featurise(utterances({"clip_id": "a"}), [Spy(), FRONT_END, Spy()], reader(files))
    assert called == ["decode", "resample"]
    assert [len(features) for features, _ in made] == [1, 1, 1]
    assert arrays(made[0][0])[0].item() == 16_000


def test_the_clips_of_one_file_are_read_and_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(table, "decode", lambda data, decode=table.decode: (called.append("decode"), decode(data))[1])

    def read_each(uris: Sequence[str]) -> Iterator[bytes]:
        called.extend(uris)
        return (wav(noise(16_000)) for _ in uris)

    parts = [{"clip_id": str(n), "uri": "file:///long.wav", "start_s": n / 10, "end_s": (n + 2) / 10} for n in range(5)]
    ((features, _),) = featurise(utterances(*parts), [Spy()], read_each)
    assert called == ["file:///long.wav", "decode"]
    assert [array.item() for array in arrays(features)] == [3_200] * 5


def test_a_front_end_rejects_for_itself() -> None:
    files: dict[str, bytes | MissingError] = {"file:///a.wav": wav(noise(100))}
    (spied, _), (features, rejects) = featurise(utterances({"clip_id": "a"}), [Spy(), FRONT_END], reader(files))
    assert (spied.num_rows, features.num_rows, rejects["error"].to_pylist()) == (1, 0, ["TooShort"])


def test_a_reader_that_skips_a_file_is_found_out() -> None:
    with pytest.raises(ValueError, match="shorter"):
        featurise(utterances({"clip_id": "a"}), [FRONT_END], lambda uris: iter(()))


def test_arrays_survive_parquet_concatenation_and_slices() -> None:
    files: dict[str, bytes | MissingError] = {
        f"file:///{number}.wav": wav(noise(400 + 160 * number)) for number in range(5)
    }
    clips = utterances(*({"clip_id": str(number)} for number in range(5)))
    ((features, _),) = featurise(clips, [FRONT_END], reader(files))
    buffer = io.BytesIO()
    pq.write_table(schema.check(features, schema.FEATURES), buffer)
    again = schema.check(pq.read_table(buffer), schema.FEATURES)
    expected = [FRONT_END(noise(400 + 160 * number)[:, 0]) for number in range(5)]
    tables = {
        "Parquet": (again, expected),
        "several chunks": (pa.concat_tables([again.slice(3), again.slice(0, 3)]), expected[3:] + expected[:3]),
        "a slice": (features.slice(1, 2), expected[1:3]),
        "a choice": (features.take([4, 0]), [expected[4], expected[0]]),
    }
    for name, (taken, wanted) in tables.items():
        found = arrays(taken)
        assert [array.shape for array in found] == [array.shape for array in wanted], name
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True)), name
