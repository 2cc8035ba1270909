"""The weights of a network's first layer, which pages draw: of a run that delivers no model they are all that is kept.

D filters or units, F features, K samples or frames of a kernel, C channels, H rows, W columns.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch

from raysee import storage
from raysee.storage import join
from raysee.training import finished

_NAME = "first_layer.safetensors"
_KEY = "weight"


def first_layer(weights: Mapping[str, torch.Tensor]) -> npt.NDArray[np.floating] | None:
    """The first convolution, (D, F, K) or (D, C, H, W), or a linear layer (D, F) that nothing comes before.

    None for a network that begins with another layer, such as a recurrent one, and has no convolution.
    """
    layers = [(name, its) for name, its in weights.items() if "weight" in name and 2 <= its.ndim <= 4]
    convolutions = [its for _, its in layers if its.ndim > 2]
    plain = [its for name, its in layers[:1] if name.endswith(".weight")]
    return next((its.cpu().numpy() for its in [*convolutions, *plain]), None)


def keep(place: str, weights: Mapping[str, torch.Tensor]) -> None:
    """Write the first layer below the `place` of a training, where there is one."""
    if (found := first_layer(weights)) is not None:
        storage.write_bytes(join(place, _NAME), safetensors.numpy.save({_KEY: found}))


def kept(run: str) -> npt.NDArray[np.floating] | None:
    """What the first training of a run has kept; None where it has kept nothing, or an earlier version trained it."""
    uri = join(finished.folder(run, 0, 0), _NAME)
    return safetensors.numpy.load(storage.read_bytes(uri))[_KEY] if storage.exists(uri) else None
