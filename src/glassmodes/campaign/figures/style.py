"""One look for all figures: sizes, fonts, colours that colour-blind readers can tell apart."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, darkest first."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GUIDE = "#555555"
PANEL_WIDTH, PANEL_HEIGHT = 3.0, 2.75
"""Inches; three panels fill the width of a page."""

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "errorbar.capsize": 0,
    "mathtext.fontset": "dejavusans",
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.wspace": 0.04,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.hashsalt": "glassmodes",
}


@contextmanager
def paper_style():
    """Draw with the settings above and without a display, then restore what was set."""
    with matplotlib.rc_context(_SETTINGS):
        yield


@dataclass
class Look:
    """Colour, marker and labels of one ensemble; `name` also says its dimension."""

    label: str
    name: str
    colour: str
    marker: str
    faded: bool = False

    @property
    def points(self) -> dict[str, Any]:
        """Keywords of `Axes.errorbar` for measured points."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": "none",
            "markerfacecolor": "white" if self.faded else self.colour,
            "elinewidth": 0.9,
            "label": self.label,
        }


def looks(ensembles: list[dict[str, Any]]) -> dict[str, Look]:
    """Give every ensemble its look: colours count within a dimension, slow cooling is open."""
    result, used = {}, {}
    for e in sorted(ensembles, key=lambda e: (e["dimension"], e["protocol"], e["particles"])):
        k = used.setdefault(e["dimension"], 0)
        used[e["dimension"]] += 1
        slow = e["cooling_rate"] is not None
        own = f"$N={e['particles']}$" + (", slowly cooled" if slow else "")
        prefix = f"{e['dimension']}D, "
        label = drawable(e["title"].removeprefix(prefix)) or own
        result[e["ensemble"]] = Look(
            label, prefix + label, COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)], slow
        )
    return result


def drawable(title: str) -> str:
    """Return a title as matplotlib can draw it: dollar signs that enclose no formula are plain."""
    try:
        MathTextParser("path").parse(title)
    except ValueError:
        return title.replace("$", r"\$")
    return title


def panels(columns: int, rows: int = 1, **options) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``rows * columns`` panels."""
    figure = Figure(figsize=(PANEL_WIDTH * columns + 0.3, PANEL_HEIGHT * rows + 0.7))
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).ravel())


def dimension_panels(ensembles: list[dict[str, Any]], **options) -> tuple[Figure, dict[int, Axes]]:
    """Return a figure with one panel per dimension that occurs."""
    dimensions = sorted({e["dimension"] for e in ensembles})
    figure, axes = panels(max(len(dimensions), 1), **options)
    return figure, dict(zip(dimensions, axes, strict=False))


def letter(k: int) -> str:
    """Return the name of the k-th panel: ``(a)``, ``(b)``, ..."""
    return f"({chr(ord('a') + k)})"


def finish_panels(axes: dict[int, Axes]) -> None:
    """Label logarithmic axes; put letter, dimension and legend above every panel."""
    for k, (d, ax) in enumerate(axes.items()):
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_scale() == "log":
                label_logarithmic(axis)
        legend_above(ax, f"{letter(k)} {d} dimensions" if len(axes) > 1 else f"{d} dimensions")


def legend_above(
    ax: Axes, title: str, columns: int = 2, entries: dict[str, Any] | None = None
) -> None:
    """Put a heading and the legend above the panel, where no data can hide.

    `entries` holds handles by label; without it those of the panel are used.
    """
    if entries is None:
        handles, labels = ax.get_legend_handles_labels()
    else:
        handles, labels = list(entries.values()), list(entries)
    legend = ax.legend(
        handles,
        labels,
        title=title,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        alignment="left",
        borderaxespad=0.2,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    legend.get_title().set(fontsize=10, fontweight="bold")


def say_empty(ax: Axes, words: str) -> None:
    """Write in an empty panel why it is empty."""
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=GUIDE)


def label_logarithmic(axis: Axis) -> None:
    """Label a logarithmic axis with round numbers that do not run into each other.

    Below one decade 1, 1.5, 2, 3, 5, 7 and their multiples of ten are labelled, below two
    decades 1, 2, 5, beyond that the powers of ten.
    """
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    if decades < 1.0:
        subs: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    elif decades < 2.0:
        subs = (1.0, 2.0, 5.0)
    else:
        subs = (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(LogLocator(subs=tuple(range(1, 10)), numticks=20))
    axis.set_major_formatter(FuncFormatter(_number_or_power))
    axis.set_minor_formatter(NullFormatter())


def _number_or_power(value: float, position: int | None = None) -> str:
    if value <= 0:
        return ""
    power = int(np.floor(np.log10(value) + 1e-9))
    if -3 < power < 4:
        return f"{value:g}"
    digits = value / 10.0**power
    factor = "" if abs(digits - 1.0) < 1e-6 else f"{digits:g}\\times"
    return f"${factor}10^{{{power}}}$"
