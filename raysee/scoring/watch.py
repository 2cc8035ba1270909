"""Whether somebody has to look at a night: rejects and drift, and the limits that they may not pass."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from raysee.evaluation import drift
from raysee.receipts import Receipt

Histograms = Mapping[str, Sequence[int]]

#: Of segments on each side of what is compared with the nights before. Fewer differ by chance: 500 of twenty-five calls
#: are at 0.12, and once in a hundred at 0.22, of thousands that are like them; 100 at 0.26 and 0.48.
FEWEST_SEGMENTS = 500
NIGHTS_BEFORE = 7  # that drift is measured against


class Limits(NamedTuple):
    """What is normal: a share of rejects among the calls that were new, and a distance from the nights before."""

    rejects: float = 0.05
    drift: float = 0.25


def drifts(tonight: Histograms, training: Histograms, earlier: Sequence[Receipt]) -> dict[str, dict[str, float]]:
    """How far tonight's histograms are from those of the "training" data and of the "nights" before taken together.

    Jensen-Shannon distances in [0, 1] by histogram, as far as both are there, in the same bins, and, of nights, hold
    FEWEST_SEGMENTS or more.
    """
    before = _distances(tonight, together(earlier), FEWEST_SEGMENTS)
    return {"training": _distances(tonight, training, 1), "nights": before}


def together(nights: Sequence[Receipt]) -> dict[str, list[int]]:
    """The histograms of several nights as those of one, in the bins of the last."""
    found: dict[str, list[int]] = {}
    for receipt in reversed(nights):
        for name, counts in receipt.details.get("histograms", {}).items():
            known = found.setdefault(name, [0] * len(counts))
            # Bins of another version of raysee say nothing, and are no reason for a night to fail.
            if len(known) == len(counts):
                found[name] = [one + other for one, other in zip(known, counts, strict=True)]
    return found


def _distances(tonight: Histograms, other: Histograms, fewest: int) -> dict[str, float]:
    pairs = {name: (counts, other[name]) for name, counts in tonight.items() if name in other}
    found = {
        name: drift.distance(ours, theirs)
        for name, (ours, theirs) in pairs.items()
        if len(ours) == len(theirs) and min(sum(ours), sum(theirs)) >= fewest
    }
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
