import itertools
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import soundfile

from raysee import lake, receipts, schema, storage
from raysee.commands.cross import cross as command
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.cross import Cell, Plan, cross, plan
from raysee.errors import BusyError, ConfigurationError
from raysee.evaluation.metrics import metrics
from raysee.features import front_end
from raysee.lock import Lock
from raysee.receipts import Stage

HZ = {"anger": 300, "neutral": 900, "fear": 2000}
CORPORA = {
    "beeps": (6, ("anger", "neutral", "fear")),
    "few": (2, ("anger", "neutral")),
    "lone": (1, ("fear",)),
    "tones": (6, ("anger", "neutral")),
}
MATRIX = plan([], [], [], ["beeps", "few", "tones"])
ONE = plan(["tones"], ["beeps"], [], [])
CONFIG = RunConfig(
    corpora=("any",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    protocol="cross-corpus",
    scheme="big6+neutral",
    training=TrainingConfig(epochs=1, learning_rate=1e-3),
)


@pytest.fixture(scope="module")
def root(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake with the manifests of three corpora of tones, and no features."""
    folder = tmp_path_factory.mktemp("tones")
    place = storage.normalise(folder / "lake")
    for corpus, (speakers, labels) in CORPORA.items():
        rows = []
        for speaker, label in itertools.product(range(speakers), labels):
            hz = HZ[label] * (1 + 0.1 * speaker) * (1.2 if corpus == "beeps" else 1.0)
            name = f"{speaker}{label}"
            (folder / corpus).mkdir(exist_ok=True)
            tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(8000) / 16_000)
            soundfile.write(folder / corpus / f"{name}.wav", tone, 16_000)
            rows.append({"clip_id": name, "uri": f"{name}.wav", "speaker": f"s{speaker}", "label": label})
        pa.csv.write_csv(pa.Table.from_pylist(rows), folder / corpus / "clips.csv")
        manifest(place, corpus, str(folder / corpus / "clips.csv"))
    return place


@pytest.fixture(scope="module")
def stage(root: str) -> Stage:
    return cross(root, MATRIX, CONFIG)


def cells(stage: Stage) -> dict[tuple[str, str], dict[str, Any]]:
    rows = storage.read_table(storage.join(stage.place, "cells.parquet"), schema.CROSSINGS).to_pylist()
    return {("+".join(row["trained_on"]), row["tested"]): row for row in rows}


def figure(place: str) -> float:
    said = storage.read_table(storage.join(place, "predictions.parquet"), schema.PREDICTIONS)
    columns = [said[name].to_pylist() for name in ("label", "predicted")]
    return metrics(*columns, said["labels"][0].as_py()).uar


def test_a_cell_is_one_run_across_beside_one_within_on_the_same_classes(stage: Stage) -> None:
    row = cells(stage)["beeps", "tones"]
    across, within = receipts.read(row["run"]), receipts.read(row["within_run"])
    assert across is not None
    assert within is not None
    config = RunConfig.model_validate(across.config["config"])
    assert not config.deliver
    assert (config.corpora, config.test, config.protocol) == (("beeps", "tones"), ("tones",), "cross-corpus")
    config = RunConfig.model_validate(within.config["config"])
    assert (config.corpora, config.test, config.protocol) == (("tones",), (), "strict")
    assert row["heard"] == ["anger", "fear", "neutral"]
    assert row["classes"] == within.details["labels"] == ["anger", "neutral"]
    assert (row["num_clips"], row["num_speakers"], row["chance"]) == (12, 6, 0.5)
    assert row["uar"] == pytest.approx(figure(row["run"]))
    assert row["within"] == pytest.approx(figure(row["within_run"]))
    assert row["gap"] == pytest.approx(row["within"] - row["uar"])
    assert row["low"] <= row["uar"] <= row["high"]
    assert row["gap_low"] <= row["gap"] <= row["gap_high"]
    assert 0 < row["p_value"] <= 1


def test_a_model_that_calls_everything_the_same_is_said(stage: Stage) -> None:
    for row in cells(stage).values():
        if row["run"] and row["within_run"]:
            said = storage.read_table(storage.join(row["run"], "predictions.parquet"), schema.PREDICTIONS)["predicted"]
            names = said.unique().to_pylist()
            only = f"Every clip is called {names[0]}: the gap is of a model that does not tell them apart."
            assert row["remark"] == (only if len(names) == 1 else "")


def test_classes_that_nobody_was_trained_on_are_dropped_and_named(stage: Stage) -> None:
    row = cells(stage)["tones", "beeps"]
    assert (row["unheard"], row["num_unheard"], row["num_clips"]) == (["fear"], 6, 12)
    assert row["heard"] == row["classes"] == ["anger", "neutral"]
    within = receipts.read(row["within_run"])
    assert within is not None
    assert within.details["labels"] == ["anger", "neutral"], "the same classes as the cell's"


def test_a_cell_that_fails_says_why_and_the_others_are_there(stage: Stage) -> None:
    found = cells(stage)
    assert list(found) == [("+".join(cell.trained_on), cell.tested) for cell in MATRIX.cells]
    for tested in ("beeps", "tones"):
        row = found["few", tested]
        assert (row["uar"], row["gap"], row["run"]) == (None, None, "")
        assert row["within"] == pytest.approx(figure(row["within_run"])), "which is known all the same"
        assert f"besides {tested} there are 2" in row["remark"]
        row = found[tested, "few"]
        assert row["uar"] == pytest.approx(figure(row["run"]))
        assert (row["within"], row["gap"]) == (None, None)
        assert "needs at least 3 speakers" in row["remark"]
    assert stage.receipt.counts == {"in": 6, "out": 2, "rejected": 4}
    assert stage.receipt.rejects == {"ConfigurationError": 4}


def test_the_headline_is_the_mean_gap_over_tested_corpora(stage: Stage) -> None:
    found = cells(stage)
    gaps = {tested: found[trained, tested]["gap"] for trained, tested in (("tones", "beeps"), ("beeps", "tones"))}
    assert stage.receipt.details["gap_by_tested"] == pytest.approx(gaps)
    assert stage.receipt.details["gap"] == pytest.approx(np.mean(list(gaps.values())))
    assert stage.receipt.details["scheme"]["few"] == {"classes": {"anger": 2, "neutral": 2}, "dropped": {}}
    assert b"besides tones there are 2" in storage.read_bytes(storage.join(stage.place, "cross.html"))


def test_missing_features_are_made(stage: Stage, root: str) -> None:
    for corpus in MATRIX.corpora:
        assert receipts.read(lake.features(root, corpus, "logmel40", front_end("logmel40"))) is not None
    assert len(stage.receipt.inputs) == 3


def test_cells_of_another_question_are_taken_over_and_a_second_start_does_nothing(stage: Stage, root: str) -> None:
    before = cells(stage)["tones", "beeps"]
    written = storage.read_bytes(storage.join(before["run"], receipts.NAME))
    first = cross(root, ONE, CONFIG)
    assert not first.found
    assert cells(first)["tones", "beeps"] == before
    assert storage.read_bytes(storage.join(before["run"], receipts.NAME)) == written
    again = cross(root, ONE, CONFIG)
    assert again.found
    assert again == Stage(first.place, first.receipt, found=True)


def test_only_what_is_missing_is_trained_again(stage: Stage, root: str) -> None:
    before = cells(stage)
    lost = before["beeps", "tones"]["run"]
    kept = [before["tones", "beeps"][name] for name in ("run", "within_run")]
    written = [storage.read_bytes(storage.join(place, receipts.NAME)) for place in kept]
    storage.remove(lost)
    again = cross(root, MATRIX, CONFIG)
    assert not again.found, "cells have failed, and are tried again"
    assert storage.exists(storage.join(lost, receipts.NAME))
    assert [storage.read_bytes(storage.join(place, receipts.NAME)) for place in kept] == written
    timeless = [{name: one for name, one in row.items() if name != "training_s"} for row in before.values()]
    assert [{name: row[name] for name in timeless[0]} for row in cells(again).values()] == timeless


def test_the_command_prints_what_is_dropped_and_every_cell(
    stage: Stage, root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = command(
        to=root,
        train="tones",
        test="beeps",
        size="debug",
        epochs=1,
        features="logmel40",
        setting=["learning_rate=1e-3"],
    )
    printed = capsys.readouterr().out
    assert "beeps: anger 6, fear 6, neutral 6; dropped nothing" in printed
    row = cells(stage)["tones", "beeps"]
    assert f"tones -> beeps: UAR {row['uar']:.1%}" in printed
    assert "fear" in printed.partition("nobody was trained on it: ")[2].partition("\n")[0]
    assert f"out-of-corpus gap {100 * row['gap']:+.1f} points" in printed
    assert place == cross(root, ONE, CONFIG).place, "the defaults are those of the published training"


def test_classes_that_are_not_asked_for_are_dropped_everywhere(root: str, stage: Stage) -> None:
    found = cross(root, plan(["beeps"], ["tones"], [], []), CONFIG.model_copy(update={"labels": ("neutral", "anger")}))
    row = cells(found)["beeps", "tones"]
    assert row["heard"] == row["classes"] == ["anger", "neutral"]
    assert found.receipt.details["scheme"]["beeps"]["dropped"] == {"fear": 6}
    assert found.place != stage.place
    named = CONFIG.model_copy(update={"labels": ("anger", "neutral")})
    assert cross(root, plan(["beeps"], ["tones"], [], []), named).found, "in whatever order"


def test_one_class_in_common_is_a_cell_that_fails_and_of_new_labels_another_question(root: str, stage: Stage) -> None:
    asked = plan(["beeps"], ["lone", "tones"], [], [])
    found = cross(root, asked, CONFIG)
    assert cells(found)["beeps", "lone"]["remark"].startswith("lone has fear in common with beeps, and there must be")
    assert cells(found)["beeps", "tones"] == cells(stage)["beeps", "tones"]
    assert list(found.receipt.details["gap_by_tested"]) == ["tones"]
    listing = pathlib.Path(root.removeprefix("file://")).parent / "lone" / "clips.csv"
    listing.write_text(listing.read_text().replace('"fear"', '"disgust"'))
    manifest(root, "lone", str(listing))
    again = cross(root, asked, CONFIG)
    assert again.place != found.place
    assert again.receipt.details["scheme"]["lone"]["classes"] == {"disgust": 1}
    assert "lone has no class in common" in cells(again)["beeps", "lone"]["remark"]


def test_plans() -> None:
    assert Plan("train-test", (Cell(("tones",), "beeps"),)) == ONE
    assert plan(["b", "a"], ["d", "c"], [], []).cells == (Cell(("a", "b"), "c"), Cell(("a", "b"), "d"))
    assert plan([], [], ["c", "a", "b"], []) == Plan(
        "leave-one-corpus-out", (Cell(("b", "c"), "a"), Cell(("a", "c"), "b"), Cell(("a", "b"), "c"))
    )
    assert plan([], [], [], ["b", "a"]) == Plan("matrix", (Cell(("a",), "b"), Cell(("b",), "a")))
    assert MATRIX.corpora == ("beeps", "few", "tones")
    assert plan(["ravdess", "ravdess_song"], ["emodb"], [], []).cells == (Cell(("ravdess", "ravdess_song"), "emodb"),)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (([], [], [], []), "in one of three ways"),
        ((["a"], [], [], []), "in one of three ways"),
        ((["a"], ["b"], [], ["a", "b"]), "in one of three ways"),
        ((["a", "b"], ["b"], [], []), "b cannot be trained on and tested"),
        (([], [], [], ["a", "b", "a"]), "a is named twice"),
        (([], [], ["a"], []), "a alone crosses nothing"),
        ((["ravdess"], ["ravdess_song"], [], []), "ravdess and ravdess_song have the same speakers"),
    ],
)
def test_what_is_no_plan_is_said(asked: tuple[list[str], ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plan(*asked)


@pytest.mark.parametrize(
    ("asked", "changed", "said"),
    [
        (ONE, {"scheme": "big9"}, "Unknown scheme 'big9'"),
        (ONE, {"labels": ("joy",)}, "big6.neutral has no class joy; it has anger"),
        (ONE, {"features": "summary180"}, "aldeneh takes .*, not summary180"),
        (plan(["emodb"], ["beeps"], [], []), {}, "has no manifest of emodb"),
        (ONE, {"labels": ("fear", "anger")}, "beeps has anger in common with tones, and there must be two classes"),
    ],
)
def test_what_no_cell_could_have_is_said_at_once(root: str, asked: Plan, changed: dict[str, Any], said: str) -> None:
    before = storage.names(storage.join(root, "cross"))
    with pytest.raises(ConfigurationError, match=said):
        cross(root, asked, CONFIG.model_copy(update=changed))
    assert storage.names(storage.join(root, "cross")) == before


def test_a_gpu_that_is_not_there_is_said_before_anything_is_made(root: str) -> None:
    before = [storage.names(storage.join(root, *folder)) for folder in (("cross",), ("features", "tones"))]
    config = CONFIG.model_copy(update={"model": "mlp", "features": "summary180"})
    with pytest.raises(ConfigurationError, match="A GPU was asked for and the cluster has none"):
        cross(root, ONE, config, gpus=1)
    assert [storage.names(storage.join(root, *folder)) for folder in (("cross",), ("features", "tones"))] == before


def test_a_second_start_says_so_and_leaves(root: str, stage: Stage) -> None:
    """It would write down that the trainings of the first one have failed, because that one is at them."""
    before = storage.read_bytes(storage.join(stage.place, receipts.NAME))
    with Lock(stage.place), pytest.raises(BusyError, match="is working on"):
        cross(root, MATRIX, CONFIG)
    assert storage.read_bytes(storage.join(stage.place, receipts.NAME)) == before
