import pathlib

import pytest

from raysee import storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.plan import as_text, plan
from raysee.distributed.run import place_of
from raysee.distributed.train import Found, train, train_all
from raysee.errors import ConfigurationError, RayseeError
from raysee.receipts import Stage
from raysee.training import finished
from raysee.training.inputs import find

CONFIG = RunConfig(
    corpora=("emodb",),
    features="chunk26",
    model="fc2",
    size="debug",
    deliver=False,
    labels=("anger", "sadness"),
    training=TrainingConfig(epochs=2, batch_size=16, learning_rate=1e-3),
)
WILD = CONFIG.model_copy(update={"training": TrainingConfig(epochs=3, learning_rate=1e30)})
MISSING = CONFIG.model_copy(update={"features": "chunks64", "model": "stanford-r2"})
REPEATED = CONFIG.model_copy(update={"repeats": 2})


@pytest.fixture(scope="module")
def lake(ray_session: None, emodb_tree: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = storage.normalise(tmp_path_factory.mktemp("plan") / "lake")
    manifest(root, "emodb", str(emodb_tree), allow_count_mismatch=True)
    extract(root, "emodb", ["chunk26"])
    return root


def folds_of(root: str, config: RunConfig) -> list[str]:
    return [storage.basename(fold) for fold in finished.finished(place_of(find(root, config)))]


def test_what_is_missing_is_planned_and_then_trained(lake: str) -> None:
    """Runs one after the other: what a plan counts is what a start trains, and nothing is left of it then."""
    (before,) = plan(lake, [REPEATED])
    assert (before.num_finished, len(before.seconds)) == (0, 6), "three speakers, two repeats"
    assert all(seconds > 0 for seconds in before.seconds)
    assert folds_of(lake, REPEATED) == [], "it trains none"
    train_all(lake, [REPEATED], first_folds=1)
    (between,) = plan(lake, [REPEATED])
    assert (between.num_finished, len(between.seconds)) == (2, 4)
    assert plan(lake, [REPEATED], first_folds=1)[0].seconds == ()
    train(lake, REPEATED)
    assert plan(lake, [REPEATED])[0].remark == "finished"


def test_a_plan_says_what_takes_how_long(lake: str) -> None:
    svm = CONFIG.model_copy(update={"model": "svm"})
    text = as_text(plan(lake, [CONFIG.model_copy(update={"repeats": 3}), svm, MISSING]), 0, price=2)
    assert "emodb fc2 chunk26 strict: 9 trainings" in text
    assert "emodb svm chunk26 strict: 3 fits of a classifier" in text
    assert "emodb stanford-r2 chunks64 strict" in text
    assert "has no finished chunks64 of emodb" in text
    assert "9 trainings: " in text
    assert "at 2 an hour; without 1 run that something is missing for" in text
    assert all(f"on {workers} CPU core" in text for workers in (1, 8, 64))


def test_longer_trainings_are_expected_to_take_longer(lake: str) -> None:
    longer = CONFIG.model_copy(update={"training": TrainingConfig(epochs=200, batch_size=16)})
    short, long = plan(lake, [CONFIG.model_copy(update={"repeats": 4}), longer])
    assert long.seconds[0] == pytest.approx(100 * short.seconds[0], rel=1e-6), "the network is timed once"


def test_no_gpu_is_found_by_the_plan(lake: str) -> None:
    with pytest.raises(ConfigurationError, match="A GPU was asked for and the cluster has none"):
        plan(lake, [CONFIG], gpus=1)


def test_the_error_of_one_run_does_not_stop_the_others(lake: str) -> None:
    told: dict[int, Found] = {}
    counted: list[tuple[int, int]] = []
    found = train_all(
        lake,
        [WILD, MISSING, CONFIG],
        on_found=lambda number, what: told.update({number: what}),
        on_progress=lambda done, total, remark: counted.append((done, total)),
    )
    assert [type(one) for one in found] == [RayseeError, ConfigurationError, Stage]
    assert "lower the learning rate" in str(found[0])
    assert told == dict(enumerate(found)), "each run has ended once"
    assert folds_of(lake, CONFIG) == ["repeat-0-fold-00", "repeat-0-fold-01", "repeat-0-fold-02"]
    assert counted[-1][1] == 6, "three trainings each of two runs that began"
    assert train(lake, CONFIG).found


def test_several_runs_at_once_are_the_same_as_one_after_the_other(lake: str, tmp_path: pathlib.Path) -> None:
    changed = [CONFIG.model_copy(update={"training": TrainingConfig(epochs=2, seed=seed)}) for seed in (5, 6)]
    together = train_all(lake, changed, seconds_a_row=[1.0, 2.0])
    for config, stage in zip(changed, together, strict=True):
        assert isinstance(stage, Stage)
        again = train(lake, config, overwrite=True)
        assert again.receipt.details["metrics"] == stage.receipt.details["metrics"]
