import pathlib

import numpy as np
import pytest

from raysee import lake as places
from raysee import receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.distributed.train import train
from raysee.errors import ConfigurationError
from raysee.evaluation.folds import make_folds
from raysee.evaluation.metrics import metrics
from raysee.evaluation.protocols import protocol
from raysee.features import front_end
from raysee.receipts import Stage
from raysee.training import card
from raysee.training.clips import load
from raysee.training.fit import fit_fold

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


def test_the_error_of_a_fold_reaches_the_user(lake: str, tmp_path: pathlib.Path) -> None:
    wild = CONFIG.model_copy(update={"training": TrainingConfig(epochs=3, learning_rate=1e30), "repeats": 1})
    with pytest.raises(Exception, match="lower the learning rate") as caught:
        train(lake, wild)
    assert "Traceback" not in str(caught.value)
