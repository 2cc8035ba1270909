"""Samples -> arrays: the front-ends by name, one file a kind, and this dict."""

from raysee.errors import unknown
from raysee.features.frontend import FrontEnd, TooShort
from raysee.features.logmel import LogMel

__all__ = ["FEATURES", "FrontEnd", "TooShort", "front_end"]

FEATURES: dict[str, FrontEnd] = {
    "logmel40": LogMel(num_bands=40),
    "logmel240": LogMel(num_bands=240),
}


def front_end(name: str) -> FrontEnd:
    """The front-end of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in FEATURES:
        raise unknown("front-end", name, FEATURES)
    return FEATURES[name]
