"""The networks by name, one file each, and this dict."""

from raysee.errors import unknown
from raysee.models import aldeneh
from raysee.models.network import Network

__all__ = ["MODELS", "Network", "network"]

MODELS: dict[str, Network] = {
    "aldeneh": aldeneh.ALDENEH,
}


def network(name: str) -> Network:
    """The network of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]
