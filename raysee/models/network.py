"""What is known of a network besides its layers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from raysee.config import TrainingConfig

#: Front-ends whose rows are frames of one vector each: what networks over log-mels take too.
SEQUENCES = (
    *("logmel40", "logmel240", "spectrogram40", "spectrogram240", "mfcc"),
    *("hubert", "wav2vec2", "wavlm"),
)

#: Front-ends whose rows are vectors that stand for a clip or a chunk each.
VECTORS = ("is09", "summary180", "chunk26", "hubert-mean", "wav2vec2-mean", "wavlm-mean")


@dataclass(frozen=True)
class Network:
    """How a network is built, fed and trained. It maps a batch to logits (B, C).

    What a front-end makes of a clip is an array of rows, and `unit` says what an example is:
    - "clip": all rows of a clip, (B, T, *shape), zeros behind the shorter ones;
    - "row": each row by itself, (B, *shape), with the clip's label;
    - "window": as many rows as a row is long, (B, L, *shape) with L = shape[0], from every so many rows on.
    """

    source: str
    features: tuple[str, ...]  # the front-ends whose arrays it takes, the published one first
    unit: Literal["clip", "row", "window"]
    training: TrainingConfig  # the published one
    sizes: dict[str, Callable[..., nn.Module]]  # size -> (shape of a row, num_labels, options by keyword) -> network
    #: Fixed batches of clips of like length; new ones each epoch; or new ones that are all as large as each other, give
    #: or take one example: Caffe has no small last batch, because it goes on with the next pass.
    batching: Literal["length", "shuffle", "even"] = "length"
    length_multiple: int = 1  # clips are zero-padded at their end to a multiple of so many rows,
    min_length: int = 1  # and to so many at least,
    max_length: int | None = None  # after they are cut to their first so many
    masks: bool = False  # forward(batch, lengths), lengths (B,): padding has no influence
    standardise: bool = True  # each column (last axis), before rows are cut or padded
    version: int = 1  # raised when layers, first weights or batches change what it learns
