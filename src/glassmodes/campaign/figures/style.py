"""One look for all figures: sizes, fonts, colours that colour-blind readers can tell apart."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
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
    """Colour, marker and legend label of one ensemble."""

    label: str
    colour: str
    marker: str
    faded: bool = False
    line: dict[str, Any] = field(default_factory=dict)

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
        label = e["title"] or f"$N={e['particles']}$" + (", slowly cooled" if slow else "")
        result[e["ensemble"]] = Look(
            label, COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)], slow
        )
    return result


def panels(columns: int, rows: int = 1, **options) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``rows * columns`` panels, labelled (a), (b), ... if several."""
    figure = Figure(figsize=(PANEL_WIDTH * columns + 0.3, PANEL_HEIGHT * rows + 0.2))
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).ravel())
    if len(axes) > 1:
        for k, ax in enumerate(axes):
            ax.set_title(f"({chr(ord('a') + k)})", loc="left", fontsize=9, fontweight="bold")
    return figure, axes


def dimension_panels(ensembles: list[dict[str, Any]], **options) -> tuple[Figure, dict[int, Axes]]:
    """Return a figure with one panel per dimension that occurs."""
    dimensions = sorted({e["dimension"] for e in ensembles})
    figure, axes = panels(max(len(dimensions), 1), **options)
    by_dimension = dict(zip(dimensions, axes, strict=False))
    for d, ax in by_dimension.items():
        ax.set_title(f"{d} dimensions", fontsize=10)
    return figure, by_dimension


def say_empty(ax: Axes, words: str) -> None:
    """Write in an empty panel why it is empty."""
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=GUIDE)
