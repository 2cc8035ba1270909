"""CNNs over feature arrays: a study of RAVDESS sets them against the MLP over the same features' means.

The study's text ("Speech Emotion Recognition") gives figures, its code (modeling.ipynb of
github.com/kduane/speech_emotion_recognition) four networks. The layers of the one over the whole array and seven
emotions are confirmed by the model that the study saved (assets/ser.h5). Those for four emotions, for MFCCs alone and
for mel bands alone are in the notebook only, as are all batch sizes, and epochs: it stops when the loss on the test
quarter has not fallen for four or five. It standardises no further than the front-end; all else is Keras's default.

An array has 275 frames; a shorter one is filled with zeros, which are not masked: they are part of the picture. Rows
and columns that do not fill a maximum are left out, as in Keras: the 21 highest mel bands never reach the network for
mel bands, nor the 10 highest that for seven emotions.

Shapes: B clips, T frames, F features (40 MFCCs, 12 chroma bins, 128 mel bands), C labels.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from raysee.config import TrainingConfig
from raysee.models.layers import initialise_as_keras, times
from raysee.models.mlp import SOURCE
from raysee.models.network import Network

NUM_FRAMES = 275
_MFCCS = slice(0, 40)
_MEL_BANDS = slice(52, 180)


class Block(NamedTuple):
    """A convolution without borders, ReLU, and a maximum; sizes in features and frames."""

    num_filters: int
    kernel: int
    pool: tuple[int, int]


_SEVEN = (Block(16, 5, (2, 2)), Block(16, 4, (2, 2)), Block(16, 3, (2, 2)), Block(16, 2, (2, 2)))
_FOUR = (Block(16, 4, (3, 2)), Block(16, 3, (3, 2)), Block(16, 2, (2, 2)))
_MFCC = (Block(32, 3, (3, 2)),)
_MEL = (Block(16, 3, (3, 2)), Block(16, 3, (3, 2)), Block(16, 3, (3, 2)))


class ArrayCnn(nn.Module):
    """Feature arrays (B, 275, F) -> logits (B, C). `rows` are the features that it looks at.

    Dropout follows the first and the second dense layer.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        blocks: Sequence[Block],
        dropout: float,
        rows: slice = slice(None),
        num_hidden: Sequence[int] = (128, 64, 32),
        filter_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self._rows = rows
        height, width, num_channels = len(range(*rows.indices(shape[0]))), NUM_FRAMES, 1
        layers: list[nn.Module] = []
        filters = times([block.num_filters for block in blocks], filter_factor)
        for block, num_filters in zip(blocks, filters, strict=True):
            layers += [nn.Conv2d(num_channels, num_filters, block.kernel), nn.ReLU(), nn.MaxPool2d(block.pool)]
            height = (height - block.kernel + 1) // block.pool[0]
            width = (width - block.kernel + 1) // block.pool[1]
            num_channels = num_filters
        one, two, three = num_hidden
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(num_channels * height * width, one),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(one, two),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(two, three),
            nn.ReLU(),
            nn.Linear(three, num_labels),
        )
        self.apply(initialise_as_keras)

    def forward(self, array_BTF: torch.Tensor) -> torch.Tensor:
        picture_BFT = array_BTF.transpose(1, 2)[:, self._rows]
        logits_BC: torch.Tensor = self.classifier(self.features(picture_BFT[:, None]))
        return logits_BC


def _network(
    blocks: tuple[Block, ...], *, dropout: float, batch_size: int, epochs: int, patience: int, rows: slice = slice(None)
) -> Network:
    small = tuple(block._replace(num_filters=4) for block in blocks)
    return Network(
        source=SOURCE,
        features=("array180",),
        unit="clip",
        training=TrainingConfig(epochs=epochs, batch_size=batch_size, learning_rate=1e-3, patience=patience),
        sizes={
            "published": functools.partial(ArrayCnn, blocks=blocks, dropout=dropout, rows=rows),
            "debug": functools.partial(ArrayCnn, blocks=small, dropout=dropout, rows=rows, num_hidden=(32, 32, 32)),
        },
        batching="shuffle",
        min_length=NUM_FRAMES,
        max_length=NUM_FRAMES,
        standardise=False,
    )


#: The whole array and all emotions but neutral: notebook and saved model.
ARRAY_CNN = _network(_SEVEN, dropout=0.33, batch_size=256, epochs=100, patience=5)

#: The whole array; angry, fearful, happy and sad: notebook.
ARRAY_CNN_BIG_FOUR = _network(_FOUR, dropout=0.33, batch_size=256, epochs=100, patience=4)

#: The 40 MFCCs of it: notebook.
ARRAY_CNN_MFCC = _network(_MFCC, dropout=0.25, batch_size=112, epochs=50, patience=5, rows=_MFCCS)

#: The 128 mel bands of it: notebook.
ARRAY_CNN_MEL = _network(_MEL, dropout=0.25, batch_size=256, epochs=50, patience=5, rows=_MEL_BANDS)
