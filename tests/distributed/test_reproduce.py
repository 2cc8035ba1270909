"""Experiments as a user meets them: made in part, cut short, started again, and with runs that cannot be made."""

import dataclasses
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pyarrow as pa
import pytest

from raysee import receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.reproduce import left_out, place_of_table, plan_experiment, reproduce
from raysee.errors import ConfigurationError, MissingError
from raysee.experiments import EXPERIMENTS, Choice, Claim, Experiment, Run
from raysee.experiments.table import Line
from raysee.report import first_layer
from raysee.synthesis.layouts.emodb import emodb_clips
from raysee.synthesis.layouts.layout import Layout
from raysee.synthesis.trees import write_layout

from ..environment import without_ray
from .test_kill import kept, kill_in_the_middle

CHOICE = Choice(columns=("FC2", "SVM"), protocol="paper", size="debug", epochs=2, repeats=2)
WORDS = "reproduce stanford2015 --columns FC2,SVM --protocol paper --size debug --epochs 2 --repeats 2"
NUM_SPEAKERS = 3
TRAININGS = 2 * NUM_SPEAKERS  # of a column: repeats and folds


@pytest.fixture(scope="module")
def listed(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A lake of files: a manifest of three speakers of EMO-DB, angry and sad in four texts, and their chunks."""
    home = tmp_path_factory.mktemp("reproduce")
    clips = [clip for clip in emodb_clips(NUM_SPEAKERS) if clip.emotion in ("anger", "sadness") and "a0" in clip.path]
    write_layout(home / "emodb", Layout(tuple(clip for clip in clips if "a07" not in clip.path)))
    manifest(str(home / "lake"), "emodb", str(home / "emodb"), allow_count_mismatch=True)
    extract(str(home / "lake"), "emodb", ["chunk26"])
    return home / "lake"


@pytest.fixture
def lake(listed: pathlib.Path, tmp_path: pathlib.Path) -> str:
    """A copy of one's own."""
    return str(shutil.copytree(listed, tmp_path / "lake"))


@pytest.fixture(scope="module")
def undisturbed(listed: pathlib.Path) -> list[Line]:
    whole = shutil.copytree(listed, listed.with_name("undisturbed"))
    return reproduce(str(whole), "stanford2015", CHOICE)


def figures(lines: list[Line]) -> list[tuple[object, ...]]:
    """All of lines but where and how fast they were made."""
    return [(line.config, line.claim, line.value, line.num_trainings, line.remark) for line in lines]


def written(root: str, name: str = "stanford2015") -> pa.Table:
    return storage.read_table(storage.join(place_of_table(root, name), "table.parquet"), schema.REPRODUCTIONS)


def files(root: str) -> dict[str, int]:
    return {file.uri: file.size_bytes for file in storage.list_files(root)}


def test_a_table_of_everything(undisturbed: list[Line], listed: pathlib.Path) -> None:
    assert [line.claim.what for line in undisturbed] == ["FC2", "SVM"]
    assert [(line.num_trainings, line.remark) for line in undisturbed] == [(TRAININGS, ""), (TRAININGS, "")]
    table = written(str(listed.with_name("undisturbed")))
    assert table["ours"].to_pylist() == [line.value and line.value.value for line in undisturbed]
    for line in undisturbed:
        receipt = receipts.read(line.place)
        assert receipt is not None
        assert line.value is not None
        assert line.value.value == receipt.details["example_metrics"]["accuracy"]


def test_the_first_training_of_a_network_keeps_its_first_layer(undisturbed: list[Line]) -> None:
    """As large as it was built, 26 features wide; a support vector machine has none."""
    kept = [first_layer.kept(line.place) for line in undisturbed]
    assert [None if weight is None else weight.shape[1:] for weight in kept] == [(26,), None]
    folds = storage.join(undisturbed[0].place, "folds")
    with_layer = [name for name in storage.names(folds) if len(storage.names(storage.join(folds, name))) > 3]
    assert with_layer == ["repeat-0-fold-00"]


def test_a_table_of_nothing_owes_everything_and_writes_nothing(lake: str) -> None:
    before = files(lake)
    lines = reproduce(lake, "stanford2015", CHOICE, train_missing=False)
    assert [(line.value, line.remark) for line in lines] == [(None, "owed: not trained yet.")] * 2
    (missing, *_) = reproduce(lake, "stanford2015", Choice(columns=("R2",)), train_missing=False)
    assert missing.remark.startswith("owed: ")
    assert "has no finished chunks64 of emodb: run `raysee extract" in missing.remark
    assert files(lake) == before


def test_first_folds_and_then_all_is_all_at_once(lake: str, undisturbed: list[Line]) -> None:
    """The support vector machine is tuned on all tested folds, also where the first one is fitted alone."""
    some = reproduce(lake, "stanford2015", CHOICE, first_folds=1)
    assert [(line.num_trainings, line.remark) for line in some] == [(2, "(2 trainings so far)")] * 2
    assert figures(reproduce(lake, "stanford2015", CHOICE, train_missing=False)) == figures(some)
    assert figures(reproduce(lake, "stanford2015", CHOICE)) == figures(undisturbed)


def test_a_run_without_one_of_its_folds_says_how_many_it_has(listed: pathlib.Path, undisturbed: list[Line]) -> None:
    root = str(shutil.copytree(listed.with_name("undisturbed"), listed.with_name("half")))
    place = undisturbed[0].place.replace("/undisturbed/", "/half/")
    storage.remove(storage.join(place, receipts.NAME))
    storage.remove(storage.join(place, "folds", "repeat-1-fold-02", receipts.NAME))
    (first, second) = reproduce(root, "stanford2015", CHOICE, train_missing=False)
    assert (first.num_trainings, first.remark) == (TRAININGS - 1, f"({TRAININGS - 1} trainings so far)")
    assert (second.num_trainings, second.remark) == (TRAININGS, "")
    assert figures(reproduce(root, "stanford2015", CHOICE)) == figures(undisturbed)


def test_killed_in_the_middle_and_started_again(lake: str, undisturbed: list[Line]) -> None:
    before = kill_in_the_middle(
        f"{WORDS} --to {lake}", lake, "runs/*/*/folds/*/receipt.json", total=2 * TRAININGS, whole_machine=True
    )
    again = reproduce(lake, "stanford2015", CHOICE)
    assert kept(lake, before)
    assert figures(again) == figures(undisturbed)
    assert written(lake)["ours"].to_pylist() == [line.value and line.value.value for line in undisturbed]
    stamps = files(lake)
    assert figures(reproduce(lake, "stanford2015", CHOICE)) == figures(undisturbed)
    assert files(lake).keys() == stamps.keys()


def test_what_is_made_of_two_runs_waits_for_the_same_folds_of_both(lake: str) -> None:
    extract(lake, "emodb", ["chunks64"])
    choice = Choice(columns=("ER2",), protocol="strict", size="debug", epochs=1)
    (whole,) = reproduce(lake, "stanford2015", choice)
    assert whole.value is not None
    assert 0 <= whole.value.value <= 1
    storage.remove(storage.join(whole.place, receipts.NAME))
    storage.remove(storage.join(whole.place, "folds", "repeat-0-fold-01", receipts.NAME))
    (half,) = reproduce(lake, "stanford2015", choice, train_missing=False)
    assert (half.value, half.remark) == (
        None,
        "owed: the runs that it is made of have not finished the same trainings yet.",
    )
    assert figures(reproduce(lake, "stanford2015", choice)) == figures([whole])


def of_chunks(**training: object) -> RunConfig:
    return RunConfig(
        corpora=("emodb",),
        features="chunk26",
        model="fc2",
        labels=("anger", "sadness"),
        deliver=False,
        training=TrainingConfig.model_validate({"epochs": 2, "learning_rate": 1e-3, **training}),
    )


def planned(monkeypatch: pytest.MonkeyPatch, *configs: RunConfig) -> None:
    """An experiment "trial" of these runs."""
    runs = [Run(config, (Claim(f"run {number}", "UAR"),)) for number, config in enumerate(configs)]
    trial = Experiment("A trial", "", ("emodb",), ("all",), lambda corpora, choice: list(runs), {})
    monkeypatch.setitem(EXPERIMENTS, "trial", trial)


def test_a_loss_that_explodes_is_owed_and_the_next_run_follows(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, of_chunks(epochs=3, learning_rate=1e30), of_chunks())
    for _ in range(2):
        wild, tame = reproduce(lake, "trial", Choice())
        assert wild.value is None
        assert "lower the learning rate (it is 1e+30)" in wild.remark
        assert wild.remark.startswith("owed: ")
        assert tame.value is not None
    assert written(lake, "trial")["ours"].to_pylist() == [None, tame.value.value]


def test_what_cannot_be_split_is_owed(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, of_chunks().model_copy(update={"model": "svm", "protocol": "strict"}))
    (line,) = reproduce(lake, "trial", Choice())
    assert line.remark.startswith("owed: The training part of a fold has one speaker")


def test_features_of_an_earlier_listing_are_brought_up_to_date(
    lake: str, listed: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, of_chunks())
    (before,) = reproduce(lake, "trial", Choice())
    fewer = pathlib.Path(shutil.copytree(listed.with_name("emodb"), pathlib.Path(lake).with_name("emodb")))
    (fewer / "wav" / "03a01Wa.wav").unlink()
    manifest(lake, "emodb", str(fewer), allow_count_mismatch=True, overwrite=True)
    (after,) = reproduce(lake, "trial", Choice())
    sizes = [receipts.read(line.place) for line in (before, after)]
    assert [receipt and receipt.counts["out"] for receipt in sizes] == [24, 23]


def test_a_missing_extra_is_owed_in_one_line(lake: str) -> None:
    """openSMILE as on a machine where it was never installed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:  # short: Ray's sockets lie below it
        stub = pathlib.Path(home) / "without" / "opensmile.py"
        stub.parent.mkdir()
        stub.write_text("raise ImportError('not here')\n")
        words = f"reproduce keesing2020 --to {lake} --columns SVM --size debug"
        ended = subprocess.run(
            [sys.executable, "-m", "raysee", *words.split()],
            capture_output=True,
            text=True,
            env=without_ray(RAY_TMPDIR=home, PYTHONPATH=str(stub.parent)),
            timeout=240,
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert 'owed: The features is09 are made by openSMILE, which is not installed: pip install "raysee' in ended.stdout
    table = written(lake, "keesing2020")
    assert (table["what"].to_pylist(), table["ours"].to_pylist()) == (["SVM", "Human"], [None, None])


@pytest.mark.parametrize(
    ("name", "choice", "corpora", "message"),
    [
        ("keesing", Choice(), (), "Unknown experiment 'keesing'; choose one of: .*keesing2020"),
        ("mlp-vs-cnn", Choice(), (), "has none of the experiment's corpora .*ravdess.*raysee manifest"),
        ("mlp-vs-cnn", Choice(), ("emodb",), "The experiment is about ravdess, ravdess_song, not emodb"),
        ("mlp-vs-cnn", Choice(), ("ravdess",), "has no manifest of ravdess: run `raysee manifest"),
        ("stanford2015", Choice(columns=("R99",)), (), "Unknown column 'R99'; choose one of: .*R1"),
        ("stanford2015", Choice(protocol="loso"), (), "Unknown protocol 'loso'; choose one of: .*strict"),
        ("badshah2017", Choice(protocol="paper"), (), "Nothing of badshah2017 can be run with"),
        (
            "badshah2017",
            Choice(columns=("fine-tuned",)),
            (),
            "Nothing of badshah2017 can be run with.*it starts from ImageNet weights: .* by --initial",
        ),
        ("stanford2015", Choice(columns=("R7",)), (), "Nothing of stanford2015 can be run with.*of enterface alone"),
    ],
)
def test_what_cannot_be_reproduced_is_said_before_anything_is_written(
    listed: pathlib.Path, name: str, choice: Choice, corpora: tuple[str, ...], message: str
) -> None:
    before = files(str(listed))
    with pytest.raises(ConfigurationError, match=message):
        reproduce(str(listed), name, choice, corpora=corpora)
    assert files(str(listed)) == before


def test_a_column_that_lacks_something_is_owed_beside_the_others(lake: str) -> None:
    choice = dataclasses.replace(CHOICE, columns=("SVM", "R7"))
    svm, augmented = reproduce(lake, "stanford2015", choice)
    assert svm.value is not None
    assert (augmented.value, augmented.claim.published) == (None, 0.55)
    assert augmented.remark.startswith("owed: it is of enterface alone")
    table = written(lake)
    assert table["remark"].to_pylist() == ["", augmented.remark]
    assert table["incomparable"].to_pylist() == ["synthetic, debug size, other corpora", ""]
    assert figures(reproduce(lake, "stanford2015", choice, train_missing=False)) == figures([svm, augmented])
    planned = plan_experiment(lake, "stanford2015", choice)
    assert [(one.config.corpora, one.remark) for one in planned] == [
        (("emodb",), "finished"),
        (("enterface",), augmented.remark.removeprefix("owed: ")),
    ]


def test_corpora_that_are_left_out_are_named(lake: str) -> None:
    assert left_out(lake, "badshah2017", ()) == ""
    assert left_out(lake, "stanford2015", ()) == (
        f"Left out, because {lake} does not have them: savee, enterface. `raysee manifest` lists a corpus."
    )
    assert left_out(lake, "stanford2015", ("emodb",)) == "Left out by --corpora: savee, enterface."


def test_weights_that_are_not_there_stop_the_experiment(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, of_chunks().model_copy(update={"initial": "/nowhere/weights.safetensors"}))
    with pytest.raises(MissingError, match="weights.safetensors does not exist: check the spelling"):
        reproduce(lake, "trial", Choice())
