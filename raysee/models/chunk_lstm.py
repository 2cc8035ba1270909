"""Long short-term memory over chunks of half a second: a student report of 2015, section 3.3, and what it announces.

The report feeds an LSTM the chunks themselves and says no number of units: here 128. It announces an LSTM over what a
convolution makes of the chunks, online and one-directional, and a bidirectional one for batches: the convolution here
is its best one, R1, with 128 filters instead of 1024, because each chunk passes through it at each step. Weights start
as PyTorch's do.

Shapes: B clips, T chunks, H frequencies, W frames, S channels, D values of a step, C labels.
"""

import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from raysee.config import TrainingConfig
from raysee.errors import RayseeError
from raysee.models.network import Network
from raysee.models.stanford import ConvPool

State = tuple[torch.Tensor, torch.Tensor]


class Flat(nn.Module):
    """Chunks (B, H, W, S) -> (B, D), as they are."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.num_values = shape[0] * shape[1] * shape[2]

    def forward(self, chunk_BHWS: torch.Tensor) -> torch.Tensor:
        return chunk_BHWS.flatten(1)


class Convolved(nn.Module):
    """Chunks (B, H, W, S) -> (B, D): R1 up to its hidden layer."""

    def __init__(self, shape: tuple[int, ...], num_filters: int = 128, num_hidden: int = 64) -> None:
        super().__init__()
        self.num_values = num_hidden
        layers = ConvPool(shape, 1, num_filters=[num_filters], num_hidden=num_hidden)
        self.layers = nn.Sequential(layers.convolutions, nn.Flatten(), layers.hidden, layers.after)

    def forward(self, chunk_BHWS: torch.Tensor) -> torch.Tensor:
        values_BD: torch.Tensor = self.layers(chunk_BHWS.permute(0, 3, 1, 2))
        return values_BD


class ChunkLstm(nn.Module):
    """Clips of chunks (B, T, H, W, S) and how many of each are not padding, (B,) -> logits (B, C).

    The answer is made of the last state, in each direction; what pads a clip has no part in it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        encoder: Callable[[tuple[int, ...]], Flat | Convolved] = Flat,
        num_units: int = 128,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder(shape)
        self.lstm = nn.LSTM(self.encoder.num_values, num_units, batch_first=True, bidirectional=bidirectional)
        self.dropout = nn.Dropout(dropout)  # of the last state; the report has none
        self.output = nn.Linear(num_units * (2 if bidirectional else 1), num_labels)

    def forward(self, chunks_BTHWS: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        steps_BTD = self.encoder(chunks_BTHWS.flatten(0, 1)).unflatten(0, chunks_BTHWS.shape[:2])
        # In float32 under mixed precision too: a CPU without AVX-512 has no LSTM in bfloat16.
        with torch.autocast(steps_BTD.device.type, enabled=False):
            packed = pack_padded_sequence(steps_BTD.float(), lengths.cpu(), batch_first=True, enforce_sorted=False)
            _, (last, _) = self.lstm(packed)
        logits_BC: torch.Tensor = self.output(self.dropout(last.transpose(0, 1).flatten(1)))
        return logits_BC

    def step(self, chunk_BHWS: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Logits (B, C) after one more chunk, and the state to go on with; None is the state before the first chunk.

        For use online, of the one-directional network only: the other one needs the end to begin.
        """
        if self.lstm.bidirectional:
            raise RayseeError("A bidirectional network hears the end of a clip first: take cnn-lstm for use online.")
        step_BD = self.encoder(chunk_BHWS)
        with torch.autocast(step_BD.device.type, enabled=False):
            _, following = self.lstm(step_BD.float()[:, None], state)
        logits_BC: torch.Tensor = self.output(following[0][-1])
        return logits_BC, following


def _network(encoder: Callable[..., Flat | Convolved], few: Callable[..., Flat | Convolved], both: bool) -> Network:
    return Network(
        source="a student report of 2015 on CNNs and LSTMs, sections 3.3 and 4",
        features=("chunks64",),
        unit="clip",
        training=TrainingConfig(epochs=50, batch_size=32, learning_rate=1e-3),
        sizes={
            "published": functools.partial(ChunkLstm, encoder=encoder, bidirectional=both),
            "debug": functools.partial(ChunkLstm, encoder=few, bidirectional=both, num_units=32),
        },
        masks=True,
    )


CHUNK_LSTM = _network(Flat, Flat, both=False)
CNN_LSTM = _network(Convolved, functools.partial(Convolved, num_filters=16, num_hidden=32), both=False)
CNN_BLSTM = _network(Convolved, functools.partial(Convolved, num_filters=16, num_hidden=32), both=True)
