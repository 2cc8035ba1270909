"""One fold: standardise, fit, choose the epoch, predict the test part."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from raysee.config import RunConfig
from raysee.errors import RayseeError
from raysee.evaluation import standardise
from raysee.evaluation.folds import Fold
from raysee.evaluation.metrics import metrics
from raysee.evaluation.protocols import Protocol, protocol
from raysee.evaluation.standardise import Statistics
from raysee.models import network
from raysee.training.clips import Array, Clips, padded_batches


@dataclass(frozen=True)
class Epoch:
    """A point of the learning curve; the validation figures are None where nothing is validated."""

    epoch: int
    train_loss: float
    validation_loss: float | None
    validation_uar: float | None


@dataclass(frozen=True)
class FoldResult:
    """What fitting one fold gave. `probabilities` is (num_test_clips, num_labels)."""

    fold: int
    repeat: int
    seed: int
    chosen_epoch: int
    curve: list[Epoch]
    probabilities: Array
    weights: dict[str, torch.Tensor]
    statistics: Statistics | None  # of the training part; None where each speaker has its own
    wall_s: float


def fit_fold(config: RunConfig, clips: Clips, labels: Sequence[str], fold: Fold, repeat: int) -> FoldResult:
    """Fit `config.model` on one fold of `clips`; the order of `labels` is that of the classes.

    Loss: cross-entropy of clip i times w(class of i), w(c) = N / (K N_c), averaged over the batch (Keesing et al. 2020,
    section 4.2: every class has the same total weight). Deterministic on one thread of a CPU.
    Raises RayseeError where the loss stops being finite.
    """
    began = time.perf_counter()
    _check_finite(clips)
    rules, spec = protocol(config.protocol), network(config.model)
    seed = derive_seed(config, fold.number, repeat)
    torch.manual_seed(seed)
    standardised, statistics = _standardise(clips, fold, rules)
    classes = np.array([labels.index(label) for label in clips.labels])
    counted = classes if rules.class_weights == "corpus" else classes[fold.train]
    class_weights = len(counted) / (len(labels) * np.bincount(counted, minlength=len(labels)))

    model = spec.sizes[config.size](clips.num_columns, len(labels))
    optimiser = torch.optim.Adam(
        model.parameters(), lr=config.training.learning_rate, eps=config.training.adam_eps, fused=True
    )
    batches = [
        (
            batch,
            torch.from_numpy(classes[fold.train[positions]]),
            torch.from_numpy(class_weights[classes[fold.train[positions]]]).float(),
        )
        for positions, batch in padded_batches(
            [standardised[clip] for clip in fold.train], config.training.batch_size, spec.length_multiple
        )
    ]
    curve: list[Epoch] = []
    best: tuple[tuple[float, float], int, dict[str, torch.Tensor]] | None = None
    for epoch in range(1, config.training.epochs + 1):
        train_loss = _train_epoch(model, optimiser, batches, config.training.precision)
        if not np.isfinite(train_loss):
            raise RayseeError(
                f"The loss of fold {fold.number}, repeat {repeat} is {train_loss} after epoch {epoch}: "
                f"lower the learning rate (it is {config.training.learning_rate:g})."
            )
        loss, uar = None, None
        if len(fold.validation):
            predicted = predict(
                model, [standardised[clip] for clip in fold.validation], spec.batch_size, spec.length_multiple
            )
            loss, uar = _score(predicted, classes[fold.validation], labels)
            if best is None or (uar, -loss) > best[0]:
                best = ((uar, -loss), epoch, _copy(model))
        curve.append(Epoch(epoch, train_loss, loss, uar))
    if best is not None:
        model.load_state_dict(best[2])
    test = [standardised[clip] for clip in fold.test]
    return FoldResult(
        fold=fold.number,
        repeat=repeat,
        seed=seed,
        chosen_epoch=best[1] if best else config.training.epochs,
        curve=curve,
        probabilities=predict(model, test, spec.batch_size, spec.length_multiple),
        weights=_copy(model),
        statistics=statistics,
        wall_s=time.perf_counter() - began,
    )


def _check_finite(clips: Clips) -> None:
    if np.isfinite(clips.values).all():
        return
    bad = [clips.clip_ids[clip] for clip in range(len(clips)) if not np.isfinite(clips.array(clip)).all()]
    raise RayseeError(
        f"The features of {len(bad)} clips are NaN or infinite, the first is {bad[0]}: "
        "extract them again with --overwrite, and leave the clip out if that does not help."
    )


def predict(model: nn.Module, clips: Sequence[Array], batch_size: int, length_multiple: int) -> Array:
    """Class probabilities (num_clips, num_labels) of standardised clips, each (num_frames, num_columns).

    Where a network does not mask padding, they depend a little on the longest clip of the batch.
    """
    model.eval()
    rows: dict[int, Array] = {}
    with torch.no_grad():
        for positions, batch in padded_batches(clips, batch_size, length_multiple):
            probabilities = functional.softmax(model(batch).float(), dim=1).numpy()
            rows.update(zip(positions.tolist(), probabilities, strict=True))
    if not rows:
        return np.empty((0, 0), dtype=np.float32)
    return np.stack([rows[position] for position in range(len(clips))])


def derive_seed(config: RunConfig, fold: int, repeat: int) -> int:
    """A seed of its own for each training, the same wherever and whenever it runs."""
    text = f"{config.training.seed}/{config.corpus}/{config.model}/{config.features}/{fold}/{repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    precision: str,
) -> float:
    """One pass over the batches in a random order; the mean of their losses by clip."""
    model.train()
    total, num_clips = 0.0, 0
    for index in torch.randperm(len(batches)).tolist():
        batch, classes, weights = batches[index]
        optimiser.zero_grad()
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(batch)
        loss = (weights * functional.cross_entropy(logits.float(), classes, reduction="none")).mean()
        loss.backward()
        optimiser.step()
        total, num_clips = total + loss.item() * len(classes), num_clips + len(classes)
    return total / num_clips


def _standardise(clips: Clips, fold: Fold, rules: Protocol) -> tuple[list[Array], Statistics | None]:
    if rules.standardise == "train":
        statistics = standardise.fit(clips.array(clip) for clip in fold.train)
        return [statistics.apply(clips.array(clip)) for clip in range(len(clips))], statistics
    speakers = np.asarray(clips.speakers)
    by_speaker = {
        speaker: standardise.fit(clips.array(clip) for clip in np.flatnonzero(speakers == speaker).tolist())
        for speaker in set(clips.speakers)
    }
    return [by_speaker[clips.speakers[clip]].apply(clips.array(clip)) for clip in range(len(clips))], None


def _score(probabilities: Array, classes: npt.NDArray[np.int64], labels: Sequence[str]) -> tuple[float, float]:
    loss = -np.log(np.maximum(probabilities[np.arange(len(classes)), classes], 1e-12)).mean()
    truth = [labels[index] for index in classes]
    predicted = [labels[index] for index in probabilities.argmax(axis=1)]
    return float(loss), metrics(truth, predicted, labels).uar


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
