"""A tuning -> one HTML page: what the search has found, and whether it is worth anything on unheard speakers."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import json_to_distribution
from pydantic import BaseModel, ValidationError

from raysee import receipts, storage
from raysee.config import RunConfig
from raysee.errors import ConfigurationError
from raysee.evaluation.compare import Comparison
from raysee.evaluation.metrics import Summary
from raysee.models.spaces import Point, Space
from raysee.report.figures import ACCENT, FAINT, Picture, as_picture, new_figure
from raysee.report.provenance import provenance
from raysee.report.template import render
from raysee.storage import join
from raysee.training.tuning import Trial, importance, read_trials

PAGE = "report.html"
_SIGNIFICANT = 0.05


class _Details(BaseModel):
    """What the page needs of a tuning receipt's `details`."""

    labels: list[str]
    synthetic: bool
    searches: list[str]  # one an outer fold, and last the one over everybody
    chosen: list[Trial]  # of each
    untuned_point: Point
    delivered: RunConfig
    metrics: Summary
    untuned_metrics: Summary
    comparison: Comparison
    hours: float


class _Fit(BaseModel):
    """The receipt of an outer training."""

    trial: int | None  # whose configuration it has; None: the untuned one
    passed_over: list[str]  # why trainings of better trials have failed
    uar: float
    test_speakers: list[str]
    wall_s: float


@dataclass(frozen=True)
class Search:
    """A search: its trials, and, where it belongs to an outer fold, what its choice reaches there."""

    name: str
    trials: list[Trial]
    chosen: Trial  # the best whose training on the outer fold has succeeded
    picture: Picture
    tuned: _Fit | None
    untuned: _Fit | None

    @property
    def work_s(self) -> float:
        """Of its trials, on their workers."""
        return sum(trial.wall_s for trial in self.trials)

    def count(self, status: str) -> int:
        """Trials that ended so."""
        return sum(trial.status == status for trial in self.trials)


def write_page(place: str) -> str:
    """Draw the tuning at `place` on `report.html` below it, and return its URI.

    Raises ConfigurationError where the place holds no finished tuning of this version.
    """
    place = storage.normalise(place)
    receipt = receipts.read(place)
    if receipt is None or receipt.stage != "tune":
        raise ConfigurationError(f"{place} holds no finished tuning: give the folder of a run of `raysee tune`.")
    try:
        details = _Details.model_validate(receipt.details)
    except ValidationError as error:
        raise ConfigurationError(
            f"{place} was written by another version of raysee: run `raysee tune` again with --overwrite."
        ) from error
    searches = [
        _search(place, name, chosen, details) for name, chosen in zip(details.searches, details.chosen, strict=True)
    ]
    outer_s = sum(fit.wall_s for one in searches for fit in (one.tuned, one.untuned) if fit is not None)
    page = render(
        "tuning.html",
        title=f"{details.delivered.corpus}: {details.delivered.model}",
        synthetic=details.synthetic,
        details=details,
        verdict=verdict(details.comparison),
        searches=searches,
        last=searches[-1],
        importance=mean_importance([one.trials for one in searches], _space(receipt.config)),
        changed=_changed(details.untuned_point, details.chosen[-1].point),
        delivered=details.delivered.model_dump_json(indent=2),
        seconds=[
            ("all trials", sum(one.work_s for one in searches)),
            ("tuned and untuned on the outer folds", outer_s),
            ("all searches by the clock", sum(max(trial.elapsed_s for trial in one.trials) for one in searches)),
        ],
        provenance=provenance(place, receipt),
    )
    uri = join(place, PAGE)
    storage.write_bytes(uri, page.encode())
    return uri


def verdict(found: Comparison) -> str:
    """What may be said of the difference, in a sentence."""
    if found.p_value < _SIGNIFICANT:
        return "Tuning has helped." if found.difference > 0 else "Tuning has done harm."
    if 2 / 2**found.num_speakers > _SIGNIFICANT:
        return f"{found.num_speakers} speakers are too few to tell a gain from luck, whatever the difference."
    return "That is no more than luck with the speakers can make: no gain is shown."


def mean_importance(searches: list[list[Trial]], space: Space) -> dict[str, float]:
    """Mean over the searches that have enough trials, most important first; a parameter that one lacks counts 0."""
    found = [one for trials in searches if (one := importance(trials, space))]
    if not found:
        return {}
    means = {name: float(np.mean([one.get(name, 0.0) for one in found])) for name in space}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def _space(config: dict[str, Any]) -> Space:
    return {name: json_to_distribution(json.dumps(one)) for name, one in config["space"].items()}


def _changed(untuned: Point, tuned: Point) -> list[tuple[str, Any, Any]]:
    return [(name, untuned[name], tuned[name]) for name in tuned]


def _search(place: str, name: str, chosen: Trial, details: _Details) -> Search:
    folder = join(place, "folds", name)
    trials = read_trials(folder)
    tuned, untuned = (_fit(join(folder, kind)) for kind in ("tuned", "untuned"))
    if tuned is not None:
        chosen = next(trial for trial in trials if trial.number == tuned.trial)
    return Search(name, trials, chosen, _progress(trials, chosen, synthetic=details.synthetic), tuned, untuned)


def _fit(place: str) -> _Fit | None:
    uri = join(place, receipts.NAME)
    return _Fit.model_validate_json(storage.read_bytes(uri)) if storage.exists(uri) else None


def _progress(trials: list[Trial], chosen: Trial, *, synthetic: bool) -> Picture:
    """The UAR of each trial, and the best so far of those that went over all folds."""
    figure, (axes,) = new_figure(5.4, 2.6, 1, synthetic)
    best, line = float("nan"), []
    for trial in trials:
        if trial.status == "finished" and trial.uar is not None:
            best = float(np.fmax(best, trial.uar))
        line.append(100 * best)
    numbers = [trial.number + 1 for trial in trials]
    axes.step(numbers, line, where="post", color=ACCENT, linewidth=1.4, label="best so far")
    for status, colour in (("finished", ACCENT), ("stopped", FAINT)):
        shown = [trial for trial in trials if trial.status == status and trial.uar is not None]
        points = [trial.number + 1 for trial in shown], [100 * (trial.uar or 0.0) for trial in shown]
        axes.scatter(*points, 14, color=colour, label=status, zorder=3)
    axes.scatter([chosen.number + 1], [100 * (chosen.uar or 0.0)], 60, facecolors="none", edgecolors=ACCENT, zorder=4)
    axes.set_xlabel("trial", fontsize=9)
    axes.set_ylabel("UAR on inner folds (%)", fontsize=9)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    return as_picture(figure)
