"""A multilayer perceptron over vectors: the network for flat features in a study of RAVDESS.

The study ("Speech Emotion Recognition", code at github.com/kduane/speech_emotion_recognition) sets it against CNNs over
arrays of the same features: six hidden layers that halve from 512 to 16 units, ReLU, a quarter of the outputs dropped
after each, Keras's defaults for all else. It standardises nothing: the 180 means go in as librosa gives them.

Shapes: B examples, D features, C labels.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import torch
from torch import nn

from raysee.config import TrainingConfig
from raysee.models.layers import initialise_as_keras, times
from raysee.models.network import Network

SOURCE = "Speech Emotion Recognition, a study of RAVDESS, and its code (kduane/speech_emotion_recognition)"


class Mlp(nn.Module):
    """Vectors (B, D), or what is laid out as such, (B, *shape) -> logits (B, C)."""

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        num_hidden: Sequence[int] = (512, 256, 128, 64, 32, 16),
        hidden_factor: float = 1.0,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        width = math.prod(shape)
        layers: list[nn.Module] = []
        for units in times(num_hidden, hidden_factor):
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(width, num_labels)
        self.apply(initialise_as_keras)

    def forward(self, vector_BD: torch.Tensor) -> torch.Tensor:
        logits_BC: torch.Tensor = self.output(self.hidden(vector_BD.flatten(1)))
        return logits_BC


MLP = Network(
    source=SOURCE,
    features=("summary180",),
    unit="row",
    training=TrainingConfig(epochs=250, batch_size=32, learning_rate=1e-3),
    sizes={
        "published": Mlp,
        "debug": functools.partial(Mlp, num_hidden=(64, 32)),
    },
    batching="shuffle",
    standardise=False,
)

#: The same on standardised vectors, whose columns count alike: a mean MFCC is a hundred times as large as a chroma.
MLP_STANDARDISED = dataclasses.replace(MLP, standardise=True)
