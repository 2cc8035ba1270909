import collections
import types
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from raysee.config import RunConfig, TrainingConfig
from raysee.errors import ConfigurationError, RayseeError
from raysee.evaluation.folds import make_folds, outer_folds, search_folds
from raysee.evaluation.metrics import metrics
from raysee.evaluation.protocols import protocol
from raysee.models import MODELS, build, published
from raysee.models.spaces import SPACES, Space, configured, point_of, space_of
from raysee.training import tuning
from raysee.training.clips import Clips
from raysee.training.fit import fit_fold
from raysee.training.tuning import Material, Trial, importance, outside, ranked

LABELS = ["anger", "neutral", "sadness"]
STRICT = protocol("strict")
CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    training=TrainingConfig(epochs=2, learning_rate=1e-3),
)
SPACE: Space = {
    "training.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "training.batch_size": CategoricalDistribution((16, 32)),
}
SHAPES = {
    "waveform": (1,),
    "array180": (180,),
    "image256": (256, 256, 3),
    "sliding227": (227, 227, 3),
    "chunks64": (64, 51, 1),
    "chunk26": (26,),
    "summary180": (180,),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def clips(num_speakers: int = 6, each: int = 2) -> Clips:
    """Every class lifts a column of its own in arrays of 64 frames."""
    rng = np.random.default_rng(0)
    arrays, speakers, labels = [], [], []
    for speaker in range(num_speakers):
        for number, label in enumerate(LABELS):
            for _ in range(each):
                array = rng.normal(size=(64, 5)).astype(np.float32)
                array[:, number] += 0.4
                arrays.append(array)
                speakers.append(f"s{speaker:02d}")
                labels.append(label)
    nothing: list[str | None] = [None] * len(arrays)
    return Clips(
        values=np.concatenate(arrays),
        offsets=np.arange(len(arrays) + 1) * 64,
        clip_ids=[f"c{number:03d}" for number in range(len(arrays))],
        corpora=["emodb"] * len(arrays),
        speakers=speakers,
        groups=speakers,
        labels=labels,
        genders=nothing,
        sentences=nothing,
        repetitions=nothing,
    )


def material(found: Clips) -> Material:
    return Material({"logmel40": found}, {}, LABELS, None)


def speakers_of(found: Clips, part: npt.NDArray[np.int64]) -> set[str]:
    return {found.speakers[clip] for clip in part.tolist()}


def trial(number: int, uars: list[float], status: Any = "finished", **values: Any) -> Trial:
    point = {"training.learning_rate": 1e-3, "training.batch_size": 16, **values}
    folds = list(range(len(uars)))
    return Trial(number=number, point=point, status=status, folds=folds, uars=uars, wall_s=1.0, elapsed_s=1.0)


def test_every_network_has_a_space() -> None:
    assert SPACES.keys() == MODELS.keys()


@pytest.mark.parametrize("model", sorted(SPACES))
def test_a_space_holds_the_network_as_published_and_its_ends_can_be_built(model: str) -> None:
    features, training = published(model)
    config = RunConfig(corpora=("emodb",), features=features[0], model=model, training=training)
    space = space_of(model, "published")
    assert not outside(point_of(config, space), space)
    assert configured(config, point_of(config, space)).training == training
    searched = space.get("features")
    assert searched is None or set(searched.choices) <= set(features)  # type: ignore[attr-defined]
    shape = SHAPES.get(features[0], (40,))
    with torch.device("meta"):
        plain = sum(one.numel() for one in build(config, shape, 7).parameters())
        same = build(configured(config, point_of(config, space)), shape, 7)
        assert sum(one.numel() for one in same.parameters()) == plain
        for end in ("low", "high"):
            ends = {name: getattr(one, end) for name, one in space.items() if hasattr(one, end)}
            built = build(configured(config, ends), shape, 7)
            dropouts = [layer.p for layer in built.modules() if isinstance(layer, torch.nn.Dropout)]
            assert ends["options.dropout"] in dropouts
            assert set(dropouts) <= {ends["options.dropout"], 0.0}, "0: a front part of a network that has none"
            sizes = [name for name in ends if name.startswith("options.") and name != "options.dropout"]
            assert not sizes or (sum(one.numel() for one in built.parameters()) > plain) == (end == "high")


def test_a_debug_network_keeps_its_small_layers() -> None:
    names = space_of("zhao", "debug")
    assert "options.dropout" in names
    assert not {"options.num_units", "options.filter_factor"} & names.keys()
    with pytest.raises(ConfigurationError, match="Unknown network to tune 'svm'; choose one of: aldeneh"):
        space_of("svm", "published")


def test_a_point_and_a_configuration_are_the_same_values() -> None:
    space = space_of("aldeneh", "published")
    config = RunConfig(corpora=("emodb",), features="logmel40", model="aldeneh", options={"num_filters": 128})
    point = point_of(config, space)
    assert (point["options.num_filters"], point["options.num_hidden"], point["options.dropout"]) == (128, 1024, 0.0)
    changed = configured(config, {**point, "features": "mfcc", "training.epochs": 25, "options.dropout": 0.5})
    assert (changed.features, changed.training.epochs, changed.options["dropout"]) == ("mfcc", 25, 0.5)
    assert changed.training.learning_rate == config.training.learning_rate
    assert outside({**point, "training.balance": 2.0, "features": "wavlm"}, space) == ["training.balance", "features"]


def test_outer_folds_test_every_speaker_once_and_share_none() -> None:
    found = clips(num_speakers=7)
    folds = outer_folds(STRICT, found.held(np.arange(len(found))), 3)
    tested = collections.Counter(speaker for fold in folds for speaker in speakers_of(found, fold.test))
    assert len(folds) == 3
    assert set(tested.values()) == {1}
    assert len(tested) == 7
    for fold in folds:
        parts = [speakers_of(found, part) for part in (fold.train, fold.validation, fold.test)]
        assert len(set.union(*parts)) == sum(map(len, parts)) == 7
        assert len(parts[1]) == 1, "the first of the inner folds chooses the epoch"


def test_few_speakers_are_left_out_one_at_a_time() -> None:
    found = clips(num_speakers=4)
    assert len(outer_folds(STRICT, found.held(np.arange(len(found))), 3)) == 4
    few = clips(num_speakers=3)
    with pytest.raises(ConfigurationError, match="three or more, and this corpus has 3"):
        outer_folds(STRICT, few.held(np.arange(len(few))), 3)


def test_search_folds_are_those_of_the_strict_protocol() -> None:
    found = clips(num_speakers=5)
    held = found.held(np.arange(len(found)))
    ours = {tuple(tuple(part.tolist()) for part in (fold.train, fold.test)) for fold in search_folds(held)}
    tests = [fold.test.tolist() for fold in search_folds(held)]
    assert [fold.validation.tolist() for fold in search_folds(held)] == [*tests[1:], tests[0]]
    strict = make_folds(STRICT, held, seed=0)[:-1]
    assert {tuple(fold.test.tolist()) for fold in strict} == {test for _, test in ours}
    assert {len(train) for train, _ in ours} == {len(fold.train) for fold in strict}


def test_folds_are_of_the_same_speakers_whatever_an_example_is() -> None:
    found = clips(num_speakers=6)
    by_row = np.repeat(np.arange(len(found)), 3)
    for ours, theirs in zip(
        outer_folds(STRICT, found.held(np.arange(len(found))), 2),
        outer_folds(STRICT, found.held(by_row), 2),
        strict=True,
    ):
        for clip_part, row_part in [(ours.train, theirs.train), (ours.validation, theirs.validation)]:
            assert sorted(set(by_row[row_part].tolist())) == clip_part.tolist()


def test_a_search_holds_nothing_of_the_test_speakers() -> None:
    found = clips()
    fold = tuning.outer_folds_of(material(found), 2)[0]
    seen = tuning.within(material(found), fold).any_clips
    assert set(seen.speakers) == set(found.speakers) - speakers_of(found, fold.test)
    assert len(seen.values) == 64 * len(seen) == 64 * (len(found) - len(fold.test))
    assert not np.shares_memory(seen.values, found.values)
    for clip, clip_id in enumerate(seen.clip_ids):
        assert np.array_equal(seen.array(clip), found.array(found.clip_ids.index(clip_id)))


def test_a_trial_is_plain_training_on_each_inner_fold() -> None:
    found = clips(num_speakers=3)
    point = {"training.learning_rate": 3e-3, "training.batch_size": 16}
    scored = list(tuning.scores(material(found), CONFIG, point))
    folds = search_folds(found.held(np.arange(len(found))))
    assert sorted(number for number, _ in scored) == [0, 1, 2]
    number, uar = scored[0]
    config = CONFIG.model_copy(update={"training": TrainingConfig(epochs=2, learning_rate=3e-3, batch_size=16)})
    plain = fit_fold(config, found, LABELS, folds[number], 0)
    truth = [found.labels[clip] for clip in folds[number].test.tolist()]
    said = [LABELS[index] for index in plain.probabilities.argmax(axis=1)]
    assert uar == pytest.approx(metrics(truth, said, LABELS).uar)


def test_the_order_of_folds_differs_between_trials_and_not_between_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    told = types.SimpleNamespace(uar_mean_of_folds=0.5)
    monkeypatch.setattr(tuning, "_said", lambda *_: (None, None))
    monkeypatch.setattr(tuning, "summarise", lambda *_: told)
    found = material(clips())
    orders = {
        rate: [
            tuple(fold for fold, _ in tuning.scores(found, CONFIG, {"training.learning_rate": rate})) for _ in (0, 1)
        ]
        for rate in (1e-4, 2e-4, 3e-4, 4e-4)
    }
    assert all(first == again for first, again in orders.values())
    assert len({first for first, _ in orders.values()}) > 1


def test_all_front_ends_are_tried_on_the_same_clips() -> None:
    found = clips(num_speakers=4)

    def inputs(features: str, left_out: str) -> Any:
        part = tuning._only(found, set(found.clip_ids) - {left_out})
        config = CONFIG.model_copy(update={"features": features})
        return types.SimpleNamespace(
            config=config, labels=LABELS, initial=None, clips=lambda: part, altered_clips=lambda: None
        )

    both = tuning.gather([inputs("logmel40", "c003"), inputs("mfcc", "c005")])
    assert both.clips.keys() == {"logmel40", "mfcc"}
    for one in both.clips.values():
        assert one.clip_ids == [name for name in found.clip_ids if name not in ("c003", "c005")]
        assert np.array_equal(one.array(3), found.array(4))
    wanted = tuning.inputs_of(CONFIG, {"features": CategoricalDistribution(("logmel40", "mfcc"))})
    assert [one.features for one in wanted] == ["logmel40", "mfcc"]


def test_the_best_of_the_trials_with_all_folds_comes_first() -> None:
    trials = [
        trial(0, [0.5, 0.5, 0.5]),
        trial(1, [0.9, 0.9], "stopped"),
        trial(2, [0.5, 0.625, 0.75]),
        trial(3, [0.625, 0.625, 0.625]),
        trial(4, [1.0], "failed"),
    ]
    assert [one.number for one in ranked(trials, 3)] == [2, 3, 0], "of equally good ones the earlier"
    broken = trials[4].model_copy(update={"error": "the loss is nan"})
    with pytest.raises(RayseeError, match="None of 2 trials .*1 failed, the first with: the loss is nan"):
        ranked([trials[1], broken], 3)
    with pytest.raises(RayseeError, match="the time was too short"):
        ranked([], 3)


def test_the_parameter_that_decides_is_the_important_one() -> None:
    rng = np.random.default_rng(0)
    rates = 10 ** rng.uniform(-4, -2, 40)
    points = [
        {"training.learning_rate": float(rate), "training.batch_size": (16, 32)[number % 2]}
        for number, rate in enumerate(rates)
    ]
    figures = 0.5 + 0.1 * np.log10(rates) + 0.001 * rng.normal(size=40)
    trials = [trial(number, [figures[number]] * 3, **point) for number, point in enumerate(points)]
    shares = importance(trials, SPACE)
    assert next(iter(shares)) == "training.learning_rate"
    assert shares["training.learning_rate"] > 0.9
    assert sum(shares.values()) == pytest.approx(1.0)
    assert importance(trials[:5], SPACE) == {}
    same = [one.model_copy(update={"point": {**one.point, "training.batch_size": 16}}) for one in trials]
    assert list(importance(same, SPACE)) == ["training.learning_rate"], "what never varied has no share"


def test_a_study_is_told_of_failures_without_their_figures() -> None:
    study = tuning.told([trial(0, [0.5, 0.7]), trial(1, [0.9], "failed"), trial(2, [], "failed")], SPACE)
    assert [one.value for one in study.trials] == [pytest.approx(0.6), None, None]
    assert [one.state.name for one in study.trials] == ["COMPLETE", "FAIL", "FAIL"]


def test_trials_come_back_from_their_receipts(tmp_path: Any) -> None:
    place = tmp_path.as_uri()
    written = [trial(11, [0.5], features="mfcc"), trial(2, [], "failed")]
    for one in written:
        tuning.storage.write_bytes(tuning.trial_place(place, one.number), one.model_dump_json().encode())
    assert tuning.read_trials(place) == [written[1], written[0]]
    assert isinstance(tuning.read_trials(place)[0].point["training.batch_size"], int)
