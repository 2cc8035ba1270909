"""Options that several commands share, and what they are parsed into."""

from typing import Annotated

import typer

from raysee.config import Precision, TrainingConfig
from raysee.errors import ConfigurationError, unknown

Lake = Annotated[str, typer.Option("--to", envvar="RAYSEE_LAKE", help="The lake: where all stages read and write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete what an earlier start has written, then begin.")]


def adjusted(
    published: TrainingConfig, *, seed: int, precision: Precision, epochs: int, given: list[str] | None
) -> TrainingConfig:
    """The published training with what was asked for; 0 epochs: as many as published."""
    asked = {"seed": seed, "precision": precision, **({"epochs": epochs} if epochs else {})}
    return TrainingConfig.model_validate({**published.model_dump(), **asked, **settings(given)})


def settings(given: list[str] | None) -> dict[str, str]:
    """What --set says of a training. ConfigurationError for a setting that there is not."""
    named = pairs(given or [], "--set")
    for name in named:
        if name not in TrainingConfig.model_fields:
            raise unknown("setting", name, TrainingConfig.model_fields)
    return named


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
