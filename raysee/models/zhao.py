"""Zhao et al. (IEEE Access 2019) as Keesing et al. 2020 (section 4.1) built it: two branches over a spectrogram.

One branch is a bidirectional LSTM (one layer; the original has two), the other three convolutions over time and bands.
Each is pooled by attention, and what they give is classified together.

The paper's code declares 512 frames and fed 497 (see `features/spectrogram.py`); any length of 31 or more will do.

Shapes: B clips, T frames, F bands, D values, C labels or channels.
"""

import dataclasses
import functools

import torch
from torch import nn

from raysee.config import TrainingConfig
from raysee.models.layers import AttentionPooling, batch_norm_2d, initialise_as_keras, recurrent_states, times
from raysee.models.network import Network


class Block(nn.Module):
    """Convolution without padding, batch norm, ReLU, maxima of 2 x 2, dropout: (B, C, T, F) -> the same, smaller."""

    def __init__(self, num_inputs: int, num_filters: int, kernel: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(num_inputs, num_filters, kernel)
        self.norm = batch_norm_2d(num_filters)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, image_BCTF: torch.Tensor) -> torch.Tensor:
        # Largest first, ReLU then: the same values from a quarter of the work.
        smaller: torch.Tensor = self.dropout(self.pool(self.norm(self.convolution(image_BCTF))).relu())
        return smaller


class Zhao(nn.Module):
    """Spectrograms (B, T, F), T and F at least 31 -> logits (B, C).

    Frames that pad a short clip take part in everything: the published definition has no mask. Dropout before the LSTM
    is drawn anew for each value, and is the same for both directions.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        num_units: int = 128,
        num_filters: tuple[int, int, int] = (64, 128, 128),
        num_hidden: int = 128,
        filter_factor: float = 1.0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        (num_bands,) = shape
        self.dropout = nn.Dropout(dropout)
        self.recurrent = nn.LSTM(num_bands, num_units, batch_first=True, bidirectional=True)
        self.recurrent_pool = AttentionPooling(2 * num_units)
        first, second, third = times(num_filters, filter_factor)
        self.blocks = nn.Sequential(
            Block(1, first, 8, dropout), Block(first, second, 5, dropout), Block(second, third, 3, dropout)
        )
        self.projection = nn.Linear(third, num_hidden)
        self.convolution_pool = AttentionPooling(num_hidden)
        self.hidden = nn.Linear(2 * num_units + num_hidden, num_hidden)
        self.output = nn.Linear(num_hidden, num_labels)
        self.apply(initialise_as_keras)

    def forward(self, mel_BTF: torch.Tensor) -> torch.Tensor:
        states_BTD = recurrent_states(self.recurrent, self.dropout(mel_BTF))
        # Channels last in memory, which is faster on a CPU: the only one is the last axis, moved without a copy.
        image_B1TF = mel_BTF.unsqueeze(3).permute(0, 3, 1, 2)
        # Each place in time and frequency is a step of a sequence; attention does not mind their order.
        places_BTD = self.blocks(image_B1TF).flatten(2).transpose(1, 2)
        pooled = self.recurrent_pool(states_BTD), self.convolution_pool(self.projection(places_BTD).tanh())
        logits_BC: torch.Tensor = self.output(self.hidden(torch.cat(pooled, dim=1)).relu())
        return logits_BC


ZHAO = Network(
    source="Zhao et al. 2019; Keesing et al. 2020, section 4.1",
    features=("spectrogram40", "spectrogram240", "logmel40", "logmel240", "mfcc"),
    unit="clip",
    training=TrainingConfig(batch_size=64),
    min_length=31,
    sizes={
        "published": Zhao,
        "debug": functools.partial(Zhao, num_units=16, num_filters=(6, 12, 12), num_hidden=16),
    },
)

# As the paper's code declares it: zeros behind the 497 frames of a spectrogram, after standardisation.
ZHAO_512 = dataclasses.replace(ZHAO, features=("spectrogram40", "spectrogram240"), min_length=512)
