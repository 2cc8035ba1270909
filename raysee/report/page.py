"""Runs -> one HTML page that needs no network, no script and no other file."""

from collections.abc import Sequence

from pydantic import ValidationError

from raysee import receipts, storage
from raysee.errors import ConfigurationError
from raysee.receipts import Receipt
from raysee.report import night, training
from raysee.report.night import ScoredPlace
from raysee.report.published import SOURCE
from raysee.report.template import render
from raysee.report.training import TrainingRun
from raysee.scoring import batches

_DEFAULT_NAME = "report.html"


def write_report(places: Sequence[str], out: str | None = None, price_per_core_hour: float | None = None) -> str:
    """Draw training runs and places with scores on one page, and return the URI that it was written to.

    Without `out` the page becomes `report.html` below the first place. With a price the page says what the last night
    of each place with scores has cost, in the currency of the price.
    Raises ConfigurationError where a place holds no finished training run and no night of scores.
    """
    if not places:
        raise ConfigurationError("No run to report: give the folder of at least one training run or of scores.")
    unique = list(dict.fromkeys(storage.normalise(place) for place in places))
    uri = storage.join(unique[0], _DEFAULT_NAME) if out is None else storage.normalise(out)
    runs = [_gather(place, f"run-{number}", price_per_core_hour) for number, place in enumerate(unique, start=1)]
    storage.write_bytes(uri, _render(runs).encode())
    return uri


def _gather(place: str, anchor: str, price_per_core_hour: float | None) -> TrainingRun | ScoredPlace:
    nights = batches.nights(place, night.NIGHTS)
    receipt = nights[-1] if nights else _trained(place)
    try:
        if nights:
            return night.gather(place, nights, anchor, price_per_core_hour)
        return training.gather(place, receipt, anchor)
    except ValidationError as error:
        wrong = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigurationError(
            f"{place} was written by another version of raysee ({receipt.versions.get('raysee', 'unknown')}; "
            f"{wrong} does not fit): run `raysee {receipt.stage}` again"
            f"{' into another place' if nights else ' with --overwrite'}."
        ) from error


def _trained(place: str) -> Receipt:
    receipt = receipts.read(place)
    if receipt is None:
        raise ConfigurationError(
            f"{place} holds no finished run (no {receipts.NAME}) and no night of scores: "
            "check the spelling, or start its stage again to finish it."
        )
    if receipt.stage not in ("train", "train-large"):
        raise ConfigurationError(
            f"{place} was written by `raysee {receipt.stage}`: "
            "give the folder of a run of `raysee train`, or where `raysee score` writes to."
        )
    if receipt.stage == "train-large" and not receipt.details["metrics"]:
        raise ConfigurationError(
            f"{place} is one model that was fitted on all clips, which says nothing of how good it is: "
            "give a run of `raysee train` without --workers."
        )
    return receipt


def _render(runs: Sequence[TrainingRun | ScoredPlace]) -> str:
    trained = [run for run in runs if isinstance(run, TrainingRun)]
    scored = [run for run in runs if isinstance(run, ScoredPlace)]
    notes = {run.protocol.name: run.protocol.note for run in trained if run.protocol.note}
    if any(run.published is not None for run in trained):
        notes["published"] = SOURCE
    return render(
        "page.html",
        trained=trained,
        scored=scored,
        meanings=night.MEANINGS,
        notes=notes,
        leaks=training.leaks(trained),
    )
