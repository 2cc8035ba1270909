"""The training loop of every network."""

import torch
from torch import nn
from torch.nn import functional

from raysee.config import TrainingConfig
from raysee.models.network import Network
from raysee.training.batches import Batches
from raysee.training.predict import logits


class Trainer:
    """A network, its optimiser, and a pass over the training part.

    `classes` and `weights` are those of each example, (num_examples,), where the network is.
    """

    def __init__(
        self, model: nn.Module, spec: Network, training: TrainingConfig, classes: torch.Tensor, weights: torch.Tensor
    ) -> None:
        self._model, self._spec, self._classes, self._weights = model, spec, classes, weights
        self._precision = training.precision
        # What is compiled shares its weights with `model`, which goes on as it is in validation and test.
        modes = {"default": None, "cuda-graphs": "reduce-overhead"}
        self._forward: nn.Module = model
        if training.compile != "no":
            self._forward = torch.compile(model, mode=modes[training.compile])  # type: ignore[assignment]
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        lr, decay = training.learning_rate, training.weight_decay
        self._optimiser: torch.optim.Optimizer
        if training.optimiser == "adam":
            self._optimiser = torch.optim.Adam(learned, lr, eps=training.adam_eps, weight_decay=decay, fused=True)
        else:
            self._optimiser = torch.optim.SGD(learned, lr, training.momentum, weight_decay=decay, fused=True)
        step = training.lr_step_epochs or training.epochs + 1
        self._schedule = torch.optim.lr_scheduler.StepLR(self._optimiser, step, training.lr_step_factor)

    def epoch(self, batches: Batches) -> tuple[float, float]:
        """One pass; the mean of the batches' losses by example, and the share of right answers."""
        self._model.train()
        device = self._classes.device
        # Summed where the network is: asking for a number after each batch would make a GPU wait.
        totals, num_examples = torch.zeros(2, dtype=torch.float64, device=device), 0
        for batch in batches.shuffled():
            classes = self._classes[batch.positions]
            self._optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
                answer = logits(self._forward, self._spec, batch)
            losses = functional.cross_entropy(answer.float(), classes, reduction="none")
            loss = (self._weights[batch.positions] * losses).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            right = (answer.detach().argmax(dim=1) == classes).sum()
            totals += torch.stack([loss.detach() * len(classes), right])
            num_examples += len(classes)
        self._schedule.step()
        train_loss, accuracy = (totals / num_examples).tolist()
        return train_loss, accuracy
