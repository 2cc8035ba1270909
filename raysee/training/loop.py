"""The epochs of one training, wherever it runs: what is noted of each, which weights are kept, when it stops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from raysee.config import TrainingConfig
from raysee.errors import RayseeError
from raysee.evaluation.metrics import metrics
from raysee.evaluation.protocols import Protocol
from raysee.training import memory
from raysee.training.batches import Feed
from raysee.training.clips import Array, Clips, Examples, Indices
from raysee.training.trainer import Trainer


@dataclass(frozen=True)
class Epoch:
    """A point of the learning curve; the validation figures are None where nothing is validated."""

    epoch: int
    train_loss: float
    train_accuracy: float  # while the weights change and dropout drops, as Keras gives it
    validation_loss: float | None
    validation_uar: float | None


class Best(NamedTuple):
    """The epoch that is kept so far."""

    score: tuple[float, float]  # UAR and, with a minus, the loss on the validation part
    epoch: int
    weights: dict[str, torch.Tensor]


@dataclass
class Course:
    """How far a training is: with the weights and `Trainer.state` all that it needs to go on."""

    curve: list[Epoch] = field(default_factory=list)
    best: Best | None = None
    wall_s: float = 0.0  # of the epochs of earlier starts, where a training goes on

    @property
    def chosen_epoch(self) -> int:
        """The one whose weights are kept: the last, where none is the best."""
        return self.best.epoch if self.best else len(self.curve)

    def finished(self, training: TrainingConfig) -> bool:
        """Whether all epochs are done, or the last `patience` ones brought no lower validation loss."""
        return len(self.curve) >= training.epochs or self._stalled(training.patience)

    def _stalled(self, patience: int) -> bool:
        losses = [epoch.validation_loss for epoch in self.curve if epoch.validation_loss is not None]
        return 0 < patience < len(losses) and min(losses[:-patience]) <= min(losses[-patience:])


class Validation(NamedTuple):
    """The validation part: its classes, the probabilities that the network gives it now, and what they decide."""

    classes: npt.NDArray[np.int64]  # (num_examples,)
    labels: Sequence[str]
    say: Callable[[], Array]  # (num_examples, num_labels)
    selects: bool  # the epoch


def _nothing(course: Course) -> None:
    """Neither before nor after an epoch."""


@memory.kept()
def run(
    name: str,
    model: nn.Module,
    trainer: Trainer,
    training: TrainingConfig,
    fed: Feed,
    validation: Validation | None,
    course: Course,
    *,
    before: Callable[[Course], None] = _nothing,
    after: Callable[[Course], None] = _nothing,
) -> None:
    """Train `model` from where `course` is to its end, and give it the weights that are kept.

    `before` and `after` are called at each epoch. Raises RayseeError, which calls the training `name`, where the loss
    stops being finite.
    """
    while not course.finished(training):
        before(course)
        train_loss, accuracy = trainer.epoch(fed)
        epoch = len(course.curve) + 1
        if not np.isfinite(train_loss):
            raise RayseeError(
                f"The loss of {name} is {train_loss} after epoch {epoch}: "
                f"lower the learning rate (it is {training.learning_rate:g})."
            )
        loss, uar = None, None
        if validation is not None:
            loss, uar = _score(validation)
            if validation.selects and (course.best is None or (uar, -loss) > course.best.score):
                course.best = Best((uar, -loss), epoch, weights_of(model))
        course.curve.append(Epoch(epoch, train_loss, accuracy, loss, uar))
        after(course)
    if course.best is not None:
        model.load_state_dict(course.best.weights)


def check_result(name: str, training: TrainingConfig, weights: Mapping[str, torch.Tensor], *answers: Array) -> None:
    """RayseeError where the last step of a training, whose loss nobody has seen, led to what is no number."""
    if all(np.isfinite(one).all() for one in answers) and all(one.isfinite().all() for one in weights.values()):
        return
    raise RayseeError(
        f"The weights or answers of {name} are NaN or infinite: "
        f"lower the learning rate (it is {training.learning_rate:g})."
    )


def example_weights(
    rules: Protocol, clips: Clips, seen: Examples, classes: npt.NDArray[np.int64], train: Indices
) -> torch.Tensor:
    """Of each example: N / (K N_c) of its class, or, by corpus, of its class in its corpus."""
    if rules.class_weights == "none":
        return torch.ones(len(classes))
    cells = classes
    if rules.class_weights == "train-by-corpus":
        _, corpora = np.unique(clips.corpora, return_inverse=True)
        cells = corpora[seen.clip] * (classes.max() + 1) + classes
    # What is not counted, as a test corpus, is not trained on and weighs nothing.
    counted = np.bincount(cells if rules.class_weights == "corpus" else cells[train], minlength=cells.max() + 1)
    weights = counted.sum() / (np.count_nonzero(counted) * np.maximum(counted, 1))
    return torch.from_numpy(np.where(counted > 0, weights, 0.0)[cells]).float()


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a network's weights, on the CPU."""
    return {name: tensor.detach().clone().cpu() for name, tensor in model.state_dict().items()}


def _score(validation: Validation) -> tuple[float, float]:
    classes, labels = validation.classes, validation.labels
    probabilities = validation.say()
    loss = -np.log(np.maximum(probabilities[np.arange(len(classes)), classes], 1e-12)).mean()
    truth = [labels[index] for index in classes]
    predicted = [labels[index] for index in probabilities.argmax(axis=1)]
    return float(loss), metrics(truth, predicted, labels).uar
