"""AlexNet on spectrograms as pictures: fresh, or from weights learnt on ImageNet.

Krizhevsky, Sutskever & Hinton (NIPS 2012), with the names and shapes of torchvision's `alexnet`, so that its weights
fit: that follows Krizhevsky 2014 ("One weird trick for parallelizing convolutional neural networks"). Badshah et al.
2017 (section III.B.2) fine-tune an AlexNet, it seems that of Caffe, whose filters are grouped. S. de Gosson de Varennes
and M. Starck ("Using CNN for Speech Emotion Recognition - What's wrong with it?") train one on windows of 1 s, for 15
epochs, and leave optimiser, learning rate and batch open. Initial weights are PyTorch's.

Shapes: B pictures, D colours, H rows, W columns, T columns of a window (time), F its rows (frequency), C labels.
"""

import functools
from collections.abc import Sequence

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from raysee.config import TrainingConfig
from raysee.errors import ConfigurationError
from raysee.models import badshah, score_lstm
from raysee.models.network import Network

#: Of red, green and blue over ImageNet, on a scale of 0 to 1: what torchvision's weights were trained under.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_LAST_LAYER = "classifier.6."
_NOT_TAKEN = (_LAST_LAYER, f"{score_lstm.NAME}.")  # nor the LSTM over the windows of another training


class AlexNet(nn.Module):
    """Pictures (B, H, W, 3) in [0, 1], from 63 x 63 pixels on -> logits (B, C).

    With `time_first` they are windows (B, T, F, 3) and are turned upright: frequency from top to bottom, time from left
    to right. Colours are scaled as torchvision scales them, because its weights hold for nothing else. A fresh network
    needs it too (Krizhevsky et al. subtract the mean): on pictures in [0, 1] SGD left a small one at chance.
    """

    imagenet_mean: torch.Tensor
    imagenet_std: torch.Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        num_labels: int,
        *,
        num_filters: Sequence[int] = (64, 192, 384, 256, 256),
        num_hidden: int = 4096,
        dropout: float = 0.5,
        time_first: bool = False,
    ) -> None:
        super().__init__()
        one, two, three, four, five = num_filters
        self.features = nn.Sequential(
            nn.Conv2d(shape[-1], one, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(one, two, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(two, three, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(three, four, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(four, five, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(five * 6 * 6, num_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(num_hidden, num_hidden),
            nn.ReLU(),
            nn.Linear(num_hidden, num_labels),
        )
        self._time_first = time_first
        # Not persistent: torchvision's files do not hold them.
        self.register_buffer("imagenet_mean", torch.tensor(IMAGENET_MEAN), persistent=False)
        self.register_buffer("imagenet_std", torch.tensor(IMAGENET_STD), persistent=False)

    def forward(self, picture_BHWD: torch.Tensor) -> torch.Tensor:
        scaled_BHWD = (picture_BHWD - self.imagenet_mean) / self.imagenet_std
        picture_BDHW = scaled_BHWD.permute((0, 3, 2, 1) if self._time_first else (0, 3, 1, 2))
        logits_BC: torch.Tensor = self.classifier(self.avgpool(self.features(picture_BDHW)).flatten(1))
        return logits_BC


def load_pretrained(model: nn.Module, data: bytes) -> None:
    """Give a model all weights of a safetensors file (its bytes) but those of AlexNet's last layer, which is classes.

    Those of an LSTM over windows are left out too: it is fitted after the network.

    torchvision publishes its weights as a .pth file, a pickle that could run anything: none is opened here. To convert
    what torchvision.models.AlexNet_Weights.IMAGENET1K_V1 downloads:

        weights = torch.load("alexnet.pth", weights_only=True)
        safetensors.torch.save_file(weights, "alexnet.safetensors")

    Raises ConfigurationError where the bytes are no safetensors file, or names or shapes differ from the model's; the
    model is then as it was.
    """
    try:
        weights = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ConfigurationError(
            f"The initial weights are no safetensors file ({error}): if they are a .pth file, convert it by "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW_FILE)."
        ) from error
    given = {name: weight for name, weight in weights.items() if not name.startswith(_NOT_TAKEN)}
    wanted = {name: weight for name, weight in model.state_dict().items() if not name.startswith(_LAST_LAYER)}
    if given.keys() != wanted.keys():
        raise ConfigurationError(
            f"The initial weights lack {_some(wanted.keys() - given.keys())} of the network and have "
            f"{_some(given.keys() - wanted.keys())} that it does not know: give a file with the names of this network, "
            "for AlexNet torchvision's."
        )
    for name, weight in given.items():
        if weight.shape != wanted[name].shape:
            raise ConfigurationError(
                f"The initial weights {name} are {tuple(weight.shape)}, the network's are {tuple(wanted[name].shape)}: "
                "give a file of this network in this size (--size published for torchvision's)."
            )
    model.load_state_dict(given, strict=False)


def _some(names: set[str]) -> str:
    listed = ", ".join(sorted(names)[:3]) or "nothing"
    return f"{listed} and others" if len(names) > 3 else listed


_DEBUG = functools.partial(AlexNet, num_filters=(16, 16, 32, 16, 16), num_hidden=128)

#: Fresh, trained as the network that Badshah et al. compare theirs with would be.
ALEXNET_IMAGE = Network(
    source="Krizhevsky et al. 2012; training of Badshah et al. 2017, section II.D",
    features=("image256",),
    unit="row",
    training=badshah.TRAINING,
    sizes={"published": AlexNet, "debug": _DEBUG},
    batching="even",
    standardise=False,
)

#: To be started from torchvision's weights (`load_pretrained`), with a tenth of the learning rate.
ALEXNET_FINE_TUNED = Network(
    source="Krizhevsky et al. 2012; Badshah et al. 2017, section III.B.2",
    features=("image256",),
    unit="row",
    training=badshah.TRAINING.model_copy(update={"learning_rate": 0.001}),
    sizes={"published": AlexNet, "debug": _DEBUG},
    batching="even",
    standardise=False,
)

#: Adam, its learning rate and the batch are chosen here.
ALEXNET_SLIDING = Network(
    source="Krizhevsky et al. 2012; de Gosson de Varennes & Starck, Using CNN for Speech Emotion Recognition",
    features=("sliding227", "sliding227linear", "sliding227log"),
    unit="window",
    training=TrainingConfig(epochs=15, batch_size=128, learning_rate=1e-4),
    sizes={
        "published": functools.partial(AlexNet, time_first=True),
        "debug": functools.partial(_DEBUG, time_first=True),
    },
    batching="shuffle",
    standardise=False,
)
