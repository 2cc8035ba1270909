"""Whether somebody has to look at a night: rejects and drift, and the limits that they may not pass."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from raysee.evaluation import drift
from raysee.receipts import Receipt

Histograms = Mapping[str, Sequence[int]]

NIGHTS_BEFORE = 7  # that drift is measured against


class Limits(NamedTuple):
    """What is normal: a share of rejects among the calls that were new, and a distance from the nights before."""

    rejects: float = 0.05
    drift: float = 0.25


def drifts(tonight: Histograms, training: Histograms, earlier: Sequence[Receipt]) -> dict[str, dict[str, float]]:
    """How far tonight's histograms are from those of the "training" data and of the "nights" before taken together.

    Jensen-Shannon distances in [0, 1] by histogram, as far as both are there.
    """
    return {"training": _distances(tonight, training), "nights": _distances(tonight, together(earlier))}


def together(nights: Sequence[Receipt]) -> dict[str, list[int]]:
    """The histograms of several nights as those of one."""
    found: dict[str, list[int]] = {}
    for receipt in nights:
        for name, counts in receipt.details.get("histograms", {}).items():
            known = found.get(name, [0] * len(counts))
            found[name] = [one + other for one, other in zip(known, counts, strict=True)]
    return found


def _distances(tonight: Histograms, other: Histograms) -> dict[str, float]:
    found = {name: drift.distance(counts, other[name]) for name, counts in tonight.items() if name in other}
    return {name: distance for name, distance in found.items() if distance is not None}


def warnings(counts: Mapping[str, int], drifts: Mapping[str, Mapping[str, float]], limits: Limits) -> dict[str, str]:
    """What passes a limit: "rejects" and "drift", each with a sentence."""
    found = {}
    new = counts["out"] + counts["rejected"]
    if new and counts["rejected"] / new > limits.rejects:
        found["rejects"] = (
            f"{counts['rejected']} of {new} calls were rejected ({counts['rejected'] / new:.1%}, limit "
            f"{limits.rejects:.1%}): see the table of rejects."
        )
    over = {name: distance for name, distance in drifts["nights"].items() if distance > limits.drift}
    if over:
        told = ", ".join(f"{name} {distance:.2f}" for name, distance in sorted(over.items()))
        found["drift"] = (
            f"Tonight differs from the nights before it ({told}; limit {limits.drift:.2f}): see whether the calls, the "
            "recorder or the model have changed."
        )
    return found
