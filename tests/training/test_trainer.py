import copy
import dataclasses
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from raysee.config import TrainingConfig
from raysee.models import MODELS
from raysee.models.network import Network
from raysee.training.batches import Batches
from raysee.training.clips import Examples
from raysee.training.trainer import Trainer

torch.set_num_threads(1)

NUM, SIZE, NUM_LABELS = 12, 6, 3
CLASSES = torch.arange(NUM) % NUM_LABELS
WEIGHTS = torch.linspace(0.5, 2.0, NUM)
SPEC = MODELS["fc2"]


def vectors() -> torch.Tensor:
    return torch.randn(NUM, SIZE, generator=torch.Generator().manual_seed(1))


def batches(batch_size: int = NUM, spec: Network = SPEC) -> Batches:
    everything = np.arange(NUM)
    rows = Examples(everything, everything, np.ones(NUM, np.int64))
    return Batches(spec, vectors(), rows, everything, batch_size)


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(SIZE, 5), nn.ReLU(), nn.Linear(5, NUM_LABELS))


def training(**fields: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 4, "batch_size": NUM, "learning_rate": 0.1, **fields})


def trained(config: TrainingConfig, epochs: int = 4, model: nn.Module | None = None) -> list[torch.Tensor]:
    """The weights after so many passes in one batch each."""
    model = model or net()
    trainer = Trainer(model, SPEC, config, CLASSES, WEIGHTS)
    for _ in range(epochs):
        trainer.epoch(batches())
    return [parameter.detach() for parameter in model.parameters()]


def by_hand(config: TrainingConfig, epochs: int = 4) -> list[torch.Tensor]:
    """The same by the definitions of SGD with momentum, Adam (Kingma & Ba 2015) and an L2 penalty, in float64."""
    model = net().double()
    parameters = list(model.parameters())
    firsts, seconds = ([torch.zeros_like(parameter) for parameter in parameters] for _ in range(2))
    for epoch in range(epochs):
        rate = config.learning_rate
        if config.lr_step_epochs:
            rate *= config.lr_step_factor ** (epoch // config.lr_step_epochs)
        logits = model(vectors().double())
        loss = -(WEIGHTS * logits.log_softmax(dim=1)[torch.arange(NUM), CLASSES]).sum() / NUM
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, plain, first, second in zip(parameters, gradients, firsts, seconds, strict=True):
            gradient = plain + config.weight_decay * parameter.detach()
            if config.optimiser == "sgd":
                first.mul_(config.momentum).add_(gradient)
                step = first
            else:
                first.mul_(0.9).add_(0.1 * gradient)
                second.mul_(0.999).add_(0.001 * gradient**2)
                mean, square = first / (1 - 0.9 ** (epoch + 1)), second / (1 - 0.999 ** (epoch + 1))
                step = mean / (square.sqrt() + config.adam_eps)
            parameter.data.sub_(rate * step)
    return [parameter.detach() for parameter in parameters]


def distance(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return max((a.double() - b.double()).abs().max().item() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"weight_decay": 0.1},
        {"adam_eps": 0.1},
        {"lr_step_epochs": 1, "lr_step_factor": 0.5},
        {"lr_step_epochs": 2},
        {"optimiser": "sgd", "momentum": 0.0},
        {"optimiser": "sgd"},
        {"optimiser": "sgd", "weight_decay": 0.1},
        {"optimiser": "sgd", "momentum": 0.5, "weight_decay": 0.1, "lr_step_epochs": 3},
    ],
)
def test_optimisers_are_their_definitions(fields: dict[str, Any]) -> None:
    config = training(**fields)
    assert distance(trained(config), by_hand(config)) < 1e-4
    # And each setting tells: without it the weights are others.
    for name in fields:
        if name != "lr_step_factor":
            plain = training(**{key: value for key, value in fields.items() if key not in (name, "lr_step_factor")})
            assert distance(trained(config), trained(plain)) > 1e-3, name


def test_the_learning_rate_falls_after_so_many_passes_and_not_before() -> None:
    config = training(lr_step_epochs=2, lr_step_factor=1e-12)
    two, four = trained(config, epochs=2), trained(config, epochs=4)
    assert distance(two, trained(training(), epochs=2)) == 0
    assert distance(two, four) < 1e-9


def test_loss_and_accuracy_are_those_of_the_examples_not_of_the_batches() -> None:
    """Batches of 5, 5 and 2 weigh by their size, under the weights before any step."""
    model = net()
    with torch.no_grad():
        logits = model(vectors())
    losses = WEIGHTS * functional.cross_entropy(logits, CLASSES, reduction="none")
    accuracy = (logits.argmax(dim=1) == CLASSES).double().mean().item()
    loss, found = Trainer(model, SPEC, training(learning_rate=1e-12), CLASSES, WEIGHTS).epoch(batches(5))
    assert loss == pytest.approx(losses.mean().item(), rel=1e-5)
    assert found == pytest.approx(accuracy)


def test_weights_of_zero_teach_nothing() -> None:
    """Labels of examples that weigh nothing could be any."""
    weights, other = WEIGHTS.clone(), CLASSES.clone()
    weights[::2] = 0
    other[::2] = (other[::2] + 1) % NUM_LABELS
    found = []
    for classes in (CLASSES, other):
        model = net()
        Trainer(model, SPEC, training(), classes, weights).epoch(batches())
        found.append(list(model.parameters()))
    assert distance(*found) == 0


def test_what_is_not_to_be_learned_stays() -> None:
    model = net()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    trained(training(weight_decay=0.1), model=model)
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["0.bias", "2.weight", "2.bias"]


def test_a_network_trains_in_training_mode() -> None:
    model = net().append(nn.Dropout(1.0)).eval()
    before = copy.deepcopy(model.state_dict())
    Trainer(model, SPEC, training(), CLASSES, WEIGHTS).epoch(batches())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())  # all was dropped


class Masked(nn.Module):
    """Lengths must come along with the values."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(SIZE, NUM_LABELS)
        self.lengths: list[int] = []

    def forward(self, values_BTF: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        self.lengths += lengths.tolist()
        logits_BC: torch.Tensor = self.output(values_BTF.sum(dim=1))
        return logits_BC


def test_a_network_that_masks_padding_is_told_the_lengths() -> None:
    model, spec = Masked(), dataclasses.replace(SPEC, unit="clip", masks=True, features=("logmel40",))
    values, lengths = torch.ones(30, SIZE), np.array([5, 1, 4, 10, 2, 8])
    rows = Examples(np.arange(6), np.cumsum([0, *lengths[:-1]]), lengths)
    fed = Batches(spec, values, rows, np.arange(6), 4)
    Trainer(model, spec, training(), CLASSES[:6], WEIGHTS[:6]).epoch(fed)
    assert sorted(model.lengths) == sorted(lengths.tolist())


def test_mixed_precision_computes_in_bfloat16_and_keeps_weights_in_float32() -> None:
    model, kinds = net(), []
    model[2].register_forward_hook(lambda _, given, answer: kinds.append(answer.dtype))
    weights = trained(training(precision="bfloat16"), model=model)
    assert set(kinds) == {torch.bfloat16}
    assert {weight.dtype for weight in weights} == {torch.float32}
    single = trained(training())
    assert 0 < distance(weights, single) < 0.2


@pytest.mark.parametrize(("setting", "asked"), [("no", []), ("default", [None]), ("cuda-graphs", ["reduce-overhead"])])
def test_what_is_asked_of_the_compiler(setting: str, asked: list[str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    modes, passes = [], []

    class Compiled(nn.Module):
        def __init__(self, model: nn.Module, mode: str | None) -> None:
            super().__init__()
            modes.append(mode)
            self.model = model

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            passes.append(len(values))
            logits: torch.Tensor = self.model(values)
            return logits

    monkeypatch.setattr(torch, "compile", Compiled)
    weights = trained(training(compile=setting))
    assert modes == asked
    assert passes == [NUM] * 4 * len(asked)  # what is compiled is what is trained
    assert distance(weights, trained(training())) == 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_network_learns_the_same_weights() -> None:
    model, plain = net(), net()
    compiled = Trainer(model, SPEC, training(compile="default"), CLASSES, WEIGHTS)
    as_it_is = Trainer(plain, SPEC, training(), CLASSES, WEIGHTS)
    for _ in range(3):
        torch.testing.assert_close(compiled.epoch(batches()), as_it_is.epoch(batches()))
    assert distance(list(model.parameters()), list(plain.parameters())) < 1e-4
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]  # as a file has them
