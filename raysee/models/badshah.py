"""Badshah et al. (PlatCon 2017): three convolutions and three dense layers over spectrograms as pictures.

The paper (section II.C) has 120 kernels of 11 x 11 every 4 pixels, ReLU and a maximum over 3 x 3 every 2; 256 of 5 x 5;
384 of 3 x 3; dense layers of 2048, 2048 and one unit a class, half of the first two's outputs dropped. It names no
maximum after the other two convolutions. Taken literally that makes 458,894,631 parameters at seven classes, while the
paper calls the network less complex than AlexNet (57 million): so the default pools after each convolution, which
makes 18,492,711. It is silent on borders (none here), on whether pooled sizes are rounded down (here) or up (Caffe)
and on ReLU after dense layers (as in AlexNet).

It was trained in Caffe by DIGITS 3.0, whose ways are taken where the paper is silent: the mean picture of the training
part is subtracted from colours of 0 to 255, weights start as in the AlexNet that comes with it, the first two
convolutions are followed by its response normalisation (but not in the literal network, of which the text has every
layer), no batch is smaller than the others, momentum is 0.9 and weight decay 0.0005 (github.com/NVIDIA/DIGITS of 2015:
digits/standard-networks/caffe/alexnet.prototxt and digits/model/tasks/caffe_train.py; versions from pull request 792
of May 2016 on decay weights by a hundredth of the learning rate). Not taken: biases learn twice as fast there and do
not decay, and every second picture is mirrored.

Shapes: B pictures, D channels, H rows, W columns, C labels.
"""

import functools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from raysee.config import TrainingConfig
from raysee.errors import ConfigurationError
from raysee.models.layers import times
from raysee.models.network import Network

_KERNELS = ((11, 4), (5, 1), (3, 1))  # width and stride
_POOL = (3, 2)

#: Colours in [0, 1] times this are those of 8 bits, which DIGITS leaves as they are.
_COLOURS = 255.0
#: Of each layer, the standard deviation of its first weights and its first bias.
_STARTS = ((0.01, 0.0), (0.01, 0.1), (0.01, 0.0), (0.005, 0.1), (0.005, 0.1), (0.01, 0.0))


class MeanPicture(nn.Module):
    """Pictures (B, *shape) less the mean of all that it has been trained on, which grows with each batch."""

    mean: torch.Tensor
    num_seen: torch.Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("num_seen", torch.zeros(()))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.num_seen += len(pictures)
            self.mean += (pictures.detach().mean(dim=0) - self.mean) * (len(pictures) / self.num_seen)
        return pictures - self.mean


class ResponseNorm(nn.Module):
    """Maps (B, D, H, W), each over (1 + 1e-4 / 5 times the sum of squares of the 5 maps around it) ** 0.75.

    As torch.nn.LocalResponseNorm has it (Krizhevsky et al. 2012, section 3.3, with Caffe's constants), but the sum is a
    convolution: on a CPU in mixed precision that takes a third of the time.
    """

    around: torch.Tensor
    one: torch.Tensor

    def __init__(self, num_maps: int, size: int = 5, alpha: float = 1e-4, beta: float = 0.75) -> None:
        super().__init__()
        self._beta = beta
        number = torch.arange(num_maps)
        around = (number[:, None] - number).abs() <= size // 2
        # Buffers, so that they go where the network goes; they are not among its weights.
        self.register_buffer("around", around.float()[:, :, None, None] * alpha / size, persistent=False)
        self.register_buffer("one", torch.ones(num_maps), persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * functional.conv2d(maps * maps, self.around, self.one).pow(-self._beta)


class Badshah(nn.Module):
    """Pictures (B, H, W, 3) in [0, 1] -> logits (B, C).

    `pooled` says after which convolutions the maximum is taken, `normed` after which responses are normalised.

    Raises ConfigurationError where a picture is smaller than the kernels together reach.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        num_filters: Sequence[int] = (120, 256, 384),
        num_hidden: int = 2048,
        pooled: Sequence[bool] = (True, True, True),
        normed: Sequence[bool] = (True, True, False),
        filter_factor: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        height, width, num_channels = shape
        layers: list[nn.Module] = []
        all_filters = times(num_filters, filter_factor)
        for (kernel, stride), filters, pool, norm in zip(_KERNELS, all_filters, pooled, normed, strict=True):
            layers += [nn.Conv2d(num_channels, filters, kernel, stride), nn.ReLU()]
            if norm:
                layers.append(ResponseNorm(filters))
            if pool:
                layers.append(nn.MaxPool2d(*_POOL))
            num_channels = filters
        self.mean_picture = MeanPicture(shape)
        num_positions = _remaining(height, pooled) * _remaining(width, pooled)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(num_channels * num_positions, num_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(num_hidden, num_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(num_hidden, num_labels),
        )
        weighted = [layer for layer in self.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        for layer, (std, bias) in zip(weighted, _STARTS, strict=True):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=std)
            nn.init.constant_(layer.bias, bias)

    def forward(self, picture_BHWD: torch.Tensor) -> torch.Tensor:
        centred_BHWD = self.mean_picture(picture_BHWD) * _COLOURS
        logits_BC: torch.Tensor = self.classifier(self.features(centred_BHWD.permute(0, 3, 1, 2)))
        return logits_BC


def _remaining(size: int, pooled: Sequence[bool]) -> int:
    """Positions that the convolutions and maxima leave of `size` pixels."""
    left = size
    for window, pool in zip(_KERNELS, pooled, strict=True):
        for kernel, stride in [window, _POOL] if pool else [window]:
            if left < kernel:
                raise ConfigurationError(
                    f"Badshah's network found pictures of {size} pixels, of which its kernels leave nothing: "
                    "give it pictures of 256 x 256 pixels (--features image256)."
                )
            left = (left - kernel) // stride + 1
    return left


#: Section II.D gives epochs, batch and learning rates; momentum and weight decay are those of DIGITS.
TRAINING = TrainingConfig(
    epochs=30,
    batch_size=100,
    optimiser="sgd",
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    lr_step_epochs=10,
    lr_step_factor=0.1,
)


def _network(pooled: tuple[bool, ...], normed: tuple[bool, ...]) -> Network:
    published = functools.partial(Badshah, pooled=pooled, normed=normed)
    return Network(
        source="Badshah et al. 2017, sections II.C and II.D",
        features=("image256",),
        unit="row",
        training=TRAINING,
        sizes={
            "published": published,
            "debug": functools.partial(published, num_filters=(16, 16, 32), num_hidden=128),
        },
        batching="even",
        standardise=False,
    )


BADSHAH = _network((True, True, True), (True, True, False))

#: The maximum after the first convolution only, as the text says; weights, gradients and momentum are 5.5 GB.
BADSHAH_LITERAL = _network((True, False, False), (False, False, False))
