import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional

from raysee.config import RunConfig, TrainingConfig
from raysee.errors import RayseeError
from raysee.evaluation.folds import Fold, make_folds
from raysee.evaluation.metrics import metrics
from raysee.evaluation.protocols import protocol
from raysee.models import MODELS
from raysee.training.batches import Batches, end_to_end
from raysee.training.clips import Clips, examples
from raysee.training.fit import FoldResult, derive_seed, fit_fold
from raysee.training.predict import predict, predict_clips

Array = npt.NDArray[np.float32]
LABELS = ["anger", "fear", "neutral"]
NUM_COLUMNS = 6


def corpus(num_speakers: int = 4, clips_each: int = 7, seed: int = 0) -> Clips:
    """Every class lifts a column of its own; each speaker is louder or softer by a constant."""
    rng = np.random.default_rng(seed)
    arrays, speakers, labels = [], [], []
    for speaker in range(num_speakers):
        for number in range(clips_each):
            array = rng.standard_normal((int(rng.integers(40, 90)), NUM_COLUMNS)) + speaker
            array[:, number % 3] += 1.5
            arrays.append(array.astype(np.float32))
            speakers.append(f"s{speaker}")
            labels.append(LABELS[number % 3])
    return Clips(
        values=np.concatenate(arrays),
        offsets=np.cumsum([0, *map(len, arrays)], dtype=np.int64),
        clip_ids=[f"{number:03}" for number in range(len(arrays))],
        corpora=["a"] * len(arrays),
        speakers=speakers,
        groups=speakers,
        labels=labels,
        genders=[None] * len(arrays),
        sentences=[None] * len(arrays),
        repetitions=[None] * len(arrays),
    )


def configuration(protocol_name: str = "strict", **training: Any) -> RunConfig:
    fields: dict[str, Any] = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, **training}
    return RunConfig(
        corpora=("emodb",),
        features="logmel40",
        model="aldeneh",
        size="debug",
        protocol=protocol_name,
        training=TrainingConfig(**fields),
    )


def first_fold(clips: Clips, protocol_name: str = "strict") -> Fold:
    return make_folds(protocol(protocol_name), clips.held(np.arange(len(clips))), seed=0)[0]


def changed(clips: Clips, indices: npt.NDArray[np.int64], scale: float = 3.0, shift: float = 1.0) -> Clips:
    values = clips.values.copy()
    for clip in indices:
        values[clips.offsets[clip] : clips.offsets[clip + 1]] *= scale
        values[clips.offsets[clip] : clips.offsets[clip + 1]] += shift
    return dataclasses.replace(clips, values=values)


def relabelled(clips: Clips, indices: npt.NDArray[np.int64]) -> Clips:
    following = dict(zip(LABELS, LABELS[1:] + LABELS[:1], strict=True))
    labels = [following[label] if clip in indices else label for clip, label in enumerate(clips.labels)]
    return dataclasses.replace(clips, labels=labels)


def equal(one: FoldResult, other: FoldResult) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def network_of(result: FoldResult) -> torch.nn.Module:
    model = MODELS["aldeneh"].sizes["debug"]((NUM_COLUMNS,), len(LABELS))
    model.load_state_dict(result.weights)
    return model


def test_twice_the_same_is_the_same_to_the_bit() -> None:
    clips = corpus()
    fold = first_fold(clips)
    one = fit_fold(configuration(), clips, LABELS, fold, 0)
    torch.randn(7)  # whatever was drawn before
    again = fit_fold(configuration(), clips, LABELS, fold, 0)
    assert equal(one, again)
    assert np.array_equal(one.probabilities, again.probabilities)
    assert one.curve == again.curve
    assert (one.fold, one.repeat, one.seed) == (0, 0, derive_seed(configuration(), 0, 0))


def test_a_repeat_is_another_training() -> None:
    clips = corpus()
    one, other = (fit_fold(configuration(epochs=1), clips, LABELS, first_fold(clips), repeat) for repeat in (0, 1))
    assert not equal(one, other)


def test_seeds_differ_by_fold_repeat_and_configuration() -> None:
    config = configuration()
    seeds = {
        derive_seed(config, 0, 0),
        derive_seed(config, 1, 0),
        derive_seed(config, 0, 1),
        derive_seed(config, -1, 0),
        derive_seed(config, 1, 1),
        derive_seed(config, 11, 0),  # 1 and 10 are not 11 and 0
        derive_seed(config, 1, 10),
        derive_seed(configuration(seed=1), 0, 0),
        derive_seed(config.model_copy(update={"corpora": ("ravdess",)}), 0, 0),
        derive_seed(config.model_copy(update={"features": "logmel240"}), 0, 0),
    }
    assert len(seeds) == 10
    assert derive_seed(config, 0, 0) == 239_043_566  # in every process and on every machine
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_something_learnable_is_learned() -> None:
    clips = corpus(clips_each=9)
    fold = first_fold(clips)
    result = fit_fold(configuration(epochs=12), clips, LABELS, fold, 0)
    assert result.probabilities.shape == (9, 3)
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, rtol=1e-5)
    predicted = [LABELS[index] for index in result.probabilities.argmax(axis=1)]
    assert metrics([clips.labels[clip] for clip in fold.test], predicted, LABELS).uar > 0.8
    assert [point.epoch for point in result.curve] == list(range(1, 13))
    assert result.curve[-1].train_loss < 0.5 * result.curve[0].train_loss


@pytest.mark.parametrize("change", [changed, relabelled])
def test_strict_learns_nothing_from_the_test_clips(change: Any) -> None:
    clips = corpus()
    fold = first_fold(clips)
    one = fit_fold(configuration(), clips, LABELS, fold, 0)
    other = fit_fold(configuration(), change(clips, fold.test), LABELS, fold, 0)
    assert equal(one, other)
    assert one.chosen_epoch == other.chosen_epoch
    assert one.curve == other.curve
    assert one.statistics is not None
    assert other.statistics is not None
    assert np.array_equal(one.statistics.mean, other.statistics.mean)
    assert np.array_equal(one.statistics.std, other.statistics.std)
    assert np.array_equal(one.probabilities, other.probabilities) is (change is relabelled)


def test_strict_statistics_are_those_of_the_training_clips() -> None:
    clips = corpus()
    fold = first_fold(clips)
    statistics = fit_fold(configuration(epochs=1), clips, LABELS, fold, 0).statistics
    frames = np.concatenate([clips.array(clip) for clip in fold.train]).astype(np.float64)
    assert statistics is not None
    np.testing.assert_allclose(statistics.mean, frames.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(statistics.std, frames.std(axis=0), rtol=1e-6)


def test_the_papers_test_clips_change_their_predictions_and_nothing_else() -> None:
    clips = corpus()
    fold = first_fold(clips, "paper")
    one = fit_fold(configuration("paper"), clips, LABELS, fold, 0)
    noisy = changed(clips, fold.test[:3])
    other = fit_fold(configuration("paper"), noisy, LABELS, fold, 0)
    assert equal(one, other)
    assert not np.allclose(one.probabilities, other.probabilities, atol=1e-3)
    assert one.statistics is None


def test_the_papers_speakers_are_each_standardised_by_themselves() -> None:
    """So it does not matter how loud a speaker is, be it in training or in the test."""
    clips = corpus()
    fold = first_fold(clips, "paper")
    one = fit_fold(configuration("paper"), clips, LABELS, fold, 0)
    for part in (fold.test, np.flatnonzero(np.array(clips.speakers) == "s2")):
        other = fit_fold(configuration("paper"), changed(clips, part), LABELS, fold, 0)
        np.testing.assert_allclose(other.probabilities, one.probabilities, rtol=0, atol=1e-3)


def padded(clips: list[Array]) -> torch.Tensor:
    num_rows = -(-max(map(len, clips)) // 64) * 64
    return torch.from_numpy(np.stack([np.pad(clip, ((0, num_rows - len(clip)), (0, 0))) for clip in clips]))


def said(model: torch.nn.Module, clips: list[Array], batch_size: int = 32) -> Array:
    """As validation and test are asked about: like lengths together, padded to the longest of a batch."""
    values, offsets = end_to_end(clips)
    seen = examples(offsets, values.shape[1:], "clip", 10)
    return predict(
        model, MODELS["aldeneh"], Batches(MODELS["aldeneh"], torch.from_numpy(values), seen, seen.clip, batch_size)
    )


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_what_is_said_of_a_scored_segment_does_not_depend_on_the_others(batch_size: int) -> None:
    """Aldeneh's network does not mask padding, and so is asked about segments that are padded alike."""
    rng = np.random.default_rng(0)
    clips = [rng.standard_normal((rows, 40)).astype(np.float32) for rows in (100, 65, 300, 128, 64, 101, 400)]
    torch.manual_seed(0)
    model = MODELS["aldeneh"].sizes["debug"]((40,), 3)
    together = predict_clips(model, MODELS["aldeneh"], clips, batch_size=batch_size, hop_ms=10, aggregation="mean")
    for clip, answer in zip(clips, together, strict=True):
        with torch.no_grad():
            alone = model.eval()(padded([clip])).softmax(dim=1)[0]
        np.testing.assert_allclose(answer, alone, atol=1e-5)


def loss_by_hand(result: FoldResult, clips: Clips, fold: Fold, weights: dict[str, float], standardised: Any) -> float:
    """Mean over the clips of weight times cross-entropy, all clips in one batch."""
    logits = network_of(result)(padded([standardised(clip) for clip in fold.train]))
    truth = torch.tensor([LABELS.index(clips.labels[clip]) for clip in fold.train])
    log_probabilities = functional.log_softmax(logits, dim=1)
    losses = [-log_probabilities[row, label].item() for row, label in enumerate(truth.tolist())]
    return float(np.mean([weights[clips.labels[clip]] * loss for clip, loss in zip(fold.train, losses, strict=True)]))


@pytest.mark.parametrize(
    ("protocol_name", "counts"),
    [
        ("strict", {"anger": 6, "fear": 4, "neutral": 4}),  # of the two speakers who train
        ("code", {"anger": 9, "fear": 7, "neutral": 12}),  # of all four, the test speaker too
    ],
)
def test_classes_weigh_inversely_to_their_clips(protocol_name: str, counts: dict[str, int]) -> None:
    clips = corpus()  # 3, 2 and 2 clips of each speaker
    fold = first_fold(clips, protocol_name)
    labels = list(clips.labels)
    for number, clip in enumerate(fold.test):
        labels[clip] = "fear" if number == 0 else "neutral"
    clips = dataclasses.replace(clips, labels=labels)
    # One batch, and steps too small to move anything: the loss is that of the weights that come back.
    config = configuration(protocol_name, epochs=1, batch_size=100, learning_rate=1e-12)
    result = fit_fold(config, clips, LABELS, fold, 0)
    speakers = np.array(clips.speakers)

    def standardised(clip: int) -> Array:
        fitted = fold.train if protocol_name == "strict" else np.flatnonzero(speakers == speakers[clip])
        frames = np.concatenate([clips.array(one) for one in fitted]).astype(np.float64)
        return ((clips.array(clip) - frames.mean(axis=0)) / frames.std(axis=0)).astype(np.float32)

    weights = {label: sum(counts.values()) / (3 * count) for label, count in counts.items()}
    weighted, plain = (
        loss_by_hand(result, clips, fold, by_label, standardised) for by_label in (weights, dict.fromkeys(LABELS, 1.0))
    )
    assert result.curve[0].train_loss == pytest.approx(weighted, rel=1e-4)
    assert abs(weighted - plain) > 1e-3 * plain  # or the weights would not have been seen


def test_the_epoch_that_is_best_on_the_validation_speakers_is_kept() -> None:
    """Validated by clips whose labels are moved on by one, the first epochs are the best."""
    clips = corpus()
    fold = first_fold(clips)
    clips = relabelled(clips, fold.validation)
    result = fit_fold(configuration(epochs=6), clips, LABELS, fold, 0)
    best = max(result.curve, key=lambda point: (point.validation_uar, -point.validation_loss, -point.epoch))
    assert result.chosen_epoch == best.epoch < 6
    until_then = fit_fold(configuration(epochs=best.epoch), clips, LABELS, fold, 0)
    assert equal(result, until_then)
    assert np.array_equal(result.probabilities, until_then.probabilities)
    assert not equal(result, fit_fold(configuration(epochs=best.epoch + 1, seed=1), clips, LABELS, fold, 0))


def test_the_first_of_equally_good_epochs_is_kept() -> None:
    clips = corpus()
    config = configuration(learning_rate=1e-30)  # no epoch changes anything
    result = fit_fold(config, clips, LABELS, first_fold(clips), 0)
    assert len({(point.validation_uar, point.validation_loss) for point in result.curve}) == 1
    assert result.chosen_epoch == 1


def test_validation_figures_are_those_of_the_weights() -> None:
    clips = corpus()
    fold = first_fold(clips)
    result = fit_fold(configuration(epochs=1), clips, LABELS, fold, 0)
    assert result.statistics is not None
    probabilities = said(network_of(result), [result.statistics.apply(clips.array(clip)) for clip in fold.validation])
    truth = [clips.labels[clip] for clip in fold.validation]
    predicted = [LABELS[index] for index in probabilities.argmax(axis=1)]
    losses = [-np.log(row[LABELS.index(label)]) for row, label in zip(probabilities, truth, strict=True)]
    (point,) = result.curve
    assert point.validation_uar == pytest.approx(metrics(truth, predicted, LABELS).uar)
    assert point.validation_loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_without_validation_the_last_epoch_is_kept() -> None:
    clips = corpus()
    result = fit_fold(configuration("paper"), clips, LABELS, first_fold(clips, "paper"), 0)
    assert result.chosen_epoch == 3
    assert {(point.validation_loss, point.validation_uar) for point in result.curve} == {(None, None)}


def test_the_final_fold_has_weights_and_tests_nobody() -> None:
    clips = corpus()
    final = make_folds(protocol("strict"), clips.held(np.arange(len(clips))), seed=0)[-1]
    result = fit_fold(configuration(epochs=1), clips, LABELS, final, 0)
    assert (result.fold, len(result.probabilities)) == (-1, 0)
    assert result.weights


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_features_that_are_no_numbers_stop_the_run(part: str) -> None:
    clips = corpus()
    fold = first_fold(clips)
    with pytest.raises(RayseeError, match="1 clips are NaN or infinite"):
        fit_fold(configuration(epochs=1), changed(clips, getattr(fold, part)[:1], scale=np.nan), LABELS, fold, 2)


def test_a_learning_rate_that_explodes_is_named() -> None:
    clips = corpus()
    with pytest.raises(RayseeError, match=r"fold 0, repeat 2 is (nan|inf) after epoch \d: lower .*1e\+25"):
        fit_fold(configuration("paper", learning_rate=1e25), clips, LABELS, first_fold(clips, "paper"), 2)


def test_mixed_precision_learns_too() -> None:
    clips = corpus(clips_each=9)
    values = np.concatenate([clips.values] * 7, axis=1)[:, :40]  # see tests/models about few bands of bfloat16
    clips = dataclasses.replace(clips, values=values)
    result = fit_fold(configuration(epochs=8, precision="bfloat16"), clips, LABELS, first_fold(clips), 0)
    assert result.curve[-1].train_loss < 0.5 * result.curve[0].train_loss
    assert {tensor.dtype for tensor in result.weights.values()} == {torch.float32}


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_predictions_come_in_the_order_of_the_clips(batch_size: int) -> None:
    rng = np.random.default_rng(0)
    lengths = [128, 64, 100, 64, 128, 90, 65]  # two widths once they are padded
    clips = [rng.standard_normal((length, NUM_COLUMNS)).astype(np.float32) for length in lengths]
    torch.manual_seed(0)
    model = MODELS["aldeneh"].sizes["debug"]((NUM_COLUMNS,), 3)
    found = said(model, clips, batch_size)
    for clip, row in zip(clips, found, strict=True):
        if len(clip) > 64 or batch_size == 1:  # one that is padded further is judged otherwise, see tests/models
            np.testing.assert_allclose(row, said(model, [clip], 1)[0], rtol=0, atol=1e-5)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_no_clips_have_no_predictions() -> None:
    model = MODELS["aldeneh"].sizes["debug"]((NUM_COLUMNS,), 3)
    values, offsets = end_to_end([np.zeros((70, NUM_COLUMNS), np.float32)])
    seen = examples(offsets, (NUM_COLUMNS,), "clip", 10)
    nobody = Batches(MODELS["aldeneh"], torch.from_numpy(values), seen, np.empty(0, np.int64), 8)
    assert len(predict(model, MODELS["aldeneh"], nobody)) == 0
