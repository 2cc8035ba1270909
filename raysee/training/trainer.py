"""The training loop of every network."""

import contextlib

import torch
from torch import distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from raysee.config import TrainingConfig
from raysee.models.network import Network
from raysee.training.batches import Feed
from raysee.training.predict import logits


class Trainer:
    """A network, its optimiser, and a pass over the training part; wrapped for several workers, they step as one.

    `classes` and `weights` are those of each example, (num_examples,), where the network is.
    """

    def __init__(
        self, model: nn.Module, spec: Network, training: TrainingConfig, classes: torch.Tensor, weights: torch.Tensor
    ) -> None:
        self._model, self._spec, self._classes, self._weights = model, spec, classes, weights
        self._mixed: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if training.precision == "bfloat16":
            self._mixed = torch.autocast(classes.device.type, torch.bfloat16)
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

    def epoch(self, batches: Feed) -> tuple[float, float]:
        """One pass; the mean of the batches' losses by example, and the share of right answers, of all workers."""
        self._model.train()
        device = self._classes.device
        # Added up where the network is, and at the end: asking for a number after each batch would make a GPU wait.
        losses, rights, num_examples = [torch.zeros(1, device=device)], [torch.zeros(1, device=device)], 0
        for batch in batches.shuffled():
            classes, weights = self._classes[batch.positions], self._weights[batch.positions]
            self._optimiser.zero_grad()
            with self._mixed:
                answer = logits(self._forward, self._spec, batch)
            loss = functional.cross_entropy(answer.float(), classes, reduction="none").dot(weights)
            loss.backward(loss.new_full((), batch.share / len(classes)))  # type: ignore[no-untyped-call]
            self._optimiser.step()
            if batch.share:
                losses.append(loss.detach()[None])
                rights.append(answer.detach().argmax(dim=1) == classes)
                num_examples += len(classes)
        self._schedule.step()
        sums = [torch.cat(its).sum(dtype=torch.float64) for its in (losses, rights)]
        totals = torch.stack([*sums, sums[0].new_tensor(num_examples)])
        if isinstance(self._model, DistributedDataParallel):
            distributed.all_reduce(totals)
        train_loss, accuracy = (totals[:2] / totals[2]).tolist()
        return train_loss, accuracy

    def state(self) -> dict[str, torch.Tensor]:
        """What goes on with the weights in a checkpoint: the optimiser's moments, learning rate and passes done."""
        kept = {
            f"{number}.{name}": value.detach().cpu()
            for number, its in self._optimiser.state_dict()["state"].items()
            for name, value in its.items()
            if value is not None  # a momentum that has not begun
        }
        rates = [group["lr"] for group in self._optimiser.param_groups]
        return {
            **kept,
            "learning_rate": torch.tensor(rates, dtype=torch.float64),
            "passes": torch.tensor(self._schedule.last_epoch),
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a `state`."""
        kept = dict(state)
        rates, self._schedule.last_epoch = kept.pop("learning_rate").tolist(), int(kept.pop("passes"))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in kept.items():
            number, _, name = key.partition(".")
            moments.setdefault(int(number), {})[name] = value
        fresh = self._optimiser.state_dict()
        self._optimiser.load_state_dict({**fresh, "state": moments})
        for group, rate in zip(self._optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
