"""What a search may vary of each network, and within which bounds.

A name is a field of the run's configuration: `features`, `augmented`, `training.X` for how it is trained (batch sizes,
`training.balance` for the weighting of classes in the loss) or `options.X` for a keyword of the network's builder.
Every space holds the network as published, which a search tries first. What no space has: precision and compilation
(they are about speed), and patience (the epoch is chosen on validation speakers anyway).
"""

import inspect
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from raysee.config import RunConfig
from raysee.errors import unknown
from raysee.models import network

Space = dict[str, BaseDistribution]
Point = dict[str, str | int | float]  # a value for each name of a space

#: Of optimisers that adapt their steps. A weight decay of 0 is on no logarithmic scale, hence the list.
_ADAM: Space = {
    "training.learning_rate": FloatDistribution(3e-5, 1e-2, log=True),
    "training.batch_size": CategoricalDistribution((8, 16, 32, 64)),
    "training.epochs": CategoricalDistribution((25, 50, 100)),
    "training.weight_decay": CategoricalDistribution((0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
    "training.balance": FloatDistribution(0.0, 1.0),
}
_ARRAY_CNN: Space = {
    **_ADAM,
    "training.batch_size": CategoricalDistribution((32, 64, 112, 256)),
    "options.filter_factor": FloatDistribution(0.25, 4.0, log=True),
    "options.dropout": FloatDistribution(0.0, 0.6),
}
_MLP: Space = {
    **_ADAM,
    "training.epochs": CategoricalDistribution((100, 250, 500)),
    "options.hidden_factor": FloatDistribution(0.25, 4.0, log=True),
    "options.dropout": FloatDistribution(0.0, 0.6),
}
_CHUNK_LSTM: Space = {
    **_ADAM,
    "options.num_units": IntDistribution(32, 512, log=True),
    "options.dropout": FloatDistribution(0.0, 0.6),
}
_DENSE: Space = {
    **_MLP,
    "training.batch_size": CategoricalDistribution((32, 64, 128, 256)),
    "training.epochs": CategoricalDistribution((100, 200, 400)),
}
_CONV: Space = {
    **_ADAM,
    "training.batch_size": CategoricalDistribution((32, 64, 128, 256)),
    "training.epochs": CategoricalDistribution((100, 200, 400)),
    "options.filter_factor": FloatDistribution(0.25, 2.0, log=True),
    "options.num_hidden": IntDistribution(32, 512, log=True),
    "options.dropout": FloatDistribution(0.0, 0.6),
    "augmented": CategoricalDistribution(("", "chunks64-augmented")),
}
_BADSHAH: Space = {
    "training.learning_rate": FloatDistribution(3e-4, 3e-2, log=True),
    "training.batch_size": CategoricalDistribution((50, 100, 200)),
    "training.epochs": CategoricalDistribution((15, 30, 60)),
    "training.weight_decay": CategoricalDistribution((0.0, 1e-5, 1e-4, 5e-4, 1e-3)),
    "training.balance": FloatDistribution(0.0, 1.0),
    "training.momentum": FloatDistribution(0.8, 0.98),
    "options.filter_factor": FloatDistribution(0.25, 1.5, log=True),
    "options.num_hidden": IntDistribution(256, 4096, log=True),
    "options.dropout": FloatDistribution(0.2, 0.7),
}
_ALDENEH: Space = {
    **_ADAM,
    "features": CategoricalDistribution(("logmel40", "logmel240", "mfcc")),
    "options.num_filters": IntDistribution(64, 768, step=64),
    "options.num_hidden": IntDistribution(128, 2048, step=128),
    "options.dropout": FloatDistribution(0.0, 0.6),
}
_LATIF: Space = {
    **_ADAM,
    "options.num_filters": IntDistribution(10, 80, step=10),
    "options.num_channels": IntDistribution(8, 64, step=8),
    "options.num_units": IntDistribution(32, 256, step=32),
    "options.num_hidden": IntDistribution(128, 2048, step=128),
    "options.dropout": FloatDistribution(0.0, 0.6),
}
_ZHANG: Space = {
    **_ADAM,
    "options.num_maps": IntDistribution(20, 60, step=10),  # in groups of the ten that are pooled
    "options.num_units": IntDistribution(32, 256, step=32),
    "options.dropout": FloatDistribution(0.0, 0.5),
}
_ZHAO: Space = {
    **_ADAM,
    "features": CategoricalDistribution(("spectrogram40", "spectrogram240", "logmel40")),
    "options.num_units": IntDistribution(32, 256, step=32),
    "options.filter_factor": FloatDistribution(0.25, 2.0, log=True),
    "options.num_hidden": IntDistribution(32, 512, step=32),
    "options.dropout": FloatDistribution(0.0, 0.6),
}


def _without(space: Space, *names: str) -> Space:
    return {name: distribution for name, distribution in space.items() if name not in names}


#: Its layers have the sizes of the published weights.
_ALEXNET = _without(_BADSHAH, "options.filter_factor", "options.num_hidden")

SPACES: dict[str, Space] = {
    "aldeneh": _ALDENEH,
    "aldeneh-fixed": _without(_ALDENEH, "features"),
    "alexnet": _ALEXNET,
    "alexnet-fine-tuned": _ALEXNET,
    "alexnet-sliding": {
        **_ADAM,
        "training.batch_size": CategoricalDistribution((64, 128, 256)),
        "training.epochs": CategoricalDistribution((8, 15, 30)),
        "options.dropout": FloatDistribution(0.2, 0.7),
    },
    "array-cnn": _ARRAY_CNN,
    "array-cnn-big-four": _ARRAY_CNN,
    "array-cnn-mel": _ARRAY_CNN,
    "array-cnn-mfcc": _ARRAY_CNN,
    "badshah": _BADSHAH,
    "badshah-literal": _BADSHAH,
    "chunk-lstm": _CHUNK_LSTM,
    "cnn-blstm": _CHUNK_LSTM,
    "cnn-lstm": _CHUNK_LSTM,
    "fc2": _DENSE,
    "fc3": _DENSE,
    "latif": _LATIF,
    "latif-literal": _without(_LATIF, "options.num_hidden"),
    "mlp": _MLP,
    "mlp-standardised": _MLP,
    "stanford-r1": _CONV,
    "stanford-r2": _CONV,
    "stanford-r3": _CONV,
    "stanford-r4": _CONV,
    "stanford-r5": _CONV,
    "stanford-r6": _CONV,
    "stanford-s1": _CONV,
    "stanford-s2": _CONV,
    "stanford-s3": _CONV,
    "stanford-s4": _CONV,
    "zhang": _ZHANG,
    "zhang-unpadded": _ZHANG,
    "zhao": _ZHAO,
    "zhao-512": _without(_ZHAO, "features"),
}


def space_of(model: str, size: str) -> Space:
    """The space of a network; a debug network keeps its small layers. ConfigurationError for an unknown name."""
    if model not in SPACES:
        raise unknown("network to tune", model, SPACES)
    return {
        name: distribution
        for name, distribution in SPACES[model].items()
        if size == "published" or name.partition(".")[0] != "options" or name == "options.dropout"
    }


def point_of(config: RunConfig, space: Space) -> Point:
    """What a configuration has for each name of a space; for options that it leaves open, the builder's default."""
    builder = inspect.signature(network(config.model).sizes[config.size]).parameters
    fields: dict[str, Any] = config.model_dump()
    point: Point = {}
    for name in space:
        part, _, key = name.partition(".")
        if part == "options":
            point[name] = config.options.get(key, builder[key].default)
        else:
            point[name] = fields[part][key] if key else fields[part]
    return point


def configured(config: RunConfig, point: Point) -> RunConfig:
    """The configuration with a point's values; ValidationError where one is out of its field's range."""
    fields: dict[str, Any] = config.model_dump()
    for name, value in point.items():
        part, _, key = name.partition(".")
        if key:
            fields[part] = {**fields[part], key: value}
        else:
            fields[part] = value
    return RunConfig.model_validate(fields)
