"""Pictures as PNG data URIs. Nothing in here touches matplotlib's global state, so it may run in any thread."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from raysee.audio.decode import Samples
from raysee.training.loop import Epoch

#: Okabe and Ito's colours and a few more. Any two of the first nine differ by 16 or more (CIE76) in the eyes of
#: people with each of the three kinds of colour blindness, as simulated after Machado et al. 2009.
COLOURS: dict[str, str] = {
    "anger": "#D55E00",
    "happiness": "#F0E442",
    "sadness": "#0072B2",
    "fear": "#CC79A7",
    "surprise": "#E69F00",
    "disgust": "#009E73",
    "neutral": "#C4C4C4",
    "boredom": "#6A2C70",
    "calm": "#56B4E9",
    "unknown": "#111111",
}
_ANY_OTHER = "#555555"
INK, FAINT, ACCENT, _WARNING = "#222222", "#B0B0B0", "#0B4F8A", "#8A3B00"
_DOTS_PER_INCH = 144
_CSS_PIXELS_PER_INCH = 96
_ENVELOPE_COLUMNS = 400
_LOWEST_KHZ = 0.06  # below the lowest voices


class Picture(NamedTuple):
    """A data URI and the size in CSS pixels at which it is to be shown."""

    src: str
    width: int
    height: int


class Curve(NamedTuple):
    """The epochs of one training, and the one whose weights were kept."""

    epochs: Sequence[Epoch]
    chosen_epoch: int


def colour(label: str) -> str:
    """The colour of an emotion, the same in every picture and table."""
    return COLOURS.get(label, _ANY_OTHER)


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str], *, synthetic: bool) -> Picture:
    """Counts as text over each true class's shares as shades; rows are true."""
    matrix = np.array(counts)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    size = 1.9 + 0.56 * len(labels)
    figure, (axes,) = new_figure(size + 1.0, size, 1, synthetic)
    shades = draw_shares(axes, shares, [[str(count) for count in row] for row in matrix], labels)
    axes.set_yticks(range(len(labels)), [f"{label} ({total})" for label, (total,) in zip(labels, totals, strict=True)])
    axes.set_ylabel("true (count)", fontsize=9)
    bar = figure.colorbar(shades, ax=axes, shrink=0.7, format=PercentFormatter(1.0))
    bar.set_label("of the true class", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return as_picture(figure)


def draw_shares(
    axes: Axes, shares: npt.NDArray[np.float64], texts: Sequence[Sequence[str]], labels: Sequence[str]
) -> AxesImage:
    """A matrix of shares in [0, 1] as shades from white to dark blue, a text in each cell; columns are predicted."""
    shades = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*shares.shape):
        ink = "white" if shares[row, column] > 0.55 else INK
        weight = "bold" if row == column else "normal"
        axes.text(column, row, texts[row][column], ha="center", va="center", color=ink, fontsize=9, weight=weight)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted", fontsize=9)
    axes.tick_params(length=0)
    return shades


def learning_curves(folds: Sequence[Curve], final: Curve | None, *, synthetic: bool) -> Picture:
    """Training loss, and validation UAR where there is one, of every fold and of the delivered model, if any."""
    curves = [*folds, *([final] if final else [])]
    validated = all(epoch.validation_uar is not None for curve in curves for epoch in curve.epochs)
    figure, panels = new_figure(9.4 if validated else 5.4, 3.1, 2 if validated else 1, synthetic)
    for curve in curves:
        line, dot, width = (ACCENT, ACCENT, 1.8) if curve is final else (FAINT, "#6E6E6E", 0.9)
        numbers = [epoch.epoch for epoch in curve.epochs]
        series = [[epoch.train_loss for epoch in curve.epochs]]
        if validated:
            series.append([100 * (epoch.validation_uar or 0.0) for epoch in curve.epochs])
        for axes, values in zip(panels, series, strict=True):
            axes.plot(numbers, values, color=line, linewidth=width)
            axes.scatter(curve.chosen_epoch, values[numbers.index(curve.chosen_epoch)], 14 * width, color=dot, zorder=3)
    for axes, title in zip(panels, ("training loss", "validation UAR (%)"), strict=False):
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlabel("epoch", fontsize=9)
        axes.set_xlim(0.5, max(len(curve.epochs) for curve in curves) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
        axes.grid(alpha=0.25)
    named: dict[str, Artist] = {"folds": panels[0].lines[0]} if folds else {}
    named["chosen epoch"] = panels[0].collections[0]
    if final:
        named["delivered model"] = panels[0].lines[-1]
    panels[0].legend(list(named.values()), list(named), fontsize=8, frameon=False)
    return as_picture(figure)


def clip(
    samples: Samples,
    sample_rate_hz: int,
    log_mels: npt.NDArray[np.float32],
    *,
    longest_s: float,
    synthetic: bool,
) -> Picture:
    """A waveform, scaled to its own peak, above its log-mels (num_frames, num_bands); `longest_s` is the time axis."""
    figure, (above, below) = new_figure(3.4, 2.3, 2, synthetic, stacked=(1, 2))
    duration_s = len(samples) / sample_rate_hz
    _waveform(above, samples, duration_s)
    _mel_bands(below, log_mels, duration_s)
    below.set_xlabel("s", fontsize=8, labelpad=0)
    for axes in (above, below):
        axes.set_xlim(0, longest_s)
    return as_picture(figure)


def spectrograms(
    samples: Samples,
    sample_rate_hz: int,
    power_db: npt.NDArray[np.float32],
    log_mels: npt.NDArray[np.float32],
    *,
    longest_s: float,
    synthetic: bool,
) -> Picture:
    """A waveform, scaled to its own peak, above its power spectrum on a linear and on a logarithmic scale of frequency,
    (num_frames, num_bins) from 0 to half the sample rate, and its log-mels (num_frames, num_bands)."""
    figure, (wave, linear, logarithmic, mel) = new_figure(3.4, 4.9, 4, synthetic, stacked=(2, 3, 3, 3))
    duration_s, highest_khz = len(samples) / sample_rate_hz, sample_rate_hz / 2000
    _waveform(wave, samples, duration_s)
    num_frames, num_bins = power_db.shape
    loudest = float(power_db.max())
    shades: dict[str, Any] = {"cmap": "magma", "vmin": loudest - 70, "vmax": loudest}
    linear.imshow(power_db.T, origin="lower", aspect="auto", extent=(0, duration_s, 0, highest_khz), **shades)
    linear.set_ylabel("kHz", fontsize=8)
    times = np.linspace(0, duration_s, num_frames + 1)
    edges_khz = (np.arange(1, num_bins + 1) - 0.5) * highest_khz / (num_bins - 1)  # 0 Hz has no logarithm
    logarithmic.pcolormesh(times, edges_khz, power_db.T[1:], **shades)
    logarithmic.set_yscale("log")
    logarithmic.set_ylim(_LOWEST_KHZ, highest_khz)
    logarithmic.set_yticks([0.1, 0.3, 1, 3, highest_khz], ["0.1", "0.3", "1", "3", f"{highest_khz:g}"])
    logarithmic.yaxis.set_minor_locator(NullLocator())
    logarithmic.set_ylabel("kHz (log)", fontsize=8)
    _mel_bands(mel, log_mels, duration_s)
    mel.set_xlabel("s", fontsize=8, labelpad=0)
    mel.set_xlim(0, longest_s)
    return as_picture(figure)


def histograms(values: Mapping[str, Sequence[float]], axis: str, *, synthetic: bool) -> Picture:
    """How the values of each label are distributed: one row a label on common scales, a line at its median."""
    figure, panels = new_figure(5.2, 0.65 + 0.42 * len(values), len(values), synthetic, stacked=(1,) * len(values))
    edges = np.histogram_bin_edges(np.concatenate([np.asarray(one, np.float64) for one in values.values()]), bins=40)
    counts = {label: np.histogram(one, edges)[0] for label, one in values.items()}
    highest = max(int(heights.max()) for heights in counts.values())
    for axes, (label, heights) in zip(panels, counts.items(), strict=True):
        axes.stairs(heights, edges, fill=True, color=colour(label))
        axes.stairs(heights, edges, color=INK, linewidth=0.5)
        if len(values[label]):
            axes.axvline(float(np.median(values[label])), color=INK, linewidth=1.4)
        axes.set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center")
        axes.set_yticks([])
        axes.set_ylim(0, 1.05 * highest)
        axes.label_outer()
    panels[-1].set_xlim(edges[0], edges[-1])
    panels[-1].set_xlabel(axis, fontsize=8, labelpad=1)
    return as_picture(figure)


def _waveform(axes: Axes, samples: Samples, duration_s: float) -> None:
    columns = np.array_split(samples, min(_ENVELOPE_COLUMNS, len(samples)))
    times = np.linspace(0, duration_s, len(columns))
    lowest, highest = [part.min() for part in columns], [part.max() for part in columns]
    axes.fill_between(times, lowest, highest, color=ACCENT, linewidth=0.4)
    peak = max(float(np.abs(samples).max()), 1e-6)
    axes.set_ylim(-peak, peak)
    axes.set_axis_off()


def _mel_bands(axes: Axes, log_mels: npt.NDArray[np.float32], duration_s: float) -> None:
    loudest = float(log_mels.max())
    axes.imshow(
        log_mels.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        interpolation="nearest",
        vmin=loudest - 12,  # about 52 dB: what lies below is the room
        vmax=loudest,
        extent=(0, duration_s, 0, log_mels.shape[1]),
    )
    axes.set_ylabel("mel band", fontsize=8)


def new_figure(
    width: float, height: float, panels: int, synthetic: bool, stacked: tuple[int, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure in inches and its axes, side by side or `stacked` with these relative heights on one common x axis."""
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    if stacked:
        grid = figure.subplots(panels, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": stacked})
    else:
        grid = figure.subplots(1, panels, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for one in axes:
        one.tick_params(labelsize=8, color=FAINT)
        for spine in one.spines.values():
            spine.set_color(FAINT)
    if synthetic:  # a picture that is copied out of its page must still say so
        figure.suptitle("synthetic", x=0.99, ha="right", fontsize=8, weight="bold", color=_WARNING)
    return figure, axes


def as_picture(figure: Figure) -> Picture:
    """What has been drawn, as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    width, height = (round(inches * _CSS_PIXELS_PER_INCH) for inches in figure.get_size_inches())
    return Picture(f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}", width, height)
