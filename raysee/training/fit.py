"""One fold: standardise, fit, choose the epoch, predict the test part."""

import functools
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from raysee.config import RunConfig
from raysee.errors import RayseeError
from raysee.evaluation import standardise
from raysee.evaluation.folds import Fold
from raysee.evaluation.protocols import Protocol, protocol
from raysee.evaluation.standardise import Statistics
from raysee.models import build, network
from raysee.models.alexnet import load_pretrained
from raysee.models.network import Network
from raysee.models.score_lstm import NAME, ScoreLstm
from raysee.training.batches import Batches
from raysee.training.clips import Array, Clips, Examples, Indices, examples, with_copies
from raysee.training.fit_lstm import fit_lstm
from raysee.training.loop import Course, Epoch, Validation, example_weights, run, weights_of
from raysee.training.predict import predict
from raysee.training.trainer import Trainer


@dataclass(frozen=True)
class FoldResult:
    """What fitting one fold gave. `probabilities` is (num_test_examples, num_labels)."""

    fold: int
    repeat: int
    seed: int
    chosen_epoch: int
    curve: list[Epoch]
    probabilities: Array
    weights: dict[str, torch.Tensor]
    statistics: Statistics | None  # of the training part; None where each speaker has its own, or nothing is
    wall_s: float
    validation: Array = field(default_factory=lambda: np.empty((0, 0), np.float32))  # probabilities of its examples
    parameters: dict[str, float] = field(default_factory=dict)  # of a classifier, those that were chosen
    lstm: ScoreLstm | None = None  # what answers for clips, where that is the aggregation


def fit_fold(
    config: RunConfig,
    clips: Clips,
    labels: Sequence[str],
    fold: Fold,
    repeat: int,
    *,
    altered: Clips | None = None,
    initial: bytes | None = None,
    device: str = "cpu",
) -> FoldResult:
    """Fit `config.model` on one fold of `clips`; the order of `labels` is that of the classes.

    `altered` holds augmented copies under the ids of their clips: those of the training part are trained on too.
    `initial` is a file of weights to start from. Where an LSTM aggregates, its weights are among the model's.

    Loss: cross-entropy of example i times w(class of i), w(c) = N / (K N_c), averaged over the batch (Keesing et al.
    2020, section 4.2: every class has the same total weight). Deterministic on one thread of a CPU.
    Raises RayseeError where the loss stops being finite, ConfigurationError where `initial` does not fit.
    """
    began = time.perf_counter()
    rules, spec = protocol(config.protocol), network(config.model)
    seed = derive_seed(config, fold.number, repeat)
    torch.manual_seed(seed)
    seen = examples(clips.offsets, clips.shape, spec.unit, config.hop_ms)
    check_finite(clips)
    scaled, statistics = standardised(clips, seen, fold, rules) if spec.standardise else (clips.values, None)
    train = fold.train
    if altered is not None:
        scaled, seen, train = _with_altered(clips, altered, scaled, statistics, seen, fold, spec, config.hop_ms)
    classes = np.array([labels.index(label) for label in clips.labels])[seen.clip]
    weights = example_weights(rules, clips, seen, classes, train) ** config.training.balance

    model = build(config, clips.shape, len(labels))
    if initial is not None:
        load_pretrained(model, initial)
    model.to(device)
    values = torch.from_numpy(scaled).to(device)
    training = config.training

    def batches(positions: Indices) -> Batches:
        return Batches(spec, values, seen, positions, training.batch_size)

    trainer = Trainer(model, spec, training, torch.from_numpy(classes).to(device), weights.to(device))
    held = batches(fold.validation) if len(fold.validation) else None
    validation = None
    if held is not None:
        answer = functools.partial(predict, model, spec, held)
        validation = Validation(classes[fold.validation], labels, answer, rules.select == "validation")
    course = Course()
    run(f"fold {fold.number}, repeat {repeat}", model, trainer, training, batches(train), validation, course)
    lstm = None
    if config.aggregation == "lstm":
        heard = fold.train  # without altered copies, whose windows would come behind those of their clips
        lstm = fit_lstm(config, clips, labels, predict(model, spec, batches(heard)), seen.clip[heard], seed)
        model.add_module(NAME, lstm)
    return FoldResult(
        fold=fold.number,
        repeat=repeat,
        seed=seed,
        chosen_epoch=course.chosen_epoch,
        curve=course.curve,
        probabilities=predict(model, spec, batches(fold.test)),
        weights=weights_of(model),
        statistics=statistics,
        wall_s=time.perf_counter() - began,
        validation=np.empty((0, 0), np.float32) if held is None else predict(model, spec, held),
        lstm=lstm,
    )


def check_finite(clips: Clips) -> None:
    """RayseeError where a feature is NaN or infinite."""
    if np.isfinite(clips.values).all():
        return
    bad = [clips.clip_ids[clip] for clip in range(len(clips)) if not np.isfinite(clips.array(clip)).all()]
    raise RayseeError(
        f"The features of {len(bad)} clips are NaN or infinite, the first is {bad[0]}: "
        "extract them again with --overwrite, and leave the clip out if that does not help."
    )


def derive_seed(config: RunConfig, fold: int, repeat: int) -> int:
    """A seed of its own for each training, the same wherever and whenever it runs."""
    text = f"{config.training.seed}/{config.corpus}/{config.model}/{config.features}/{fold}/{repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def standardised(clips: Clips, seen: Examples, fold: Fold, rules: Protocol) -> tuple[Array, Statistics | None]:
    """The values of all clips as the protocol has them, and the statistics of the training part where it has these."""
    if rules.standardise == "train":
        heard = np.zeros(len(clips.values), dtype=np.bool_)
        for start, length in zip(seen.start[fold.train].tolist(), seen.length[fold.train].tolist(), strict=True):
            heard[start : start + length] = True
        statistics = standardise.fit([clips.values[heard]])
        return statistics.apply(clips.values), statistics
    values = np.empty_like(clips.values)
    names = np.asarray(clips.speakers if rules.standardise == "speaker" else clips.corpora)
    for name in set(names):
        rows = np.repeat(names == name, np.diff(clips.offsets))
        its = clips.values[rows]
        values[rows] = standardise.fit([its]).apply(its)
    return values, None


def _with_altered(
    clips: Clips,
    altered: Clips,
    scaled: Array,
    statistics: Statistics | None,
    seen: Examples,
    fold: Fold,
    spec: Network,
    hop_ms: int,
) -> tuple[Array, Examples, Indices]:
    """Values and examples with altered copies behind the clips', and the training part with those of its clips."""
    more = examples(altered.offsets, altered.shape, spec.unit, hop_ms)
    behind = more._replace(start=more.start + len(scaled))
    both, train, _ = with_copies(seen, clips.clip_ids, fold.train, behind, altered.clip_ids)
    values = altered.values if statistics is None else statistics.apply(altered.values)
    return np.concatenate([scaled, values]), both, train
