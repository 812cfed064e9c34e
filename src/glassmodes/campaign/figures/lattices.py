"""What the figures of networks share: state points in columns, systems by colour, guides."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glassmodes.campaign.figures.series import Rows
from glassmodes.campaign.figures.style import (
    COLOURS,
    GUIDE,
    label_logarithmic,
    legend_above,
    letter,
    panels,
)
from glassmodes.campaign.spectral_curves import state_label
from glassmodes.campaign.table_files import column

FREQUENCY = r"frequency $\omega$  [$\omega_0=\sqrt{k/m}$]"
STRAIN_FREQUENCY = r"frequency $\Omega$  [$\sqrt{k/m}$]"
TIME = r"time $t$  [$\sqrt{m/k}$]"
MODULUS = r"[$k R_0^{2-d}$]"

_SYSTEMS = {
    "random_network": ("random network", COLOURS[1], "-"),
    "bond_depleted_lattice": ("lattice, bonds cut", COLOURS[0], "--"),
    "lattice_vacancies": ("lattice, vacancies", COLOURS[2], "-."),
}
"""By protocol: name, colour and line; the lines keep collapsed curves apart."""


@dataclass(frozen=True)
class System:
    """How one system is drawn."""

    name: str
    colour: str
    line: str

    @classmethod
    def of(cls, ensemble: dict[str, Any]) -> System:
        """Return the look of an ensemble's system."""
        other = (ensemble["system"].replace("_", " "), COLOURS[3], ":")
        return cls(*_SYSTEMS.get(ensemble["system"], other))


def state_points(ensembles: Rows) -> dict[str, Rows]:
    """Return the network ensembles by label, the one closest to isostaticity first.

    Within a label by system, then from the largest N down.
    """
    order = list(_SYSTEMS)
    states: dict[str, Rows] = defaultdict(list)
    for e in ensembles:
        if state_label(e):
            states[state_label(e)].append(e)

    def place(e: dict[str, Any]) -> tuple[int, int]:
        known = e["system"] in order
        return (order.index(e["system"]) if known else len(order), -e["particles"])

    labels = sorted(states, key=lambda name: min(e["coordination_asked"] for e in states[name]))
    return {name: sorted(states[name], key=place) for name in labels}


def largest(members: Rows) -> Rows:
    """Return the ensemble with the most particles of every system, order kept."""
    chosen: dict[str, dict[str, Any]] = {}
    for e in members:
        best = chosen.setdefault(e["system"], e)
        if e["particles"] > best["particles"]:
            chosen[e["system"]] = e
    return list(chosen.values())


def state_panels(states: dict[str, Rows], rows: int, **options) -> tuple[Figure, NDArray]:
    """Return a figure with a column per state point, axes of shape ``(rows, columns)``."""
    columns = max(len(states), 1)
    figure, axes = panels(columns, rows, **options)
    figure.set_size_inches(3.7 * columns + 0.3, 2.45 * rows + 0.9)
    return figure, np.array(axes, dtype=object).reshape(rows, columns)


def finish_states(states: dict[str, Rows], axes: NDArray) -> None:
    """Label logarithmic axes, number the panels, put one legend above every column."""
    for k, ax in enumerate(axes.ravel()):
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_scale() == "log":
                label_logarithmic(axis)
        if k >= axes.shape[1]:
            ax.set_title(letter(k), loc="left", fontweight="bold")
    for k, (label, column_axes) in enumerate(zip(states, axes.T, strict=False)):
        entries = {}
        for ax in column_axes:
            for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
                entries.setdefault(name, handle)
        legend_above(column_axes[0], f"{letter(k)} {label}", entries=entries)


def draw_curve(
    ax: Axes, rows: Rows, argument: str, name: str, system: System, scale: float = 1.0, **options
) -> None:
    """Draw the mean of a quantity as a line and its confidence interval as a band."""
    x, y = column(rows, argument), column(rows, name) * scale
    low, high = (column(rows, f"{name}_{end}") * scale for end in ("low", "high"))
    settings = {"color": system.colour, "ls": system.line, "label": system.name, **options}
    ax.plot(x, y, **settings)
    known = np.isfinite(low) & np.isfinite(high)
    if known.any():
        ax.fill_between(x, low, high, where=known, color=settings["color"], alpha=0.2, lw=0)


def guide(
    ax: Axes, start: float, stop: float, at: float, slope: float, words: str, below: bool = False
) -> None:
    """Draw a power law from `start` to `stop` that has the value `at` at its geometric middle.

    The words stand above the line, or `below` it, on the side where it does not run.
    """
    x = np.array([start, stop])
    middle = np.sqrt(start * stop)
    ax.plot(x, at * (x / middle) ** slope, color=GUIDE, lw=1.2, zorder=4)
    right = (slope < 0) != below
    ax.annotate(
        words,
        (middle, at),
        xytext=(7 if right else -7, -3 if below else 3),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top" if below else "bottom",
        color=GUIDE,
        zorder=5,
    )


def limits_of(ax: Axes, factor: float = 1.6) -> None:
    """Set logarithmic y limits around the drawn positive values."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size:
        ax.set_ylim(positive.min() / factor, positive.max() * factor)
