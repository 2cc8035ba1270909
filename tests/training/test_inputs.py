import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
import torch

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig, fingerprint
from raysee.emotions import canonical
from raysee.errors import ConfigurationError
from raysee.features import front_end
from raysee.models import MODELS
from raysee.receipts import Receipt
from raysee.training.fit import FoldResult, fit_fold
from raysee.training.inputs import find
from raysee.training.work import prepare

BANDS = 40
ACROSS = RunConfig(
    corpora=("a", "b", "c"),
    features="logmel40",
    model="aldeneh",
    size="debug",
    protocol="cross-corpus",
    scheme="iemocap4",
    test=("c",),
    deliver=False,
    training=TrainingConfig(epochs=2, learning_rate=1e-3),
)
#: By corpus: each of six speakers says each label once; clips and speakers have the same names everywhere.
CORPORA = {
    "a": ("anger", "sadness", "calm"),
    "b": ("anger", "sadness", "neutral"),
    "c": ("anger", "excited", "neutral", "fear"),
}


def write(root: str, corpora: Mapping[str, tuple[str, ...]], *, offset: Mapping[str, float] | None = None) -> str:
    """A lake with manifests and log-mels of corpora; `offset` is added to a corpus's features."""
    rng = np.random.default_rng(0)
    for corpus, labels in corpora.items():
        rows, features = [], []
        for speaker, label in itertools.product(range(6), labels):
            clip = {"clip_id": f"{speaker}{label}", "speaker": f"s{speaker}", "group": f"s{speaker}"}
            said = {"label": label, "emotion": canonical(label), "corpus": corpus, "uri": f"file:///{corpus}"}
            rows.append({**clip, **said, "size_bytes": 1, "etag": "", "language": "und", "sentence": "one"})
            values = rng.normal(len(label), 1, (12, BANDS)).astype(np.float32) + (offset or {}).get(corpus, 0.0)
            sound = {"content_sha256": "0", "duration_s": 0.1, "sample_rate_hz": 16_000}
            features.append({"clip_id": clip["clip_id"], **sound, "shape": values.shape, "values": values.ravel()})
        listed = _receipt("manifest", fingerprint(rows), {}, {"about": {"labels": sorted(labels)}, "synthetic": True})
        place = lake.utterances(root, corpus)
        table = pa.Table.from_pylist(rows, schema=schema.UTTERANCES)
        storage.write_table(storage.join(place, "clips", "part-00000.parquet"), table, schema.UTTERANCES)
        receipts.write(place, listed)
        place = lake.features(root, corpus, "logmel40", front_end("logmel40"))
        table = pa.Table.from_pylist(features, schema=schema.FEATURES)
        storage.write_table(storage.join(place, "clips", "part-00000.parquet"), table, schema.FEATURES)
        receipts.write(place, _receipt("extract", corpus, {"utterances": listed.fingerprint}, {"synthetic": True}))
    return root


def _receipt(stage: str, digits: str, inputs: dict[str, str], details: dict[str, object]) -> Receipt:
    counted = {"in": 1, "out": 1, "rejected": 0}
    return Receipt(
        stage=stage,
        fingerprint=digits,
        config={},
        inputs=inputs,
        counts=counted,
        rejects={},
        details=details,
        wall_s=0.0,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(storage.normalise(tmp_path_factory.mktemp("lake")), CORPORA)


def fitted(root: str, config: RunConfig) -> FoldResult:
    torch.set_num_threads(1)
    work, (fold, _) = prepare(find(root, config))
    return fit_fold(work.config, work.clips, work.labels, fold, 0)


def test_classes_are_those_that_every_model_hears_in_training(root: str) -> None:
    assert find(root, ACROSS).labels == ["anger", "sadness", "neutral"], "only the tested corpus has happiness"
    other = ACROSS.model_copy(update={"test": ("a",)})
    assert find(root, other).labels == ["anger", "happiness", "sadness", "neutral"]
    every = ACROSS.model_copy(update={"test": ()})
    assert find(root, every).labels == ["anger", "sadness", "neutral"]
    within = ACROSS.model_copy(update={"corpora": ("c",), "test": (), "protocol": "strict"})
    assert find(root, within).labels == ["anger", "happiness", "neutral"]


def test_what_is_measured_has_the_names_of_the_clips(root: str) -> None:
    inputs = find(root, ACROSS)
    measured = inputs.measured()
    assert measured.column_names == ["clip_id", "duration_s", "level_dbfs"]
    assert measured.num_rows == 6 * (3 + 3 + 4), "of any label"
    assert set(inputs.clips().clip_ids) < set(measured["clip_id"].to_pylist())
    assert {"a/0anger", "b/0anger"} < set(measured["clip_id"].to_pylist())


def test_what_the_scheme_drops_is_in_no_part(root: str) -> None:
    work, (fold, _) = prepare(find(root, ACROSS))
    counted = collections.Counter(zip(work.clips.corpora, work.clips.labels, strict=True))
    assert counted == {
        ("a", "anger"): 6,
        ("a", "sadness"): 6,  # and calm is dropped
        ("b", "anger"): 6,
        ("b", "sadness"): 6,
        ("b", "neutral"): 6,
        ("c", "anger"): 6,
        ("c", "neutral"): 6,  # and fear, and excited, which is happiness, are
    }
    assert {work.clips.corpora[clip] for clip in fold.test} == {"c"}


def test_corpora_with_the_same_names_stay_apart(root: str) -> None:
    clips = find(root, ACROSS).clips()
    assert len(set(clips.clip_ids)) == len(clips)
    assert len(set(clips.speakers)) == len(set(clips.groups)) == 18
    assert set(clips.sentences) == {"a/one", "b/one", "c/one"}
    for clip, corpus in enumerate(clips.corpora):
        assert clips.clip_ids[clip].startswith(f"{corpus}/")
    within = find(root, ACROSS.model_copy(update={"corpora": ("b",), "test": (), "protocol": "strict"}))
    assert set(within.clips().speakers) == {f"s{number}" for number in range(6)}


@pytest.mark.parametrize("protocol", ["cross-corpus", "cross-corpus-by-corpus", "cross-corpus-by-speaker"])
def test_nothing_fitted_depends_on_the_tested_corpus(
    root: str, protocol: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = ACROSS.model_copy(update={"protocol": protocol})
    other = write(
        storage.normalise(tmp_path_factory.mktemp("other")),
        CORPORA | {"c": ("neutral", "sadness", "surprise")},
        offset={"c": 100.0},
    )
    first, second = fitted(root, config), fitted(other, config)
    assert [one.train_loss for one in first.curve] == [one.train_loss for one in second.curve]
    assert first.chosen_epoch == second.chosen_epoch
    for name, weight in first.weights.items():
        assert torch.equal(weight, second.weights[name]), name
    assert not np.array_equal(first.probabilities, second.probabilities)


def test_what_is_trained_on_does_change_the_weights(root: str, tmp_path: pathlib.Path) -> None:
    other = write(storage.normalise(tmp_path), CORPORA, offset={"a": 5.0})
    first, second = fitted(root, ACROSS), fitted(other, ACROSS)
    assert not all(torch.equal(weight, second.weights[name]) for name, weight in first.weights.items())


def test_the_same_labels_are_the_same_run_however_they_are_given(root: str) -> None:
    every = find(root, ACROSS)
    named = find(root, ACROSS.model_copy(update={"labels": ("neutral", "sadness", "anger")}))
    fewer = find(root, ACROSS.model_copy(update={"labels": ("neutral", "anger")}))
    assert named.identity == every.identity
    assert fewer.labels == ["anger", "neutral"]
    assert fewer.identity != every.identity


def test_a_network_that_learns_otherwise_has_runs_of_its_own(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = find(root, ACROSS)
    before = inputs.identity
    monkeypatch.setitem(MODELS, ACROSS.model, dataclasses.replace(MODELS[ACROSS.model], version=2))
    assert inputs.identity == {**before, "network": 2}


def test_without_a_scheme_the_corpora_keep_their_own_labels(root: str) -> None:
    config = ACROSS.model_copy(update={"scheme": "", "test": (), "protocol": "strict"})
    assert find(root, config).labels == ["anger", "calm", "sadness", "neutral", "excited", "fear"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scheme": "big9"}, "Unknown scheme 'big9'; choose one of: arousal, big6"),
        ({"labels": ("anger", "happiness")}, "Unknown labels happiness; this corpus has anger, sadness, neutral"),
        ({"labels": ("anger",)}, "One label, anger, leaves nothing to tell apart"),
        ({"test": ("d",)}, "d cannot be tested: it is none of a, b, c"),
        ({"protocol": "strict"}, "Corpora are tested by name under a protocol across corpora, not under strict"),
        ({"corpora": ("a", "c", "a")}, "A corpus is named twice in a, c, a"),
        ({"corpora": ("a", "c", "d")}, "Unknown corpus 'd'"),
        ({"corpora": ("a", "c", "emodb")}, "has no manifest of emodb: run `raysee manifest emodb"),
        ({"features": "summary180"}, "aldeneh takes .*, not summary180"),
        (
            {"aggregation": "lstm", "protocol": "stanford2015", "test": ()},
            "Protocol stanford2015 tears the examples of a clip apart, .*: take another --protocol",
        ),
    ],
)
def test_what_cannot_be_is_said(root: str, changed: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        find(root, ACROSS.model_copy(update=changed))


def test_an_lstm_wants_several_examples_of_a_clip(root: str) -> None:
    with pytest.raises(ConfigurationError, match="aldeneh sees each clip as one example.*leave --aggregation out"):
        prepare(find(root, ACROSS.model_copy(update={"aggregation": "lstm"})))


def test_two_corpora_of_the_same_people_share_them(tmp_path: pathlib.Path) -> None:
    """Actors speak in one and sing in the other: no fold may train on the one and test on the other."""
    labels = ("anger", "sadness", "calm")
    root = write(storage.normalise(tmp_path / "lake"), {"ravdess": labels, "ravdess_song": labels})
    config = RunConfig(corpora=("ravdess_song", "ravdess"), features="logmel40", model="aldeneh", size="debug")
    inputs = find(root, config)
    work, folds = prepare(inputs)
    assert set(work.clips.speakers) == {f"ravdess/s{number}" for number in range(6)}
    assert len(set(work.clips.clip_ids)) == len(work.clips.clip_ids) == 36, "clips are told apart"
    assert len(folds) == 6 + 1
    for fold in folds:
        heard = {work.clips.speakers[clip] for clip in fold.train.tolist()}
        assert not heard & {work.clips.speakers[clip] for clip in fold.test.tolist()}
    assert inputs.identity["voices"] == {"ravdess_song": "ravdess"}
    across = config.model_copy(update={"protocol": "cross-corpus", "test": ("ravdess",)})
    with pytest.raises(ConfigurationError, match=r"ravdess and the others share speakers \(ravdess/s0"):
        prepare(find(root, across))
