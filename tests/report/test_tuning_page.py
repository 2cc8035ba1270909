import json
import pathlib
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from raysee import receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.errors import ConfigurationError
from raysee.evaluation.compare import Comparison, compare
from raysee.evaluation.metrics import summarise
from raysee.models.spaces import Space, configured, point_of
from raysee.receipts import Receipt
from raysee.report.tuning import mean_importance, verdict, write_page
from raysee.storage import join
from raysee.training.tuning import Trial, space_as_json, trial_place

LABELS = ["anger", "neutral", "sadness"]
SPEAKERS = [f"{number:02d}" for number in range(8)]
SEARCHES = ["outer-00", "outer-01", "everybody"]
CONFIG = RunConfig(
    corpora=("emodb",), features="logmel40", model="aldeneh", training=TrainingConfig(learning_rate=1e-3)
)
SPACE: Space = {
    "training.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "features": CategoricalDistribution(("logmel40", "mfcc")),
}


def predictions(right: float, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "clip_id": f"{speaker}{label}{take}",
            "speaker": speaker,
            "gender": None,
            "repeat": 0,
            "fold": number % 2,
            "speaker_heard": False,
            "sentence_heard": None,
            "label": label,
            "predicted": label if rng.random() < right else LABELS[(LABELS.index(label) + 1) % 3],
            "labels": LABELS,
            "probabilities": [1 / 3] * 3,
        }
        for number, speaker in enumerate(SPEAKERS)
        for label in LABELS
        for take in range(10)
    ]
    return pa.Table.from_pylist(rows, schema=schema.PREDICTIONS)


def trials() -> list[Trial]:
    """Twelve with all folds, whose figure grows with the learning rate, one that was stopped and one that failed."""
    rates = np.logspace(-4, -2, 12)
    found = [
        Trial(
            number=number,
            point={"training.learning_rate": float(rate), "features": ("mfcc", "logmel40")[number % 2]},
            status="finished",
            folds=[1, 0, 2],
            uars=[0.4 + 0.02 * number] * 3,
            wall_s=2.0,
            elapsed_s=number + 1.0,
        )
        for number, rate in enumerate(rates)
    ]
    stopped = found[0].model_copy(update={"number": 12, "status": "stopped", "folds": [0, 1], "uars": [0.7, 0.99]})
    failed = found[0].model_copy(
        update={"number": 13, "status": "failed", "folds": [], "uars": [], "error": "the loss is <nan>"}
    )
    return [*found, stopped, failed]


def tuned(root: pathlib.Path, *, gain: float = 0.2, synthetic: bool = False) -> tuple[str, Comparison]:
    """A finished tuning as `raysee tune` leaves it."""
    place = storage.normalise(root / "tuning")
    before, after = predictions(0.6, 0), predictions(0.6 + gain, 1)
    for name in SEARCHES:
        for trial in trials():
            storage.write_bytes(trial_place(join(place, "folds", name), trial.number), trial.model_dump_json().encode())
        if name == "everybody":
            continue
        for kind, uar in (("tuned", 0.8125), ("untuned", 0.625)):
            fit: dict[str, Any] = {"uar": uar, "test_speakers": SPEAKERS[int(name[-1]) :: 2], "wall_s": 5.0}
            fit |= {"trial": 11 if kind == "tuned" else None, "passed_over": []}
            storage.write_bytes(join(place, "folds", name, kind, receipts.NAME), json.dumps(fit).encode())
    best = trials()[11]
    details: dict[str, Any] = {
        "labels": LABELS,
        "synthetic": synthetic,
        "searches": SEARCHES,
        "chosen": [best.model_dump()] * 3,
        "untuned_point": point_of(CONFIG, SPACE),
        "delivered": configured(CONFIG, best.point).model_dump(mode="json"),
        "metrics": summarise(after, LABELS)._asdict(),
        "untuned_metrics": summarise(before, LABELS)._asdict(),
        "comparison": compare(before, after)._asdict(),
        "hours": 0,
    }
    receipts.write(
        place,
        Receipt(
            stage="tune",
            fingerprint="0" * 12,
            config={"space": space_as_json(SPACE)},
            inputs={},
            counts={"in": 240, "out": 240, "rejected": 0},
            rejects={},
            details=details,
            wall_s=60.0,
        ),
    )
    return place, compare(before, after)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Comparison]:
    """The page of a tuning that has helped, and its figures."""
    place, found = tuned(tmp_path_factory.mktemp("tuning"))
    return page_of(place), found


def page_of(place: str) -> str:
    return re.sub(r"\s+", " ", storage.read_bytes(write_page(place)).decode())


def text_of(page: str) -> str:
    without = re.sub(r"<style>.*?</style>", "", page)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without))


def test_the_honest_figure_stands_beside_the_untuned_one(drawn: tuple[str, Comparison]) -> None:
    text, found = text_of(drawn[0]), drawn[1]
    assert f"tuned configurations have a UAR of {100 * found.second_uar:.1f} %" in text
    assert f"untuned one has {100 * found.first_uar:.1f} %" in text
    assert found.interval is not None
    low, high = (f"{100 * end:+.1f}" for end in found.interval)
    assert f"{100 * found.difference:+.1f} points (95 % over speakers: {low} to {high} )" in text.replace("),", " ),")
    assert f"p = {found.p_value:.3f} by flipping 8 speakers" in text
    assert "Tuning has helped." in text


def test_no_gain_is_said_to_be_none(tmp_path: pathlib.Path) -> None:
    place, found = tuned(tmp_path, gain=0.0)
    assert found.p_value > 0.05
    assert "no gain is shown" in text_of(page_of(place))


@pytest.mark.parametrize(
    ("difference", "p_value", "speakers", "said"),
    [
        (0.1, 0.01, 10, "has helped"),
        (-0.1, 0.01, 10, "has done harm"),
        (0.1, 0.2, 10, "no gain is shown"),
        (0.3, 0.0625, 5, "5 speakers are too few"),
    ],
)
def test_the_verdict(difference: float, p_value: float, speakers: int, said: str) -> None:
    assert said in verdict(Comparison(0.5, 0.5 + difference, difference, None, p_value, speakers, 100))


def test_every_search_shows_its_trials_and_what_its_choice_reached(drawn: tuple[str, Comparison]) -> None:
    page = drawn[0]
    text = text_of(page)
    for name in SEARCHES:
        assert f"{name} : 14 trials, 12 over all folds, 1 stopped, 1 failed, 28 s" in text.replace(
            f"{name}:", f"{name} :"
        )
    assert "outer-00 00, 02, 04, 06 62.0 81.2 62.5 learning_rate 0.01, features logmel40" in text
    assert "everybody 0" not in text, "nobody is left to test the last choice"
    assert "the loss is &lt;nan&gt;" in page
    assert "13 stopped 2 84.5 2.0" in text
    assert page.count("data:image/png") == 3
    assert "all trials 84 s" in text
    assert "tuned and untuned on the outer folds 20 s" in text
    assert "all searches by the clock 36 s" in text


def test_a_choice_that_could_not_be_trained_is_said(tmp_path: pathlib.Path) -> None:
    place, _ = tuned(tmp_path)
    uri = join(place, "folds", "outer-01", "tuned", receipts.NAME)
    fit = json.loads(storage.read_bytes(uri))
    storage.write_bytes(uri, json.dumps({**fit, "trial": 9, "passed_over": ["the loss is <nan>."]}).encode())
    page = page_of(place)
    assert "outer-01 01, 03, 05, 07 58.0 81.2 62.5 learning_rate 0.004329, features logmel40" in text_of(page)
    assert page.count("not the best trial, whose training here failed: the loss is &lt;nan&gt;.") == 1


def test_the_page_has_the_importance_and_the_configuration(drawn: tuple[str, Comparison]) -> None:
    text = text_of(drawn[0])
    shares = mean_importance([trials()[:12]] * 2, SPACE)
    assert list(shares) == ["training.learning_rate", "features"]
    assert shares["training.learning_rate"] > 0.8
    assert re.search(r"Share in the variance .* training\.learning_rate \d+\.\d % features \d+\.\d %", text)
    assert "training.learning_rate 0.001 0.01" in text
    assert "features logmel40 logmel40" in text
    assert "&#34;learning_rate&#34;: 0.01" in text
    assert mean_importance([trials()[:3]], SPACE) == {}


def test_synthetic_figures_are_marked(tmp_path: pathlib.Path, drawn: tuple[str, Comparison]) -> None:
    place, found = tuned(tmp_path, synthetic=True)
    text = text_of(page_of(place))
    assert f"UAR of {100 * found.second_uar:.1f} synthetic %" in text
    spoken = re.sub(r"<style>.*?</style>", "", drawn[0])
    assert 'class="synthetic"' not in spoken
    assert 'class="beside"' not in spoken


def test_another_place_is_a_sentence(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no finished tuning: give the folder of a run of `raysee tune`"):
        write_page(str(tmp_path))
    place, _ = tuned(tmp_path)
    receipt = receipts.read(place)
    assert receipt is not None
    receipts.write(place, receipt.model_copy(update={"details": {"labels": LABELS}}))
    with pytest.raises(ConfigurationError, match="another version of raysee"):
        write_page(place)
