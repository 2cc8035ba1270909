"""The last night of a place with scores as the page shows it, beside the nights before it.

What a night adds up to stands in its receipt. Of its tables, the calls are read by a few columns, part by part, keeping
the few most worth hearing; the segments only of the parts in which these are, because all parts of a shard have one
name; the rejects until enough are found. So a night of a million calls takes no more memory than one of a thousand.
"""

import collections
import datetime
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysee import schema, storage
from raysee.errors import RayseeError
from raysee.evaluation import drift
from raysee.receipts import Receipt
from raysee.report.figures import Picture
from raysee.report.night_figures import Distribution, Span, Track, by_hour, distributions, over_nights, over_time
from raysee.report.night_receipt import Details, Night
from raysee.report.provenance import provenance
from raysee.scoring import batches, summary, watch
from raysee.training.card import Card, load_card

NIGHTS = 30  # that are listed
MOST_CALLS, MOST_TIMELINES, MOST_REJECTS = 10, 6, 200

#: What flags of a channel say.
MEANINGS = {
    summary.NARROW_BAND: "recorded at a lower rate than the model has learned from",
    summary.WIDE_BAND: "recorded above 8 kHz, heard through a telephone line",
    summary.DUAL_MONO: "both channels are the same sound, which is scored once",
    summary.CLIPPED: f"more than {summary.CLIPPED_SHARE:.1%} of the samples are at full scale",
    summary.QUIET: f"half of the speech or more is below {summary.QUIET_DBFS:g} dBFS",
    summary.NO_SPEECH: "nobody speaks",
}

_SHOWN = (
    *("key", "work", "call_id", "uri", "start_time", "channel", "role", "duration_s", "num_segments", "flags"),
    *("label", "trend", "negative_start_s", "negative_end_s", "negative_share"),
)
_SHARE_DIGITS = 3  # as it is printed: what looks the same is in the order of its trend


class Reject(NamedTuple):
    """A recording that could not be scored."""

    name: str
    error: str
    message: str


@dataclass(frozen=True)
class Worth:
    """A channel of a call that is worth hearing, a row of schema.CALLS as far as it is shown."""

    row: Mapping[str, Any]
    name: str
    start_time: datetime.datetime | None
    picture: Picture | None


@dataclass(frozen=True)
class ScoredPlace:
    """The last night of a place with scores, and the nights before it, the youngest first."""

    anchor: str
    place: str
    last: Night
    nights: list[Night]
    cost: float | None
    before: dict[str, float]  # shares of labels in the nights before, empty where there are none
    num_before: int
    card: Card | None  # where the model is still there
    worth: list[Worth]
    flags: dict[str, int]
    rejects: list[Reject]
    examples: dict[str, str]  # error -> one message
    hours: Picture | None
    distributions: Picture | None
    over_nights: Picture | None
    provenance: list[tuple[str, str]]

    @property
    def synthetic(self) -> bool:
        return self.last.synthetic

    @property
    def stages(self) -> dict[str, float]:
        """Seconds of work by stage; the rest is loading the model, writing, and waiting."""
        seconds = self.last.details.seconds
        return {**seconds, "the rest": max(self.last.details.work_s - sum(seconds.values()), 0.0)}

    @property
    def title(self) -> str:
        return f"Night of {self.last.details.date}: {self.last.receipt.inputs['source']}"


def gather(place: str, receipts: Sequence[Receipt], anchor: str, price_per_core_hour: float | None) -> ScoredPlace:
    """Read what the last of these nights has left below `place`, and draw its pictures; the oldest comes first."""
    work = receipts[-1].details["work"]
    nights = [Night(one, Details.model_validate(one.details), one.details["work"] == work) for one in receipts]
    last = nights[-1]
    compared = [night for night in nights[-1 - watch.NIGHTS_BEFORE : -1] if night.same]
    worth, flags = _calls(place, last)
    rejects, examples = _rejects(place, last.receipt)
    card = _card(last.receipt)
    hours = {label: last.details.hours[label] for label in last.order if label in last.details.hours}
    return ScoredPlace(
        anchor=anchor,
        place=place,
        last=last,
        nights=nights[::-1],
        cost=None if price_per_core_hour is None else last.details.core_s / 3600 * price_per_core_hour,
        before=_shares_of(compared),
        num_before=len(compared),
        card=card,
        worth=worth,
        flags=flags,
        rejects=rejects,
        examples=examples,
        hours=by_hour(hours, synthetic=last.synthetic) if hours else None,
        distributions=_distributions(last, compared, card),
        over_nights=over_nights(nights) if len(nights) > 1 else None,
        provenance=provenance(place, last.receipt),
    )


def _calls(place: str, night: Night) -> tuple[list[Worth], dict[str, int]]:
    """The calls most worth hearing, and how many channels have each flag."""
    flags: collections.Counter[str] = collections.Counter()
    found: list[tuple[str, dict[str, Any]]] = []
    parts = batches.parts(place, night.receipt, "calls")
    for part, calls in zip(parts, storage.read_tables(parts, schema.CALLS, _SHOWN), strict=True):
        for counted in pc.value_counts(pc.list_flatten(calls["flags"])).to_pylist():
            flags[counted["values"]] += counted["counts"]
        if night.negative is None:
            continue
        # Most rows of a large night need not become Python's; those without a share are null, and left out.
        least = found[-1][1]["negative_share"] - 10**-_SHARE_DIGITS if len(found) == MOST_CALLS else 0.0
        rows = calls.filter(pc.greater_equal(calls["negative_share"], least)).to_pylist()
        found = heapq.nsmallest(MOST_CALLS, [*found, *((storage.basename(part), row) for row in rows)], key=_rank)
    timelines = _timelines(place, night, found[:MOST_TIMELINES])
    worth = [
        Worth(row, storage.basename(row["uri"]), row["start_time"], timelines.get((row["key"], row["channel"])))
        for _, row in found
    ]
    return worth, dict(flags.most_common())


def _rank(found: tuple[str, dict[str, Any]]) -> tuple[float, float, str]:
    row = found[1]
    trend = -np.inf if row["trend"] is None else row["trend"]
    return -round(row["negative_share"], _SHARE_DIGITS), -trend, row["key"]


def _timelines(
    place: str, night: Night, chosen: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[tuple[str, int], Picture]:
    """Pictures of these channels of calls, given with the names of their parts; by key and channel."""
    columns = ("key", "channel", "start_s", "end_s", "probabilities")
    folder = storage.join(place, "segments", batches.partition(night.details.date))
    names = list(dict.fromkeys(name for name, _ in chosen))
    keys = pa.array([row["key"] for _, row in chosen], pa.string())
    spans: dict[tuple[str, int], list[Span]] = collections.defaultdict(list)
    for segments in storage.read_tables([storage.join(folder, name) for name in names], schema.SEGMENTS, columns):
        for row in segments.filter(pc.is_in(segments["key"], keys)).to_pylist():
            spans[row["key"], row["channel"]].append(Span(row["start_s"], row["end_s"], row["probabilities"]))
    order = [label for label in night.order if label != summary.UNSURE]
    pictures = {}
    for _, row in chosen:
        which = (row["key"], row["channel"])
        track = Track(row["role"], spans[which], (row["negative_start_s"], row["negative_end_s"]))
        pictures[which] = over_time([track], night.details.labels, order, row["duration_s"], synthetic=night.synthetic)
    return pictures


def _rejects(place: str, receipt: Receipt) -> tuple[list[Reject], dict[str, str]]:
    """The first rows, and one message of each error."""
    rows: list[Reject] = []
    examples: dict[str, str] = {}
    if not receipt.counts["rejected"]:
        return rows, examples
    columns = ("uri", "error", "message")
    for rejects in storage.read_tables(batches.parts(place, receipt, "rejects"), schema.REJECTS, columns):
        for row in rejects.to_pylist():
            examples.setdefault(row["error"], row["message"])
            if len(rows) < MOST_REJECTS:
                rows.append(Reject(storage.basename(row["uri"]), row["error"], row["message"]))
        if len(rows) == MOST_REJECTS and examples.keys() >= receipt.rejects.keys():
            break
    return rows, examples


def _card(receipt: Receipt) -> Card | None:
    """The card of the model that scored, where it is still there, and still that one."""
    try:
        card = load_card(receipt.inputs["model"])
    except RayseeError:
        return None
    return card if card.fingerprint == receipt.config["model"] else None


def _shares_of(nights: Sequence[Night]) -> dict[str, float]:
    spoken: collections.Counter[str] = collections.Counter()
    for night in nights:
        spoken.update(night.details.speech_s)
    total = sum(spoken.values())
    return {label: seconds / total for label, seconds in spoken.items()} if total else {}


def _distributions(night: Night, compared: Sequence[Night], card: Card | None) -> Picture | None:
    tonight, before = night.details.histograms, watch.together([one.receipt for one in compared])
    if not any(map(any, tonight.values())):
        return None
    training = card.reference if card else {}
    its = [
        Distribution(axis, edges, tonight[name], before.get(name, []), training.get(name, []))
        for name, axis, edges in (
            ("level_dbfs", "level of a segment (dBFS)", drift.LEVELS_DBFS),
            ("duration_s", "length of a segment (s)", drift.DURATIONS_S),
        )
    ]
    return distributions(its, synthetic=night.synthetic)
