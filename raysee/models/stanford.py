"""The networks of a student report of 2015 over chunks of half a second: convolutional ones, and fully connected ones.

The report (on EMO-DB, SAVEE and eNTERFACE'05) has square filters and such that are as high as the picture, so that they
move along time alone (section 3.1, Table 4). What it leaves out is chosen here, so that the layers stay those of the
table: pooling by 2, square filters with zeros around the picture and high ones without, a leak of 0.01 and a dropout of
0.5 in R6, Adam at 1e-3 in batches of 128. R3 has two layers, as its name "Conv16/32" says, where the table counts one;
R4's second layer is as wide as its first, and one frequency high. R7 is R1, trained on altered copies too. Weights
start as PyTorch's do.

Of the fully connected nets the report gives neither units nor epochs, which it tuned, nor whether they saw the 26
features or the spectrograms: they take both here, and have the 64 units and 400 epochs of the table's networks. Their
weights start as Keras's.

Shapes: B chunks, H frequencies, W frames, S channels, D units, C labels.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from raysee.config import TrainingConfig
from raysee.models.layers import times
from raysee.models.mlp import Mlp
from raysee.models.network import Network

SOURCE = "a student report of 2015 on CNNs and LSTMs, section 3.1"


class ConvPool(nn.Module):
    """Chunks (B, H, W, S) -> logits (B, C).

    `num_filters` has a convolution, ReLU and pooling by 2 for each number; `width` is how many frames a filter covers.
    A filter covers as many frequencies, or, with `full_height`, all of them at once.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        num_filters: Sequence[int],
        width: int = 5,
        full_height: bool = True,
        num_hidden: int = 64,
        leak: float = 0.0,
        dropout: float = 0.0,
        filter_factor: float = 1.0,
    ) -> None:
        super().__init__()
        height, frames, channels = shape
        layers: list[nn.Module] = []
        for filters in times(num_filters, filter_factor):
            kernel = (height, width) if full_height else (width, width)
            layers += [nn.Conv2d(channels, filters, kernel, padding=0 if full_height else "same"), nn.LeakyReLU(leak)]
            layers.append(nn.MaxPool2d((1, 2) if full_height else 2))
            frames = (frames - width + 1) // 2 if full_height else frames // 2
            height, channels = (1 if full_height else height // 2), filters
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(channels * height * frames, num_hidden)
        self.after = nn.Sequential(nn.LeakyReLU(leak), nn.Dropout(dropout))
        self.output = nn.Linear(num_hidden, num_labels)

    def features(self, chunk_BHWS: torch.Tensor) -> torch.Tensor:
        """The hidden layer's answer, (B, D)."""
        maps = self.convolutions(chunk_BHWS.permute(0, 3, 1, 2))
        units_BD: torch.Tensor = self.after(self.hidden(maps.flatten(1)))
        return units_BD

    def forward(self, chunk_BHWS: torch.Tensor) -> torch.Tensor:
        logits_BC: torch.Tensor = self.output(self.features(chunk_BHWS))
        return logits_BC


def _network(
    features: tuple[str, ...], published: Callable[..., nn.Module], debug: Callable[..., nn.Module]
) -> Network:
    return Network(
        source=SOURCE,
        features=features,
        unit="row",
        training=TrainingConfig(epochs=400, batch_size=128, learning_rate=1e-3),
        sizes={"published": published, "debug": debug},
        batching="shuffle",
    )


def _conv(num_filters: Sequence[int], **fields: Any) -> Network:
    few = [16] * len(num_filters)
    return _network(
        ("chunks64",),
        functools.partial(ConvPool, num_filters=num_filters, **fields),
        functools.partial(ConvPool, num_filters=few, **fields),
    )


def _dense(num_hidden: Sequence[int]) -> Network:
    layers = functools.partial(Mlp, num_hidden=num_hidden, dropout=0.0)
    return _network(("chunk26", "chunks64"), layers, layers)


STANFORD: dict[str, Network] = {
    "fc2": _dense([64]),
    "fc3": _dense([64, 64]),
    "stanford-s1": _conv([16], full_height=False),
    "stanford-s2": _conv([32], full_height=False),
    "stanford-s3": _conv([16, 32], full_height=False),
    "stanford-s4": _conv([256], full_height=False, num_hidden=128),
    "stanford-r1": _conv([1024]),
    "stanford-r2": _conv([32]),
    "stanford-r3": _conv([16, 32]),
    "stanford-r4": _conv([128, 128], width=10),
    "stanford-r5": _conv([1024], width=10),
    "stanford-r6": _conv([1024], leak=0.01, dropout=0.5),
}
