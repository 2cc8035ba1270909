"""What networks that were written in Keras have in common: how they start, how they pad, how they pool.

Shapes: B clips, T steps of a sequence, D values of a step.
"""

import functools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

# Keras's constants: its momentum of 0.99 is what a moving average keeps, PyTorch's is what a batch adds to it.
batch_norm_1d = functools.partial(nn.BatchNorm1d, eps=1e-3, momentum=0.01)
batch_norm_2d = functools.partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


def initialise_as_keras(module: nn.Module) -> None:
    """Start one layer as Keras does by default; for `nn.Module.apply`.

    Kernels are Glorot-uniform (all gates of a recurrent layer are one kernel), recurrent kernels have orthogonal
    columns over all gates at once, biases are zero, but one at an LSTM's forget gates. Keras's LSTM has one bias where
    PyTorch's has two that are added: the second stays zero and is not trained. Its GRU (of TensorFlow 2) has both.
    Batch norm starts alike in both.
    """
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.LSTM, nn.GRU)):
        for name, parameter in module.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)
            if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
                # Gates follow each other in both libraries' order: input, forget, cell, output.
                nn.init.ones_(parameter[module.hidden_size : 2 * module.hidden_size])
            elif isinstance(module, nn.LSTM) and name.startswith("bias_hh"):
                parameter.requires_grad_(False)


def pad_same(values: torch.Tensor, kernel: Sequence[int], stride: Sequence[int]) -> torch.Tensor:
    """Zeros around the last axes, one for each number of `kernel`, so that a convolution is "same" as in TensorFlow.

    Along an axis of N it then gives ceil(N / stride) values. Where the zeros are odd in number, one more is behind:
    PyTorch's own "same" does so too, but it refuses strides.
    """
    sizes = values.shape[-len(kernel) :]
    padding: list[int] = []
    for size, width, step in zip(reversed(sizes), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // step) - 1) * step + width - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(values, padding)


def times(counts: Sequence[int], factor: float) -> list[int]:
    """Counts of filters or units times a factor, one at least: what a search may vary where a network has several."""
    return [max(1, round(count * factor)) for count in counts]


def recurrent_states(layer: nn.LSTM | nn.GRU, sequence_BTD: torch.Tensor) -> torch.Tensor:
    """What a recurrent layer (batch first) says at each step, in float32 under mixed precision too.

    A CPU without AVX-512 has no LSTM in bfloat16.
    """
    with torch.autocast(sequence_BTD.device.type, enabled=False):
        states_BTD: torch.Tensor = layer(sequence_BTD.float())[0]
    return states_BTD


class AttentionPooling(nn.Module):
    """The mean of a sequence (B, T, D) -> (B, D), weighted by a softmax over time of each step's product with a vector.

    The vector is all that is learned: there is no bias and no projection. All T steps take part, padding too.
    Source: Keesing et al. 2020, section 4.1 ("weighted attention pooling") and its code.
    """

    def __init__(self, num_values: int) -> None:
        super().__init__()
        self.score = nn.Linear(num_values, 1, bias=False)

    def forward(self, sequence_BTD: torch.Tensor) -> torch.Tensor:
        weights_BT1 = self.score(sequence_BTD).softmax(dim=1)
        pooled_BD: torch.Tensor = (weights_BT1.transpose(1, 2) @ sequence_BTD).squeeze(1)
        return pooled_BD
