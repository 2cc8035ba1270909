"""The templates of the pages, and what all of them may use."""

import datetime
from typing import Any

import jinja2

from raysee import __version__
from raysee.report.figures import colour


def render(name: str, **values: Any) -> str:
    """The page that the template of that name makes of `values`; every value is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("raysee", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, colour=colour, clock=_clock, span=_span)
    return environment.get_template(name).render(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"), version=__version__, **values
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _span(seconds: float) -> str:
    """A time in the unit that it is read in."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
