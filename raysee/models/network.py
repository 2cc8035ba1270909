"""What is known of a network besides its layers."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Network:
    """How a network is built and fed. It maps features (B, T, F) to logits (B, C)."""

    source: str
    batch_size: int  # the published one
    length_multiple: int  # clips are zero-padded at their end to a multiple of so many frames
    sizes: dict[str, Callable[[int, int], nn.Module]]  # size -> (num_columns, num_labels) -> network
