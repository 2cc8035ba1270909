"""The experiments of the literature by name, one file each, and this dict."""

from raysee.errors import unknown
from raysee.experiments.alexnet_ravdess import ALEXNET
from raysee.experiments.badshah2017 import BADSHAH
from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.experiments.keesing2020 import KEESING
from raysee.experiments.mlp_vs_cnn import MLP_VS_CNN
from raysee.experiments.stanford2015 import STANFORD

__all__ = ["EXPERIMENTS", "Choice", "Claim", "Derived", "Experiment", "Run", "experiment"]

EXPERIMENTS: dict[str, Experiment] = {
    "alexnet-ravdess": ALEXNET,
    "badshah2017": BADSHAH,
    "keesing2020": KEESING,
    "mlp-vs-cnn": MLP_VS_CNN,
    "stanford2015": STANFORD,
}


def experiment(name: str) -> Experiment:
    """The experiment of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
