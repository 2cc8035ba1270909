"""A tuning from end to end on tones under EMO-DB's names: six speakers, two outer folds, three searches."""

import dataclasses
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any, NamedTuple

import numpy as np
import pytest
import ray
import soundfile
from optuna.distributions import CategoricalDistribution, FloatDistribution
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from raysee import receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.search import Plan, Progress, _Book, _tell, search
from raysee.distributed.tune import _fit_task, place_of, tune, tune_each
from raysee.errors import BusyError, ConfigurationError, MissingError, RayseeError
from raysee.evaluation.compare import compare
from raysee.lock import Lock
from raysee.models.spaces import Space, configured
from raysee.progress import quiet
from raysee.receipts import Stage
from raysee.training.clips import Clips
from raysee.training.tuning import Material, Trial, read_trials

CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    training=TrainingConfig(epochs=1, learning_rate=1e-3),
)
SPACE: Space = {
    "training.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "options.dropout": FloatDistribution(0.0, 0.5),
}
POINT: dict[str, Any] = {"training.learning_rate": 1e-3, "options.dropout": 0.0}  # of CONFIG
TRIALS = 3
SPEAKERS = ["03", "08", "09", "10", "11", "12"]
LABELS = ["anger", "neutral", "sadness"]


@pytest.fixture(scope="module")
def lake(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake of files with the features of 36 tones, whose pitch says the class."""
    root = tmp_path_factory.mktemp("tune")
    (root / "emodb" / "wav").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for (hz, letter), speaker, take in itertools.product([(220, "W"), (330, "N"), (440, "T")], SPEAKERS, "ab"):
        tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(12_000) / 16_000) + 0.02 * rng.normal(size=12_000)
        soundfile.write(root / "emodb" / "wav" / f"{speaker}a01{letter}{take}.wav", tone, 16_000)
    place = storage.normalise(root / "lake")
    manifest(place, "emodb", str(root / "emodb"), allow_count_mismatch=True)
    extract(place, "emodb", ["logmel40"])
    return place


def receipts_of(place: str) -> dict[str, bytes]:
    """Every file below a place that says that something is finished."""
    files = [file.uri for file in storage.list_files(place) if file.uri.endswith(".json")]
    return {uri: storage.read_bytes(uri) for uri in files if "claim" not in uri and "lock" not in uri}


@pytest.fixture(scope="module")
def broken_off(lake: str) -> dict[str, bytes]:
    """What a start leaves whose driver is killed when the first search lacks one trial, on the session's Ray."""
    code = f"""
import os, signal
from raysee.config import RunConfig
from raysee.distributed.tune import tune
from optuna.distributions import FloatDistribution

def end(done, total, remark):
    if done == {TRIALS - 1}:
        os.kill(os.getpid(), signal.SIGKILL)

config = RunConfig.model_validate_json({CONFIG.model_dump_json()!r})
tune({lake!r}, config, {SPACE!r}, trials={TRIALS}, outer=2, on_progress=end)
"""
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    process = subprocess.run([sys.executable, "-c", code], env=environment, timeout=250)
    assert process.returncode == -signal.SIGKILL
    return receipts_of(place_of(lake, CONFIG))


@pytest.fixture(scope="module")
def stage(lake: str, broken_off: dict[str, bytes]) -> Stage:
    return tune(lake, CONFIG, SPACE, trials=TRIALS, outer=2)


def test_a_second_start_does_what_is_missing(stage: Stage, broken_off: dict[str, bytes]) -> None:
    assert len(broken_off) == TRIALS - 1, "trials, and nothing else"
    after = receipts_of(stage.place)
    assert {uri: after[uri] for uri in broken_off} == broken_off, "nothing is done again"
    for name in ("outer-00", "outer-01", "everybody"):
        trials = read_trials(storage.join(stage.place, "folds", name))
        assert [trial.number for trial in trials] == list(range(TRIALS)), "as many as without a break"
        assert [trial.point for trial in trials].count(POINT) == 1, "the untuned one is among them"
        assert len({json.dumps(trial.point) for trial in trials}) == TRIALS


def test_what_is_finished_is_not_done_again(stage: Stage, lake: str) -> None:
    before = receipts_of(stage.place)
    lost = [storage.join(stage.place, *names) for names in (["receipt.json"], ["folds", "everybody", "chosen.json"])]
    for uri in lost:
        storage.remove(uri)
    again = tune(lake, CONFIG, SPACE, trials=TRIALS, outer=2)
    after = receipts_of(stage.place)
    assert again.receipt.details == stage.receipt.details
    assert {uri: data for uri, data in after.items() if uri != lost[0]} == {
        uri: data for uri, data in before.items() if uri != lost[0]
    }, "with their times"


def test_every_clip_is_tested_once_by_models_that_never_heard_its_speaker(stage: Stage) -> None:
    said = storage.read_table(storage.join(stage.place, "predictions.parquet"), schema.PREDICTIONS)
    assert sorted(set(said["clip_id"].to_pylist())) == sorted(said["clip_id"].to_pylist())
    assert said.num_rows == 36
    assert not any(said["speaker_heard"].to_pylist())
    assert len(set(zip(said["speaker"].to_pylist(), said["fold"].to_pylist(), strict=True))) == len(SPEAKERS)


def test_the_receipt_compares_tuned_with_untuned_on_the_same_clips(stage: Stage) -> None:
    tables = []
    for kind in ("untuned", "tuned"):
        folds = [storage.join(stage.place, "folds", f"outer-0{part}", kind) for part in (0, 1)]
        parts = [storage.read_table(storage.join(fold, "predictions.parquet"), schema.PREDICTIONS) for fold in folds]
        tables.append(schema.pa.concat_tables(parts))
    assert stage.receipt.details["comparison"] == compare(*tables)._asdict()
    first = json.loads(storage.read_bytes(storage.join(stage.place, "folds", "outer-00", "untuned", receipts.NAME)))
    assert first["config"]["training"] == CONFIG.training.model_dump()


def test_the_receipt_names_the_trials_that_were_tested(stage: Stage) -> None:
    tested = [
        json.loads(storage.read_bytes(storage.join(stage.place, "folds", name, "tuned", receipts.NAME)))["trial"]
        for name in ("outer-00", "outer-01")
    ]
    assert [trial["number"] for trial in stage.receipt.details["chosen"]][:2] == tested


def test_a_page_that_a_kill_has_cut_off_is_drawn_by_the_next_start(stage: Stage, lake: str) -> None:
    page = storage.join(stage.place, "report.html")
    storage.remove(page)
    assert tune(lake, CONFIG, SPACE, trials=TRIALS, outer=2).found
    assert b"aldeneh" in storage.read_bytes(page)


def test_the_delivered_configuration_is_the_choice_of_the_last_search(stage: Stage) -> None:
    delivered = RunConfig.model_validate_json(storage.read_bytes(storage.join(stage.place, "config.json")))
    trials = read_trials(storage.join(stage.place, "folds", "everybody"))
    best = max((trial for trial in trials if trial.status == "finished"), key=lambda trial: trial.uar or 0.0)
    assert delivered == configured(CONFIG, best.point)
    assert delivered.protocol == "strict"
    assert all(len(trial.uars) == len(SPEAKERS) for trial in trials if trial.status == "finished")
    page = storage.read_bytes(storage.join(stage.place, "report.html")).decode()
    assert f"{100 * stage.receipt.details['metrics']['uar_pooled']:.1f}" in re.sub(r"<[^>]+>", "", page)


def test_a_finished_tuning_is_found_and_another_one_is_a_sentence(stage: Stage, lake: str) -> None:
    assert tune(lake, CONFIG, SPACE, trials=TRIALS, outer=2).found
    wider = {**SPACE, "options.dropout": FloatDistribution(0.0, 0.9)}
    with pytest.raises(ConfigurationError, match="written by another tune .*different: space.*Choose another --to"):
        tune(lake, CONFIG, wider, trials=TRIALS, outer=2)
    with pytest.raises(ConfigurationError, match="different: trials"):
        tune(lake, CONFIG, SPACE, trials=TRIALS + 1, outer=2)


def test_one_corpus_that_cannot_be_tuned_does_not_stop_the_others(stage: Stage, lake: str) -> None:
    configs = [CONFIG.model_copy(update={"corpora": (name,)}) for name in ("ravdess", "emodb")]
    found = tune_each(lake, configs, SPACE, trials=TRIALS, outer=2)
    assert isinstance(found["ravdess"], RayseeError)
    assert isinstance(found["emodb"], Stage)


@pytest.mark.parametrize(
    ("change", "space", "message"),
    [
        ({"protocol": "paper"}, SPACE, "as protocol strict has them, not under paper"),
        ({"training": TrainingConfig(learning_rate=1.0)}, SPACE, "its training.learning_rate is not in the space"),
        ({}, {}, "0 parameters, 3 trials and 2 outer folds were asked for"),
    ],
)
def test_what_cannot_be_searched_is_said(lake: str, change: dict[str, Any], space: Space, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tune(lake, CONFIG.model_copy(update=change), space, trials=3, outer=2)


class Held(Lock):
    """One that is held, or, with a problem, is not any more."""

    def __init__(self, problem: RayseeError | None = None) -> None:
        self.problem = problem

    def check(self) -> None:
        if self.problem is not None:
            raise self.problem


def plan(place: pathlib.Path, space: Space, trials: int) -> Plan:
    uri = storage.normalise(place)
    return Plan(uri, CONFIG, space, trials, None, 0, Held())


def material(speakers_named: str = "abc") -> Material:
    """Speakers with two clips of each class."""
    rng = np.random.default_rng(0)
    names = list(itertools.product(speakers_named, LABELS, range(2)))
    nothing: list[str | None] = [None] * len(names)
    speakers = [speaker for speaker, _, _ in names]
    clips = Clips(
        values=rng.normal(size=(64 * len(names), 5)).astype(np.float32),
        offsets=np.arange(len(names) + 1) * 64,
        clip_ids=[f"{number:02d}" for number in range(len(names))],
        corpora=["emodb"] * len(names),
        speakers=speakers,
        groups=speakers,
        labels=[label for _, label, _ in names],
        genders=nothing,
        sentences=nothing,
        repetitions=nothing,
    )
    return Material({"logmel40": clips}, {}, LABELS, None)


def test_a_trial_that_fails_or_whose_worker_dies_is_a_row(ray_session: None, tmp_path: pathlib.Path) -> None:
    class Deadly(dict[str, Clips]):
        def __getitem__(self, name: str) -> Clips:
            if name == "mfcc":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(name)

    space: Space = {
        "features": CategoricalDistribution(("logmel40", "mfcc")),
        "training.learning_rate": CategoricalDistribution((1e-3, 1e30, 1e31)),
    }
    this = plan(tmp_path, space, 3)
    found = dataclasses.replace(material(), clips=Deadly(material().clips))
    chosen = search(this, "one", found, Progress(quiet, 3))[0]
    trials = read_trials(storage.join(this.place, "folds", "one"))
    assert len(trials) == 3
    assert chosen.point == {"features": "logmel40", "training.learning_rate": 1e-3}
    dead = [trial for trial in trials if trial.point["features"] == "mfcc"]
    wild = [trial for trial in trials if trial.point["features"] != "mfcc" and trial.point != chosen.point]
    assert dead, "the sampler's seed brings both"
    assert wild, "the sampler's seed brings both"
    assert {(trial.status, trial.error) for trial in dead} == {("failed", "its worker died")}
    assert {trial.status for trial in wild} == {"failed"}
    assert all("lower the learning rate" in trial.error for trial in wild)


def free_cores(wanted: float, patience_s: float) -> float:
    """How many cores of Ray's nobody holds, as soon as `wanted` are free."""
    deadline = time.monotonic() + patience_s
    while (free := ray.available_resources().get("CPU", 0.0)) < wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return free


def test_ctrl_c_gives_the_cores_back(ray_session: None, tmp_path: pathlib.Path) -> None:
    screen = threading.RLock()  # which cannot be pickled, as nothing of a progress bar can

    def interrupt(done: int, total: int, remark: str) -> None:
        with screen:
            if done == 1:
                os.kill(os.getpid(), signal.SIGINT)

    this, before = plan(tmp_path, SPACE, 6), signal.getsignal(signal.SIGINT)
    cores = free_cores(ray.cluster_resources()["CPU"], 30)  # less what an earlier test has lost
    with pytest.raises(KeyboardInterrupt):
        search(this, "one", material(), Progress(interrupt, 6))
    assert [trial.number for trial in read_trials(storage.join(this.place, "folds", "one"))] == [0]
    assert signal.getsignal(signal.SIGINT) is before
    # A worker that was just starting gives its core back when it has started.
    assert free_cores(cores, 180) >= cores, (
        f"another start in this process would wait for ever: {ray.available_resources()} are left"
    )


def test_where_the_choice_cannot_be_trained_the_next_best_is(ray_session: None, tmp_path: pathlib.Path) -> None:
    place, found = storage.normalise(tmp_path), material("abcd")
    wild = (7, configured(CONFIG, {"training.learning_rate": 1e30}))
    _fit_task._function(place, found, [wild, (3, CONFIG), (5, CONFIG)], 0, 2)
    receipt = json.loads(storage.read_bytes(storage.join(place, receipts.NAME)))
    assert receipt["trial"] == 3
    assert [re.sub(".*: ", "", reason) for reason in receipt["passed_over"]] == [
        "lower the learning rate (it is 1e+30)."
    ]
    assert receipt["config"]["training"] == CONFIG.training.model_dump()
    assert storage.read_table(storage.join(place, "predictions.parquet"), schema.PREDICTIONS).num_rows == 6
    with pytest.raises(RayseeError, match="None of 1 configurations could be trained for .*lower the learning rate"):
        _fit_task._function(place, found, [wild], 0, 2)


class Ended(NamedTuple):
    """What a book asks of one of Ray Tune's trials."""

    trial_id: str
    last_result: dict[str, Any]
    config: dict[str, Any]
    error_file: str | None = None


def half(trial_id: str) -> Ended:
    return Ended(trial_id, {"fold": 2, "folds": [1, 0], "uars": [0.25, 0.75], "uar": 0.5, "wall_s": 1.0}, POINT)


def test_a_trial_is_written_once_and_only_with_what_it_has(tmp_path: pathlib.Path) -> None:
    this = plan(tmp_path, SPACE, 6)
    book = _Book(this, storage.join(this.place, "one"), [], 3, Progress(quiet, 6))
    whole = Ended("a", {"fold": 3, "folds": [2, 1, 0], "uars": [0.5, 0.5, 1.0], "wall_s": 1.0}, POINT)
    for ended in (whole, whole, Ended("b", {}, POINT), half("c")):
        book.on_trial_complete(0, [], ended)
    book.on_trial_error(0, [], whole)
    trials = read_trials(storage.join(this.place, "one"))
    assert [(trial.number, trial.status, trial.uars) for trial in trials] == [
        (0, "finished", [0.5, 0.5, 1.0]),
        (1, "stopped", [0.25, 0.75]),
    ]
    assert not book.stop_all()


@pytest.mark.parametrize("problem", [BusyError("Another start has taken over."), MissingError("The bucket is gone.")])
def test_a_start_that_may_not_write_any_more_stops_all_trials(tmp_path: pathlib.Path, problem: RayseeError) -> None:
    this = plan(tmp_path, SPACE, 6)
    book = _Book(this, storage.join(this.place, "one"), [], 3, Progress(quiet, 6))
    book.on_trial_complete(0, [], half("a"))
    lost = this._replace(lock=Held(problem))
    other = _Book(lost, storage.join(this.place, "one"), [], 3, Progress(quiet, 6))
    other.on_trial_complete(0, [], half("b"))
    assert other.stop_all()
    assert other.problem is problem
    assert len(read_trials(storage.join(this.place, "one"))) == 1


def test_a_second_start_says_so_and_leaves(lake: str) -> None:
    config = CONFIG.model_copy(update={"training": CONFIG.training.model_copy(update={"seed": 77})})
    place = place_of(storage.normalise(lake), config)
    with Lock(place), pytest.raises(BusyError, match="is working on"):
        tune(lake, config, SPACE, trials=2, outer=2)
    assert storage.names(place) == set()


def test_a_scheduler_that_is_told_stops_as_if_it_had_seen(tmp_path: pathlib.Path) -> None:
    """Four trials with means of 0.6 to 0.9 after two folds: whoever has less than their median by then is stopped."""
    scheduler = ASHAScheduler("fold", "uar", "max", max_t=6, grace_period=2, reduction_factor=2)
    proposer = OptunaSearch(SPACE, metric="uar", mode="max")
    for number, uar in enumerate((0.6, 0.7, 0.8, 0.9)):
        uars = [uar - 0.1, uar + 0.1, uar]
        trial = Trial(
            number=number, point=POINT, status="stopped", folds=[0, 1, 2], uars=uars, wall_s=1.0, elapsed_s=1.0
        )
        _tell(proposer, scheduler, trial)
    for uar, action in ((0.74, "STOP"), (0.76, "CONTINUE")):
        scheduler.on_trial_add(None, Ended(str(uar), {}, POINT))
        assert scheduler.on_trial_result(None, Ended(str(uar), {}, POINT), {"fold": 1, "uar": uar}) == "CONTINUE"
        assert scheduler.on_trial_result(None, Ended(str(uar), {}, POINT), {"fold": 2, "uar": uar}) == action


def test_without_time_there_is_no_trial(ray_session: None, tmp_path: pathlib.Path) -> None:
    this = plan(tmp_path, SPACE, 6)._replace(budget_s=1e-6)
    with pytest.raises(RayseeError, match="the time was too short"):
        search(this, "one", material(), Progress(quiet, 6))
