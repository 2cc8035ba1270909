"""Runs -> one HTML page that needs no network, no script and no other file."""

from collections.abc import Sequence

from pydantic import ValidationError

from raysee import receipts, storage
from raysee.errors import ConfigurationError
from raysee.report import scoring, training
from raysee.report.published import SOURCE
from raysee.report.scoring import ScoringRun
from raysee.report.template import render
from raysee.report.training import TrainingRun

_DEFAULT_NAME = "report.html"


def write_report(places: Sequence[str], out: str | None = None) -> str:
    """Draw the training and scoring runs at `places` on one page, and return the URI that it was written to.

    Without `out` the page becomes `report.html` below the first place.
    Raises ConfigurationError where a place holds no finished training or scoring run.
    """
    if not places:
        raise ConfigurationError("No run to report: give the folder of at least one training or scoring run.")
    unique = list(dict.fromkeys(storage.normalise(place) for place in places))
    uri = storage.join(unique[0], _DEFAULT_NAME) if out is None else storage.normalise(out)
    runs = [_gather(place, f"run-{number}") for number, place in enumerate(unique, start=1)]
    storage.write_bytes(uri, _render(runs).encode())
    return uri


def _gather(place: str, anchor: str) -> TrainingRun | ScoringRun:
    receipt = receipts.read(place)
    if receipt is None:
        raise ConfigurationError(
            f"{place} holds no finished run (no {receipts.NAME}): "
            "check the spelling, or start its stage again to finish it."
        )
    if receipt.stage not in ("train", "train-large", "score"):
        raise ConfigurationError(
            f"{place} was written by `raysee {receipt.stage}`: "
            "give the folder of a run of `raysee train` or `raysee score` instead."
        )
    if receipt.stage == "train-large" and not receipt.details["metrics"]:
        raise ConfigurationError(
            f"{place} is one model that was fitted on all clips, which says nothing of how good it is: "
            "give a run of `raysee train` without --workers."
        )
    try:
        if receipt.stage.startswith("train"):
            return training.gather(place, receipt, anchor)
        return scoring.gather(place, receipt, anchor)
    except ValidationError as error:
        wrong = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigurationError(
            f"{place} was written by another version of raysee ({receipt.versions.get('raysee', 'unknown')}; "
            f"{wrong} does not fit): run `raysee {receipt.stage}` again with --overwrite."
        ) from error


def _render(runs: Sequence[TrainingRun | ScoringRun]) -> str:
    trained = [run for run in runs if isinstance(run, TrainingRun)]
    scored = [run for run in runs if isinstance(run, ScoringRun)]
    notes = {run.protocol.name: run.protocol.note for run in trained if run.protocol.note}
    if any(run.published is not None for run in trained):
        notes["published"] = SOURCE
    return render(
        "page.html",
        trained=trained,
        scored=scored,
        notes=notes,
        leaks=training.leaks(trained),
    )
