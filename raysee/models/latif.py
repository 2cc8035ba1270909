"""Latif et al. (2019) as Keesing et al. 2020 (section 4.1) built it: samples -> convolutions -> LSTM.

Three convolutions hear the samples through windows of 25, 15 and 100 ms every 10 ms. A fourth, over time and over
their filters side by side, precedes an LSTM, whose last state is classified.

The paper tells of one fully-connected layer; its code has two, and only both of them have the 1.2 million parameters
of its Table 2. Clips shorter than 5 s are padded to the longest of their batch.

Shapes: B clips, N samples, F filters of all windows side by side, T steps, C labels or channels.
"""

import dataclasses
import functools
from collections.abc import Sequence

import torch
from torch import nn

from raysee.config import TrainingConfig
from raysee.models.layers import batch_norm_1d, batch_norm_2d, initialise_as_keras, pad_same, recurrent_states
from raysee.models.network import Network

_STRIDE = 160  # 10 ms
_MIN_SAMPLES = _STRIDE + 1  # give two steps, which the first pooling makes one


class Window(nn.Conv1d):
    """One of the convolutions over samples, (B, 1, N) -> (B, filters, ceil(N / 160) // 2)."""

    def __init__(self, num_filters: int, num_samples: int) -> None:
        super().__init__(1, num_filters, num_samples, stride=_STRIDE)
        self.norm = batch_norm_1d(num_filters)
        self.pool = nn.MaxPool1d(2)

    def forward(self, wave_B1N: torch.Tensor) -> torch.Tensor:
        # Largest first, ReLU then: the same values from half the work.
        steps: torch.Tensor = self.norm(super().forward(pad_same(wave_B1N, self.kernel_size, self.stride)))
        pooled: torch.Tensor = self.pool(steps).relu()
        return pooled


class Latif(nn.Module):
    """Samples (B, N, 1), N at least 161 -> logits (B, C).

    The zeros that pad a short clip take part in everything: the published definition has no mask, and the LSTM's last
    state is that behind the padding.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        num_filters: int = 40,
        num_channels: int = 32,
        num_units: int = 128,
        num_hidden: int = 1024,
        windows: Sequence[int] = (400, 240, 1600),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        assert shape == (1,), shape
        num_columns = num_filters * len(windows)
        self.windows = nn.ModuleList(Window(num_filters, num_samples) for num_samples in windows)
        self.over_filters = nn.Conv2d(1, num_channels, 2)
        self.norm = batch_norm_2d(num_channels)
        # Rounded up: TensorFlow's "same" pooling keeps the last step, alone.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.recurrent = nn.LSTM(-(-num_columns // 2) * num_channels, num_units, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(num_units, num_hidden) if num_hidden else None
        self.output = nn.Linear(num_hidden or num_units, num_labels)
        self.apply(initialise_as_keras)

    def forward(self, wave_BN1: torch.Tensor) -> torch.Tensor:
        wave_B1N = wave_BN1.transpose(1, 2)
        heard_BFT = torch.cat([window(wave_B1N) for window in self.windows], dim=1)
        image_BTF = pad_same(heard_BFT.transpose(1, 2), (2, 2), (1, 1))
        # Channels last in memory, which is faster on a CPU: the only one is the last axis, moved without a copy.
        channels_BCTF = self.norm(self.over_filters(image_BTF.unsqueeze(3).permute(0, 3, 1, 2)))
        # A step is all channels of the first filter, then all of the second, as in Keras, where channels are last.
        steps_BTD = self.pool(channels_BCTF).relu().permute(0, 2, 3, 1).flatten(2)
        last_BD = recurrent_states(self.recurrent, steps_BTD)[:, -1]
        kept_BD = self.dropout(last_BD)
        logits_BC: torch.Tensor = self.output(kept_BD if self.hidden is None else self.hidden(kept_BD).relu())
        return logits_BC


LATIF = Network(
    source="Latif et al. 2019; Keesing et al. 2020, section 4.1",
    features=("waveform",),
    unit="clip",
    training=TrainingConfig(batch_size=32),
    min_length=_MIN_SAMPLES,
    max_length=80_000,
    sizes={
        "published": Latif,
        "debug": functools.partial(Latif, num_filters=10, num_channels=4, num_units=16, num_hidden=32),
    },
)

# As the paper has it, section 4.1: dropout, then the layer of the classes. Table 2's 1.2 million parameters are of the
# other one.
LATIF_LITERAL = dataclasses.replace(
    LATIF, sizes={size: functools.partial(build, num_hidden=0) for size, build in LATIF.sizes.items()}
)
