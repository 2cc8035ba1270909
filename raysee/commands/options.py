"""Options that several commands share, and what they are parsed into."""

import enum
from typing import Annotated

import typer

from raysee.errors import ConfigurationError

Lake = Annotated[str, typer.Option("--to", envvar="RAYSEE_LAKE", help="The lake: where all stages read and write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete what an earlier start has written, then begin.")]


class Size(enum.StrEnum):
    """Sizes of a network."""

    PUBLISHED = "published"
    DEBUG = "debug"


class Precision(enum.StrEnum):
    """Arithmetic of training."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Aggregation(enum.StrEnum):
    """From the windows of a clip to the clip."""

    MEAN = "mean"
    MEDIAN = "median"
    VOTE = "vote"


class Channel(enum.StrEnum):
    """What recordings come through."""

    CLEAN = "clean"
    TELEPHONE = "telephone"


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """NAME=VALUE options as a dict."""
    if wrong := [text for text in texts if "=" not in text]:
        raise ConfigurationError(f"{option} {wrong[0]!r} has no value: give NAME=VALUE, see --help.")
    return dict(text.split("=", 1) for text in texts)


def span(text: str, option: str) -> tuple[int, int]:
    """N or AT_LEAST:AT_MOST as two numbers."""
    least, _, most = text.partition(":")
    try:
        return int(least), int(most or least)
    except ValueError:
        raise ConfigurationError(f"{option} {text!r} is not a number: give N, or AT_LEAST:AT_MOST.") from None


def names(text: str) -> list[str]:
    """Comma-separated names."""
    return [name.strip() for name in text.split(",") if name.strip()]
