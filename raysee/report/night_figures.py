"""Pictures of nights of scored calls."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from raysee.evaluation.calibration import Floats
from raysee.report.figures import ACCENT, FAINT, INK, Picture, as_picture, colour, new_figure
from raysee.report.night_receipt import Night

_STRONG = "#8A0F1D"
_MOST_TICKS = 12


class Span(NamedTuple):
    """A scored segment of a channel, and its class probabilities (K,)."""

    start_s: float
    end_s: float
    probabilities: Sequence[float]


class Track(NamedTuple):
    """A channel of a call: who speaks on it, its segments in order, and the passage that is marked, if any."""

    role: str
    spans: Sequence[Span]
    passage: tuple[float, float] | None


class Distribution(NamedTuple):
    """How a quantity is distributed: counts in len(edges) + 1 bins, of which the outer two are open."""

    axis: str
    edges: Sequence[float]
    tonight: Sequence[int]
    before: Sequence[int]  # empty where there are none
    training: Sequence[int]  # likewise


def over_time(
    tracks: Sequence[Track], labels: Sequence[str], order: Sequence[str], duration_s: float, *, synthetic: bool
) -> Picture:
    """Class probabilities of each channel on one axis of time, stacked from below in `order`; blank where nothing was
    scored. `labels` is the order of the probabilities."""
    figure, panels = new_figure(10.2, 0.75 + 0.95 * len(tracks), len(tracks), synthetic, stacked=(1,) * len(tracks))
    for axes, track in zip(panels, tracks, strict=True):
        if track.spans:
            _stack(axes, track.spans, [labels.index(label) for label in order], order)
        if track.passage:
            axes.plot(track.passage, (1.09, 1.09), color=_STRONG, linewidth=4, solid_capstyle="butt")
            axes.axvspan(*track.passage, fill=False, edgecolor=_STRONG, linewidth=1.2, ymax=1 / 1.18)
        # A list of calls may call a role anything.
        axes.set_ylabel(track.role[:16], fontsize=8, parse_math=False)
        axes.set_xlim(0, duration_s)
        axes.set_ylim(0, 1.18)
        axes.set_yticks([0, 0.5, 1])
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.label_outer()
    panels[-1].xaxis.set_major_locator(MaxNLocator(10, steps=[1, 1.5, 2, 3, 6, 10]))
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda second, _: f"{int(second) // 60}:{int(second) % 60:02}"))
    panels[-1].set_xlabel("time (minutes:seconds)", fontsize=8, labelpad=1)
    return as_picture(figure)


def by_hour(hours: Mapping[str, Sequence[float]], *, synthetic: bool) -> Picture:
    """Hours of speech above, and what they are said to be below, by hour of the day; label -> seconds (24,)."""
    figure, (above, below) = new_figure(10.2, 2.9, 2, synthetic, stacked=(2, 3))
    seconds = np.array(list(hours.values()), dtype=np.float64)  # (num_labels, 24)
    total = seconds.sum(axis=0)
    above.bar(range(len(total)), total / 3600, width=0.9, color=FAINT)
    above.set_ylabel("hours of\nspeech", fontsize=8)
    above.yaxis.set_major_locator(MaxNLocator(3))
    shares = seconds / np.where(total > 0, total, 1)
    base = np.zeros(len(total))
    for label, share in zip(hours, shares, strict=True):
        below.bar(range(len(total)), share, bottom=base, width=0.9, color=colour(label))
        base = base + share
    below.set_ylabel("share", fontsize=8)
    below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    below.set_yticks([0, 0.5, 1])
    below.set_xlim(-0.6, len(total) - 0.4)
    below.set_xticks(range(len(total)))
    below.set_xlabel("hour of the day (UTC)", fontsize=8, labelpad=1)
    return as_picture(figure)


def distributions(its: Sequence[Distribution], *, synthetic: bool) -> Picture:
    """Shares of segments by bin: tonight filled, the nights before and the training data as lines."""
    figure, panels = new_figure(9.4, 2.5, len(its), synthetic)
    for axes, one in zip(panels, its, strict=True):
        width = one.edges[1] - one.edges[0]
        edges = np.array([one.edges[0] - width, *one.edges, one.edges[-1] + width])
        if any(one.tonight):
            axes.stairs(_shares(one.tonight), edges, fill=True, color=FAINT, label="tonight")
        if any(one.before):
            axes.stairs(_shares(one.before), edges, color=INK, linewidth=1.4, label="nights before")
        if any(one.training):
            axes.stairs(
                _shares(one.training), edges, color=ACCENT, linewidth=1.4, linestyle=(0, (3, 1.5)), label="training"
            )
        axes.set_xlabel(one.axis, fontsize=8, labelpad=1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylim(bottom=0)
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        panels[0].legend(handles, names, fontsize=8, frameon=False)
    return as_picture(figure)


def over_nights(nights: Sequence[Night]) -> Picture:
    """Calls that were scored above, and the share of negative emotions in their speech below, the oldest night first.

    Nights of another model or configuration than the last are pale, and their share is not drawn.
    """
    synthetic = any(night.synthetic for night in nights)
    figure, (above, below) = new_figure(10.2, 2.3, 2, synthetic, stacked=(1, 1))
    scored = [night.receipt.counts["out"] for night in nights]
    above.bar(range(len(nights)), scored, width=0.8, color=[ACCENT if night.same else FAINT for night in nights])
    above.set_ylabel("calls scored", fontsize=8)
    above.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    shares = np.array([night.negative if night.same else None for night in nights], dtype=np.float64)
    below.plot(range(len(nights)), shares, color=_STRONG, linewidth=1.4, marker="o", markersize=3.5)
    below.set_ylabel("negative", fontsize=8)
    below.set_ylim(0, 1.2 * np.nanmax([0.05, *shares]))
    below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    below.yaxis.set_major_locator(MaxNLocator(3))
    every = -(-len(nights) // _MOST_TICKS)
    below.set_xticks(range(0, len(nights), every), [night.details.date[5:] for night in nights[::every]])
    below.set_xlim(-0.6, len(nights) - 0.4)
    return as_picture(figure)


def _stack(axes: Axes, spans: Sequence[Span], columns: Sequence[int], order: Sequence[str]) -> None:
    # Segments of a channel are in order and do not overlap: between two there is a step without a value.
    edges = np.array([(span.start_s, span.end_s) for span in spans]).ravel()
    steps = np.full((len(edges) - 1, len(columns)), np.nan)
    steps[::2] = np.array([span.probabilities for span in spans], dtype=np.float64)[:, columns]
    below = np.zeros(len(steps))
    for label, share in zip(order, steps.T, strict=True):
        axes.stairs(below + share, edges, baseline=below, fill=True, color=colour(label), linewidth=0)
        below = below + share


def _shares(counts: Sequence[int]) -> Floats:
    found: Floats = np.array(counts, dtype=np.float64) / sum(counts)
    return found
