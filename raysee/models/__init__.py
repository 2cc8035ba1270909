"""The networks and classifiers by name, one file each, and these dicts."""

from torch import nn

from raysee.config import RunConfig, TrainingConfig
from raysee.errors import ConfigurationError, unknown
from raysee.models import aldeneh, alexnet, array_cnn, badshah, chunk_lstm, latif, mlp, zhang, zhao
from raysee.models.classical import CLASSIFIERS, Classifier
from raysee.models.network import Network
from raysee.models.stanford import STANFORD

__all__ = ["CLASSIFIERS", "MODELS", "Classifier", "Network", "build", "network", "published"]

MODELS: dict[str, Network] = {
    "aldeneh": aldeneh.ALDENEH,
    "aldeneh-fixed": aldeneh.ALDENEH_FIXED,
    "alexnet": alexnet.ALEXNET_IMAGE,
    "alexnet-fine-tuned": alexnet.ALEXNET_FINE_TUNED,
    "alexnet-sliding": alexnet.ALEXNET_SLIDING,
    "array-cnn": array_cnn.ARRAY_CNN,
    "array-cnn-big-four": array_cnn.ARRAY_CNN_BIG_FOUR,
    "array-cnn-mel": array_cnn.ARRAY_CNN_MEL,
    "array-cnn-mfcc": array_cnn.ARRAY_CNN_MFCC,
    "badshah": badshah.BADSHAH,
    "badshah-literal": badshah.BADSHAH_LITERAL,
    "chunk-lstm": chunk_lstm.CHUNK_LSTM,
    "cnn-blstm": chunk_lstm.CNN_BLSTM,
    "cnn-lstm": chunk_lstm.CNN_LSTM,
    "latif": latif.LATIF,
    "latif-literal": latif.LATIF_LITERAL,
    "mlp": mlp.MLP,
    "mlp-standardised": mlp.MLP_STANDARDISED,
    "zhang": zhang.ZHANG,
    "zhang-unpadded": zhang.ZHANG_UNPADDED,
    "zhao": zhao.ZHAO,
    "zhao-512": zhao.ZHAO_512,
    **STANFORD,
}


def network(name: str) -> Network:
    """The network of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in MODELS:
        raise unknown("network", name, MODELS)
    return MODELS[name]


def build(config: RunConfig, shape: tuple[int, ...], num_labels: int) -> nn.Module:
    """The network of a run, with fresh weights. ConfigurationError for an option that it does not have."""
    builder = network(config.model).sizes[config.size]
    try:
        return builder(shape, num_labels, **config.options)
    except TypeError as error:
        if not config.options:
            raise
        raise ConfigurationError(
            f"{config.model} does not take all of the options {config.options}: {error}."
        ) from error


def published(name: str) -> tuple[tuple[str, ...], TrainingConfig]:
    """The front-ends that a network or classifier takes, the published one first, and how it is trained.

    ConfigurationError that lists the known ones for another name.
    """
    if name in CLASSIFIERS:
        return CLASSIFIERS[name].features, TrainingConfig()
    if name not in MODELS:
        raise unknown("model", name, [*MODELS, *CLASSIFIERS])
    return MODELS[name].features, MODELS[name].training
