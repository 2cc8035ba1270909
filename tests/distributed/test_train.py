import io
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import safetensors.torch
import soundfile
import torch

from raysee import lake as places
from raysee import receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.run import place_of
from raysee.distributed.train import train, train_all
from raysee.errors import BusyError, ConfigurationError, RayseeError
from raysee.evaluation.calibration import fit_temperature
from raysee.evaluation.folds import make_folds
from raysee.evaluation.metrics import metrics
from raysee.evaluation.protocols import protocol
from raysee.features import front_end
from raysee.features.table import arrays
from raysee.lock import Lock
from raysee.models import build
from raysee.receipts import Stage
from raysee.synthesis.layouts import LAYOUTS
from raysee.synthesis.layouts.layout import Layout
from raysee.synthesis.layouts.ravdess import ravdess_clips
from raysee.synthesis.trees import write_layout
from raysee.training import card, finished
from raysee.training.clips import load
from raysee.training.fit import fit_fold
from raysee.training.inputs import find

LABELS = ("anger", "boredom", "neutral", "sadness")
CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    labels=LABELS,
    repeats=2,
    training=TrainingConfig(epochs=3, learning_rate=1e-3),
)


CHUNKS = RunConfig(
    corpora=("emodb",),
    features="chunk26",
    model="fc2",
    size="debug",
    deliver=False,
    labels=("anger", "sadness"),
    training=TrainingConfig(epochs=2, batch_size=16, learning_rate=1e-3),
)
CLIPS_EACH = 3  # of a speaker and an emotion


@pytest.fixture(scope="module")
def run(lake: str) -> Stage:
    return train(lake, CONFIG)


def test_every_clip_is_predicted_once_a_repeat(run: Stage) -> None:
    predictions = storage.read_table(storage.join(run.place, "predictions.parquet"), schema.PREDICTIONS)
    assert predictions.num_rows == 2 * 3 * 10 * len(LABELS)
    rows = list(zip(*(predictions[name].to_pylist() for name in ("clip_id", "repeat")), strict=True))
    assert len(set(rows)) == len(rows)
    by_fold = predictions.group_by("fold").aggregate([("speaker", "count_distinct")]).to_pylist()
    assert [row["speaker_count_distinct"] for row in by_fold] == [1, 1, 1], "one speaker left out at a time"


def test_the_receipt_figures_are_those_of_the_predictions(run: Stage) -> None:
    predictions = storage.read_table(storage.join(run.place, "predictions.parquet"), schema.PREDICTIONS).to_pylist()
    figures = run.receipt.details["metrics"]
    first = [row for row in predictions if row["repeat"] == 0 and row["fold"] == 0]
    by_hand = metrics([row["label"] for row in first], [row["predicted"] for row in first], LABELS)
    assert figures["uar_by_fold"]["0"][0] == pytest.approx(by_hand.uar)
    assert (figures["num_speakers"], figures["num_clips"], figures["chance"]) == (3, 120, 0.25)
    assert sum(map(sum, figures["confusion"])) == 240
    assert run.receipt.details["synthetic"] is True


def test_a_task_gives_the_numbers_of_a_plain_call(run: Stage, lake: str) -> None:
    features = places.features(lake, "emodb", "logmel40", front_end("logmel40"))
    clips = load(
        storage.read_table(storage.join(places.utterances(lake, "emodb"), "clips"), schema.UTTERANCES),
        storage.read_table(storage.join(features, "clips"), schema.FEATURES),
        LABELS,
    )
    fold = make_folds(protocol("strict"), clips.held(np.arange(len(clips))), seed=0)[1]
    plain = fit_fold(CONFIG, clips, list(LABELS), fold, repeat=1)
    rows = storage.read_table(storage.join(run.place, "predictions.parquet"), schema.PREDICTIONS).to_pylist()
    found = {row["clip_id"]: row["probabilities"] for row in rows if (row["fold"], row["repeat"]) == (1, 1)}
    for clip, expected in zip(fold.test, plain.probabilities, strict=True):
        assert found[clips.clip_ids[clip]] == expected.tolist()
    targets = np.array([LABELS.index(clips.labels[clip]) for clip in fold.validation])
    receipt = finished.read(finished.folder(run.place, 1, 1))
    assert receipt.temperature == fit_temperature(plain.validation, targets) != 1.0


def test_the_delivered_model_has_its_card(run: Stage) -> None:
    model, its_card, made_by = card.load(run.place)
    assert its_card.labels == list(LABELS)
    assert its_card.protocol.name == "strict"
    assert its_card.corpora[0].title == "a synthetic voice in the layout of EMO-DB"
    assert its_card.synthetic
    assert its_card.metrics == run.receipt.details["metrics"]
    assert its_card.statistics is not None
    assert len(its_card.statistics.mean) == made_by.num_columns == 40
    assert not model.training


def test_the_card_says_how_it_is_calibrated_and_what_it_heard(run: Stage) -> None:
    its_card = card.load_card(run.place)
    temperatures = [receipt["temperature"] for receipt in folds(run).values()]
    assert len(temperatures) == 6
    assert its_card.calibrated
    final = finished.read(storage.join(run.place, "folds", "final"))
    assert its_card.temperature == final.temperature, "its own, which goes with the epoch that was chosen"
    figures = run.receipt.details["metrics"]
    assert 0 < figures["ece_calibrated"] < 1
    assert figures["ece_calibrated"] != figures["ece"]
    heard, labels = its_card.reference, [f"probability:{label}" for label in LABELS]
    assert list(heard) == ["level_dbfs", "duration_s", *labels]
    assert (sum(heard["level_dbfs"]), sum(heard["duration_s"])) == (120, 120), "of the clips of its labels, once each"
    assert [sum(heard[name]) for name in labels] == [240] * 4, "of every repeat"
    shares = np.array([heard[name] for name in labels]).sum(axis=0) / 240
    assert shares @ np.arange(0.05, 1.0, 0.1) == pytest.approx(1.0, abs=0.2), "each clip's add up to one"


def test_only_missing_folds_are_fitted_again(run: Stage, lake: str) -> None:
    kept = storage.join(run.place, "folds", "repeat-0-fold-00", receipts.NAME)
    lost = storage.join(run.place, "folds", "repeat-1-fold-02", receipts.NAME)
    before, figures = storage.read_bytes(kept), run.receipt.details["metrics"]
    storage.remove(lost)
    storage.remove(storage.join(run.place, receipts.NAME))
    seen: list[tuple[int, int]] = []
    again = train(lake, CONFIG, on_progress=lambda done, total, remark: seen.append((done, total)))
    assert seen == [(6, 7), (7, 7)]
    assert storage.read_bytes(kept) == before, "with its wall time: it was not touched"
    assert again.receipt.details["metrics"] == figures
    assert train(lake, CONFIG).found


def test_a_protocol_that_leaks_says_so_in_its_card(lake: str) -> None:
    config = CONFIG.model_copy(update={"protocol": "badshah2017", "repeats": 1})
    stage = train(lake, config)
    assert card.load_card(stage.place).protocol.leaks == "speakers and sentences"
    assert "badshah2017" in stage.place
    folds = [name for name in storage.names(storage.join(stage.place, "folds")) if name != "final"]
    assert len(folds) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "transformer"}, "Unknown model 'transformer'; choose one of: .*aldeneh"),
        ({"protocol": "loso"}, "Unknown protocol 'loso'; choose one of: .*badshah2017, .*code, .*paper, .*strict"),
        ({"features": "mfccs"}, "Unknown front-end 'mfccs'"),
        ({"corpora": ("tess2",)}, "Unknown corpus 'tess2'"),
        ({"labels": ("anger", "joy")}, "Unknown labels joy; this corpus has anger, boredom"),
        ({"labels": ("anger",)}, "leaves nothing to tell apart"),
        ({"features": "logmel240"}, "has no finished logmel240 of emodb: run `raysee extract"),
    ],
)
def test_what_cannot_be_trained_is_said(lake: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train(lake, CONFIG.model_copy(update=change))


def test_a_second_start_says_so_and_leaves(lake: str) -> None:
    config = CONFIG.model_copy(update={"repeats": 7})
    place = place_of(find(storage.normalise(lake), config))
    with Lock(place), pytest.raises(BusyError, match=f"is working on {place}"):
        train(lake, config)
    assert storage.names(place) == set()


def test_the_error_of_a_fold_reaches_the_user(lake: str, tmp_path: pathlib.Path) -> None:
    wild = CONFIG.model_copy(update={"training": TrainingConfig(epochs=3, learning_rate=1e30), "repeats": 1})
    with pytest.raises(Exception, match="lower the learning rate") as caught:
        train(lake, wild)
    assert "Traceback" not in str(caught.value)


@pytest.fixture(scope="module")
def chunks(s3_server: str, ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake in a bucket: half-second chunks of a few angry and sad clips of two corpora's first speakers."""
    storage.make_bucket("s3://chunks")
    for name, features in (("emodb", ["chunk26", "chunks64", "chunks64-augmented"]), ("savee", ["chunk26"])):
        few: dict[tuple[str, str], list[object]] = {}
        for clip in LAYOUTS[name](4).clips:
            few.setdefault((clip.speaker, clip.emotion), []).append(clip)
        clips = [clip for of in few.values() for clip in of[:CLIPS_EACH] if clip.emotion in CHUNKS.labels]
        tree = tmp_path_factory.mktemp(name)
        write_layout(tree, Layout(tuple(clips)))
        manifest("s3://chunks", name, str(tree), allow_count_mismatch=True)
        extract("s3://chunks", name, features)
    return "s3://chunks"


def table(stage: Stage, name: str = "predictions.parquet", kind: pa.Schema = schema.PREDICTIONS) -> pa.Table:
    return storage.read_table(storage.join(stage.place, name), kind)


def folds(stage: Stage) -> dict[str, dict[str, object]]:
    """The receipts of a run's folds by their names."""
    place = storage.join(stage.place, "folds")
    return {
        name: finished.read(storage.join(place, name)).model_dump()
        for name in sorted(storage.names(place))
        if "fold" in name
    }


def of_model(model: str, features: str, **fields: object) -> RunConfig:
    return CHUNKS.model_copy(update={"model": model, "features": features, **fields})


def test_an_lstm_over_the_chunks_of_a_clip_is_delivered_with_the_model(chunks: str) -> None:
    stage = train(chunks, CHUNKS.model_copy(update={"aggregation": "lstm", "deliver": True}))
    said = table(stage)
    assert said.num_rows == len(set(said["clip_id"].to_pylist())) == 4 * 2 * CLIPS_EACH
    model, its_card, _ = card.load(stage.place)
    assert its_card.config.aggregation == "lstm"
    assert its_card.calibrated, "by validation speakers, whom the LSTM has not heard"
    plain, _, _ = card.load(train(chunks, CHUNKS.model_copy(update={"deliver": True})).place)
    more = model.state_dict().keys() - plain.state_dict().keys()
    assert {name.partition(".")[0] for name in more} == {"aggregation"}
    assert all(torch.equal(model.state_dict()[name], weights) for name, weights in plain.state_dict().items())


def test_the_chunks_of_a_clip_answer_together(chunks: str) -> None:
    stage = train(chunks, of_model("stanford-r2", "chunks64"))
    said = table(stage)
    assert said.num_rows == len(set(said["clip_id"].to_pylist())) == 4 * 2 * CLIPS_EACH
    place = places.features(chunks, "emodb", "chunks64", front_end("chunks64"))
    features = storage.read_table(storage.join(place, "clips"), schema.FEATURES)
    num_chunks = {
        clip: len(array) for clip, array in zip(features["clip_id"].to_pylist(), arrays(features), strict=True)
    }
    assert min(num_chunks.values()) > 1
    pieces = [
        storage.read_table(storage.join(stage.place, "folds", name, "examples.parquet"), schema.EXAMPLES)
        for name in folds(stage)
    ]
    tested = [row for piece in pieces for row in piece.to_pylist() if row["part"] == "test"]
    for row in said.to_pylist():
        its = [one["probabilities"] for one in tested if one["clip_id"] == row["clip_id"]]
        assert len(its) == num_chunks[row["clip_id"]]
        assert row["probabilities"] == pytest.approx(np.mean(its, axis=0).tolist(), abs=1e-6)
    validated = [set(piece.filter(pc.equal(piece["part"], "validation"))["speaker"].to_pylist()) for piece in pieces]
    assert all(len(speakers) == 1 for speakers in validated)
    assert stage.receipt.details["example_metrics"]["num_clips"] == sum(num_chunks.values())
    assert "model.json" not in storage.names(stage.place)


def test_a_sequence_of_chunks_is_one_example_and_is_delivered(chunks: str) -> None:
    stage = train(chunks, of_model("cnn-lstm", "chunks64", deliver=True))
    assert table(stage).num_rows == 4 * 2 * CLIPS_EACH
    assert stage.receipt.details["example_metrics"] is None
    assert card.load(stage.place)[1].shape == [64, 64, 2]


def test_only_copies_of_training_clips_are_trained_on(chunks: str) -> None:
    """Other copies of one speaker change the models that are trained on him, and no other one to the last bit."""
    config = of_model("stanford-r2", "chunks64", augmented="chunks64-augmented")
    before = {row["clip_id"]: row["probabilities"] for row in table(train(chunks, config)).to_pylist()}
    place = places.features(chunks, "emodb", "chunks64-augmented", front_end("chunks64-augmented"))
    for name in storage.names(storage.join(place, "clips")):
        uri = storage.join(place, "clips", name)
        rows = storage.read_table(uri, schema.FEATURES).to_pylist()
        for row in rows:
            if row["clip_id"].startswith("03"):
                row["values"] = [-value for value in row["values"]]
        storage.write_table(uri, pa.Table.from_pylist(rows, schema=schema.FEATURES), schema.FEATURES)
    stage = train(chunks, config, overwrite=True)
    after = {row["clip_id"]: row["probabilities"] for row in table(stage).to_pylist()}
    speakers = {row["clip_id"]: row["speaker"] for row in table(stage).to_pylist()}
    same = {speakers[clip] for clip in before if before[clip] == after[clip]}
    other = {speakers[clip] for clip in before if before[clip] != after[clip]}
    assert (same, other) == ({"03", "10"}, {"08", "09"}), "03 validates the fold in which 10 is tested"


def test_a_classifier_is_tuned_once_on_all_tested_folds_whichever_were_first(chunks: str) -> None:
    config = of_model("svm", "chunk26", protocol="paper", repeats=2)
    whole = train(chunks, config)
    tuning = storage.join(whole.place, "folds", "tuning.json")
    chosen, said = storage.read_bytes(tuning), table(whole)
    assert {str(fold["parameters"]) for fold in folds(whole).values()} == {str(dict(json.loads(chosen)))}
    assert len(folds(whole)) == 8
    assert {fold["temperature"] for fold in folds(whole).values()} == {None}, "this protocol validates nothing"
    assert whole.receipt.details["metrics"]["ece_calibrated"] is None
    storage.remove(whole.place)
    assert train_all(chunks, [config], first_folds=1) == [None]
    assert storage.names(storage.join(whole.place, "folds")) == {
        "tuning.json",
        "repeat-0-fold-00",
        "repeat-1-fold-00",
    }
    assert storage.read_bytes(tuning) == chosen
    assert table(train(chunks, config)).equals(said)


def test_a_classifier_is_tuned_within_the_training_part_under_strict(chunks: str) -> None:
    stage = train(chunks, of_model("svm", "chunk26", deliver=True))
    assert set(storage.names(storage.join(stage.place, "folds"))) == {f"repeat-0-fold-{fold:02}" for fold in range(4)}
    assert all(set(fold["parameters"]) == {"C", "gamma"} for fold in folds(stage).values())
    assert all(isinstance(fold["temperature"], float) for fold in folds(stage).values())
    assert "model.json" not in storage.names(stage.place)


def test_the_clips_and_speakers_of_two_corpora_stay_apart(chunks: str) -> None:
    stage = train(chunks, CHUNKS.model_copy(update={"corpora": ("emodb", "savee")}))
    said = table(stage).to_pylist()
    assert len({row["clip_id"] for row in said}) == len(said) == 2 * 4 * 2 * CLIPS_EACH
    assert all(row["clip_id"].split("/")[0] == row["speaker"].split("/")[0] for row in said)
    tested = [fold["test_speakers"] for fold in folds(stage).values()]
    names = {row["speaker"] for row in said}
    assert sorted(speaker for speakers in tested for speaker in speakers) == sorted(names)
    assert {name.split("/")[0] for name in names} == {"emodb", "savee"}
    assert not any(row["speaker_heard"] for row in said)
    assert set(stage.receipt.inputs) == {"emodb chunk26", "savee chunk26"}


def test_conditions_have_a_figure_each(ray_session: None, tmp_path: pathlib.Path) -> None:
    """Four actors, two emotions, two intensities, two statements, two repetitions."""
    clips = [clip for clip in ravdess_clips(4) if clip.emotion in CHUNKS.labels]
    write_layout(tmp_path / "ravdess", Layout(tuple(clips)))
    root = str(tmp_path / "lake")
    manifest(root, "ravdess", str(tmp_path / "ravdess"), allow_count_mismatch=True)
    extract(root, "ravdess", ["chunk26"])
    stage = train(root, CHUNKS.model_copy(update={"corpora": ("ravdess",), "protocol": "conditions"}))
    figures = stage.receipt.details["metrics"]["uar_by_heard"]
    assert {name: figure["clips"] for name, figure in figures.items()} == {
        "speaker heard, sentence heard": 3 * 2 * 2,
        "speaker heard, sentence unheard": 3 * 2 * 2 * 2,
        "speaker unheard, sentence heard": 2 * 2 * 2,
        "speaker unheard, sentence unheard": 2 * 2 * 2,
    }


def test_clips_that_are_too_short_for_a_network_are_padded(ray_session: None, tmp_path: pathlib.Path) -> None:
    """Clips of 0.2 s have 18 frames, of which Zhao's network needs 31, and AlexNet's windows are of 1 s."""
    rng = np.random.default_rng(0)
    tree = tmp_path / "emodb" / "wav"
    tree.mkdir(parents=True)
    for speaker in ("03", "08", "09"):
        for letter in "WT":
            for text, seconds in (("a01", 0.2), ("a02", 1.1)):
                sound = rng.normal(0, 0.1, round(16_000 * seconds))
                soundfile.write(tree / f"{speaker}{text}{letter}a.wav", sound, 16_000)
    root = str(tmp_path / "lake")
    manifest(root, "emodb", str(tmp_path / "emodb"), allow_count_mismatch=True)
    extract(root, "emodb", ["logmel40", "sliding227"])
    for config in (of_model("zhao", "logmel40"), of_model("alexnet-sliding", "sliding227", hop_ms=500)):
        assert train(root, config).receipt.counts == {"in": 12, "out": 12, "rejected": 0}


def garbage() -> bytes:
    return b"no weights at all" * 9


def pickled() -> bytes:
    file = io.BytesIO()
    torch.save({"hidden.weight": torch.zeros(3)}, file)
    return file.getvalue()


def of_another_network() -> bytes:
    return safetensors.torch.save({"layers.0.weight": torch.zeros(3)})


def of_another_size() -> bytes:
    names = dict(build(CHUNKS, (26,), 2).state_dict())
    return safetensors.torch.save({name: torch.zeros(3) for name in names})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (garbage, "The initial weights are no safetensors file .*"),
        (pickled, "The initial weights are no safetensors file .*convert it"),
        (of_another_network, "The initial weights lack .* of the network and have layers.0.weight that"),
        (of_another_size, r"are \(3,\), the network's are"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    chunks: str, tmp_path: pathlib.Path, weights: Callable[[], bytes], message: str
) -> None:
    place = tmp_path / "weights.safetensors"
    place.write_bytes(weights())
    before = storage.list_files(chunks)
    with pytest.raises(ConfigurationError, match=message):
        train(chunks, CHUNKS.model_copy(update={"initial": str(place)}))
    assert storage.list_files(chunks) == before


def test_initial_weights_are_known_by_what_they_are_and_where(
    chunks: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = build(CHUNKS, (26,), 2).state_dict()
    safetensors.torch.save_file(weights, tmp_path / "a.safetensors")
    first = train(chunks, CHUNKS.model_copy(update={"initial": str(tmp_path / "a.safetensors")}))
    monkeypatch.chdir(tmp_path)
    config = CHUNKS.model_copy(update={"initial": "a.safetensors"})
    assert train(chunks, config) == first._replace(found=True)
    safetensors.torch.save_file({name: weight + 1 for name, weight in weights.items()}, tmp_path / "a.safetensors")
    assert train(chunks, config).place != first.place


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": "alexnet-fine-tuned", "features": "image256"},
            "alexnet-fine-tuned starts from ImageNet weights: give .* by --initial",
        ),
        ({"model": "svm", "initial": "weights.safetensors"}, "svm starts from no weights: leave --initial out"),
        ({"initial": "/nowhere/weights.safetensors"}, "weights.safetensors does not exist: check the spelling"),
        ({"augmented": "logmel40"}, "logmel40 holds no altered copies of chunk26"),
        ({"augmented": "chunks64-augmented"}, "chunks64-augmented holds no altered copies of chunk26"),
        ({"model": "svm", "augmented": "chunks64-augmented"}, "holds no altered copies of chunk26"),
        ({"corpora": ("emodb", "emodb")}, "A corpus is named twice in emodb, emodb"),
        ({"protocol": "conditions", "corpora": ("savee",)}, "training part of fold 0 has no clip of anger: leave"),
    ],
)
def test_what_cannot_be_combined_is_said_before_anything_is_written(
    chunks: str, change: dict[str, object], message: str
) -> None:
    before = storage.list_files(chunks)
    with pytest.raises(RayseeError, match=message):
        train(chunks, CHUNKS.model_copy(update=change))
    assert storage.list_files(chunks) == before


def test_a_gpu_that_is_not_there_costs_nothing(chunks: str) -> None:
    finished = train(chunks, CHUNKS)
    with pytest.raises(ConfigurationError, match="A GPU was asked for and the cluster has none: leave --gpus out"):
        train(chunks, CHUNKS, gpus=0.5, overwrite=True)
    assert train(chunks, CHUNKS) == finished._replace(found=True)


def test_a_last_step_that_explodes_is_not_reported_as_a_model(chunks: str) -> None:
    """One batch and one epoch: the only loss is that of the first weights."""
    wild = TrainingConfig(epochs=1, batch_size=1000, learning_rate=1e30)
    config = CHUNKS.model_copy(update={"training": wild, "protocol": "paper"})
    for _ in range(2):
        with pytest.raises(RayseeError, match="NaN or infinite: lower the learning rate"):
            train(chunks, config)
