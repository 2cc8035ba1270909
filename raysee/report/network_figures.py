"""Pictures of what a network has learnt: its answers beside published ones, by speaker, how sure it is, its filters.

Shapes: D filters, F bands or features, K frames or samples of a kernel, C channels, H rows (frequency), W columns
(time).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from raysee.errors import ConfigurationError
from raysee.evaluation.metrics import NUM_BINS, calibration_error
from raysee.report.figures import ACCENT, FAINT, INK, Picture, as_picture, draw_shares, new_figure

_MOST_FILTERS = 64
_MOST_WEIGHTS = 100_000  # of a picture: more of them are too small to see and make a page of many megabytes
_MOST_NAMED = 100  # speakers along an axis whose names can be told apart
_AROUND_ZERO = colormaps["RdBu_r"].with_extremes(bad=FAINT)  # a copy, with grey between the filters
_NARROWEST, _WIDEST = 4.2, 10.2  # inches
#: Colour, marker and line of each gender: Okabe and Ito's colours, that differ for colour-blind eyes, too.
_GENDERS: dict[str, tuple[str, str, Literal["-", "--", "-."]]] = {
    "female": ("#D55E00", "o", "-"),
    "male": ("#0072B2", "^", "--"),
    "unknown": ("#555555", "D", "-."),
}


def confusion_beside(
    counts: Sequence[Sequence[int]],
    published: Sequence[Sequence[float]],
    labels: Sequence[str],
    source: str,
    *,
    synthetic: bool,
) -> Picture:
    """Our counts and what `source` has published, both as per cent of the true class; rows are true.

    `published` is in per cent, in the order of `labels`, as the counts are. Above each matrix stands the mean of its
    diagonal, the UAR; a class of which nothing has been tested is blank and not in it. Raises ConfigurationError where
    one of the matrices has not a row and a column for each label.
    """
    ours = np.array(counts)
    theirs = np.array(published) / 100
    for name, matrix in (("our", ours), ("published", theirs)):
        if matrix.shape != (len(labels), len(labels)):
            raise ConfigurationError(
                f"The {name} confusion matrix has the shape {matrix.shape} and there are {len(labels)} labels: "
                "compare runs with the labels of the published matrix."
            )
    totals = ours.sum(axis=1)
    shares = np.where(totals[:, None] > 0, ours / np.maximum(totals, 1)[:, None], np.nan)
    side = 0.7 + 0.5 * len(labels)
    figure, panels = new_figure(2 * side + 2.2, side + 1.6, 2, synthetic)
    for axes, matrix, title in zip(panels, (shares, theirs), ("raysee", source), strict=True):
        texts = [["" if np.isnan(share) else f"{100 * share:.1f}" for share in row] for row in matrix]
        shades = draw_shares(axes, matrix, texts, labels)
        axes.set_title(f"{title}\nUAR {100 * np.nanmean(np.diag(matrix)):.1f} %", fontsize=9, loc="left")
    rows = zip(labels, totals, strict=True)
    panels[0].set_yticks(range(len(labels)), [f"{label} ({total})" for label, total in rows])
    panels[0].set_ylabel("true (count)", fontsize=9)
    panels[1].set_yticks(range(len(labels)), [""] * len(labels))
    bar = figure.colorbar(shades, ax=panels, shrink=0.7, format=PercentFormatter(1.0))
    bar.set_label("of the true class", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return as_picture(figure)


def filters(weight: npt.NDArray[np.floating], *, lowest_first: bool = True, synthetic: bool) -> Picture:
    """The filters of a first layer in the order of their norms, the strongest first, on one scale around zero.

    `weight` is that of a convolution over time (D, F, K), over pictures (D, C, H, W), or of a linear layer (D, F). Time
    goes from left to right, the channels of a filter stand side by side, and each filter of a linear layer, or of a
    convolution of one feature, is a row. `lowest_first` says whether the first band or row is the lowest frequency; in
    front-ends that are pictures it is the highest. At most 64 filters are shown, fewer where they have many weights.
    Raises ConfigurationError for another shape.
    """
    if weight.ndim not in (2, 3, 4):
        raise ConfigurationError(
            f"Weights of the shape {weight.shape} are no filters that can be drawn: "
            "take those of a first layer, of two to four axes."
        )
    norms = np.linalg.norm(weight.reshape(len(weight), -1), axis=1)
    most = max(1, min(_MOST_FILTERS, _MOST_WEIGHTS // weight[0].size))
    shown = weight[np.argsort(-norms, kind="stable")[:most]]
    rows = weight.ndim == 2 or (weight.ndim == 3 and weight.shape[1] == 1)
    mosaic = shown.reshape(len(shown), -1) if rows else _mosaic([_tile(one, lowest_first) for one in shown])
    height = 0.9 + (0.07 * len(shown) if rows else np.clip(9.0 * mosaic.shape[0] / mosaic.shape[1], 1.5, 8.0))
    figure, (axes,) = new_figure(_WIDEST, float(height), 1, synthetic)
    limit = float(np.abs(shown).max()) or 1.0
    aspect: Literal["auto", "equal"] = "auto" if rows else "equal"
    shades = axes.imshow(mosaic, cmap=_AROUND_ZERO, vmin=-limit, vmax=limit, interpolation="nearest", aspect=aspect)
    which = f"all {len(weight)} filters" if len(shown) == len(weight) else f"{len(shown)} of {len(weight)} filters"
    axes.set_title(f"{which}, the strongest first", fontsize=9, loc="left")
    axes.set_yticks([])
    if rows:
        axes.set_xlabel("sample of the kernel" if weight.ndim == 3 else "feature", fontsize=8)
    else:
        axes.set_xticks([])
        axes.set_axis_off()
    bar = figure.colorbar(shades, ax=axes, shrink=0.8, pad=0.01)
    bar.set_label("weight", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return as_picture(figure)


def by_speaker(
    uar: Mapping[str, float], gender: Mapping[str, str | None], chance: float, *, synthetic: bool
) -> Picture:
    """The UAR of each speaker, all in [0, 1], in order of it; a colour, a marker and a mean for each gender.

    A gender that is neither "female" nor "male", or missing, is drawn as unknown.
    """
    names = sorted(uar, key=lambda name: (uar[name], name))
    figure, (axes,) = new_figure(float(np.clip(1.6 + 0.11 * len(names), _NARROWEST, _WIDEST)), 3.3, 1, synthetic)
    of = {name: gender.get(name) if gender.get(name) in _GENDERS else "unknown" for name in names}
    named = len(names) <= _MOST_NAMED
    handles = []
    for kind, (shade, marker, line) in _GENDERS.items():
        places = [place for place, name in enumerate(names) if of[name] == kind]
        if not places:
            continue
        values = [100 * uar[names[place]] for place in places]
        axes.scatter(places, values, 26 if named else 8, color=shade, marker=marker, zorder=3)
        axes.axhline(float(np.mean(values)), color=shade, linestyle=line, linewidth=1.2)
        label = f"{kind} ({len(values)}), mean {np.mean(values):.1f} %"
        handles.append(Line2D([], [], color=shade, marker=marker, linestyle=line, markersize=5, label=label))
    axes.axhline(100 * chance, color=INK, linestyle=":", linewidth=1)
    handles.append(Line2D([], [], color=INK, linestyle=":", linewidth=1, label=f"chance {100 * chance:.1f} %"))
    axes.set_ylim(0, 104)
    axes.set_ylabel("UAR (%)", fontsize=9)
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.grid(axis="y", alpha=0.25)
    if named:
        size = 8 if len(names) <= 30 else 6
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
        axes.set_xlabel("speaker", fontsize=9)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names):,} speakers", fontsize=9)
    columns = 2 if figure.get_figwidth() < 7 else 4
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, fontsize=8, frameon=False)
    return as_picture(figure)


def reliability(confidences: Sequence[float], correct: Sequence[bool], *, synthetic: bool) -> Picture:
    """How often answers are right against how sure the network is of them, in NUM_BINS bins.

    After Guo et al. 2017, figure 1. `confidences` are the probabilities of the answers, in [0, 1]. Below stands how
    many answers a bin has. Raises ConfigurationError where there is no answer.
    """
    if not len(confidences):
        raise ConfigurationError("There is no answer to be calibrated: give the predictions of a finished run.")
    bins = _bins(confidences)
    sure, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    numbers = np.bincount(bins, minlength=NUM_BINS)
    filled = np.flatnonzero(numbers)
    figure, (above, below) = new_figure(4.2, 4.9, 2, synthetic, stacked=(3, 1))
    above.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
    means = [np.bincount(bins, values, NUM_BINS)[filled] / numbers[filled] for values in (sure, right)]
    above.plot(*means, color=ACCENT, marker="o", markersize=4.5, linewidth=1.2, clip_on=False, zorder=3)
    above.set_title(f"expected calibration error {100 * calibration_error(right > 0, sure):.1f} %", fontsize=9)
    above.set_ylabel("answers that are right", fontsize=9)
    below.stairs(numbers, np.linspace(0, 1, NUM_BINS + 1), fill=True, color=ACCENT)
    below.set_ylabel("answers", fontsize=9)
    below.set_xlabel("confidence", fontsize=9)
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    above.set_ylim(0, 1)
    above.grid(alpha=0.25)
    for axis in (above.yaxis, below.xaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    below.set_xlim(0, 1)
    return as_picture(figure)


def _bins(confidences: Sequence[float]) -> npt.NDArray[np.int64]:
    """The bin of each: (0, 1 / NUM_BINS] is the first."""
    bins = np.ceil(np.asarray(confidences, np.float64) * NUM_BINS).astype(np.int64) - 1
    return bins.clip(0, NUM_BINS - 1)


def _tile(one: npt.NDArray[np.floating], lowest_first: bool) -> npt.NDArray[np.floating]:
    """A filter as a picture whose upper edge is its highest frequency: (F, K) or (C, H, W) -> (rows, columns)."""
    channels = one[None] if one.ndim == 2 else one
    upright = channels[:, ::-1] if lowest_first else channels
    apart = np.pad(upright, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    return np.concatenate(list(apart), axis=1)[:, :-1]


def _mosaic(tiles: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
    """Pictures of one size in reading order, about as wide as a page, with gaps of NaN between them.

    The gaps are wider than those within a picture.
    """
    height, width = tiles[0].shape
    gap = max(2 if np.isnan(tiles[0]).any() else 1, round(0.06 * min(height, width)))
    num_columns = _columns(len(tiles), (width + gap) / (height + gap))
    num_rows = math.ceil(len(tiles) / num_columns)
    mosaic = np.full((num_rows * (height + gap) - gap, num_columns * (width + gap) - gap), np.nan)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, num_columns)
        top, left = row * (height + gap), column * (width + gap)
        mosaic[top : top + height, left : left + width] = tile
    return mosaic


def _columns(number: int, shape: float) -> int:
    """Into how many columns so many tiles go that are `shape` times as wide as high: a wide grid, few places empty."""

    def badness(num_columns: int) -> float:
        num_rows = math.ceil(number / num_columns)
        return abs(math.log2(num_columns * shape / num_rows / 2.2)) + 6 * (1 - number / (num_rows * num_columns))

    return min(range(1, number + 1), key=badness)
