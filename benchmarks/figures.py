"""The figures of the scaling page."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import matplotlib
import numpy as np
from rows import Row

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Okabe and Ito: told apart without red and green
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
STYLE = {
    "figure.dpi": 150,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
}
GLASS_CASES = (
    "block operator",
    "Hessian, assembled",
    "Cholesky factor",
    "lowest 100 modes",
    "elastic tensor",
    "density of states of a glass, 1 %",
)
MODES = "lowest 100 modes"


def draw_all(rows: list[Row], folder: Path) -> dict[str, str]:
    """Draw what the rows hold; return the path of each relative to the page, or ""."""
    drawn = {}
    with plt.rc_context(STYLE):
        for name, draw in FIGURES.items():
            figure = draw(rows)
            drawn[name] = ""
            if figure is not None:
                path = folder / f"scaling_{name}.png"
                figure.savefig(path, bbox_inches="tight", metadata={"Software": None})
                plt.close(figure)
                drawn[name] = f"figures/{path.name}"
    return drawn


def sizes(rows: list[Row]):
    """Time and memory of ours against N on one rank, 3D glasses; the slope in the legend."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained")
    style = _styles()
    found = False
    for case in GLASS_CASES:
        points = sorted(
            (r for r in rows if r.case == case and r.dimension == 3 and _single(r)),
            key=lambda r: r.particles,
        )
        if not points:
            continue
        found, look = True, next(style)
        n = [r.particles for r in points]
        axes[0].loglog(n, [r.value for r in points], label=case, **look)
        axes[1].loglog(n, [r.memory for r in points], label=case, **look)
    if not found:
        return None
    axes[0].set(xlabel="particles N", ylabel="seconds")
    axes[1].set(xlabel="particles N", ylabel="peak memory above the imports, GB")
    _slopes(axes[0], (1, 4 / 3, 2))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def peers(rows: list[Row]):
    """Time of the lowest modes against N; a cross where a peer was stopped or failed."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.case == MODES and row.dimension == 3 and not row.details.get("scaling"):
            groups[row.method].append(row)
    if not groups:
        return None
    figure, axis = plt.subplots(figsize=(7.5, 3.9), layout="constrained")
    for (method, points), look in zip(groups.items(), _styles(), strict=False):
        done = sorted((r for r in points if r.value == r.value), key=lambda r: r.particles)
        axis.loglog([r.particles for r in done], [r.value for r in done], label=method, **look)
        for row in points:
            limit = re.match(r"stopped after (\d+) s", row.accuracy)
            if limit:
                place = row.particles * 1.05 ** (list(groups).index(method) - 2)  # side by side
                axis.plot(place, float(limit[1]), "x", color=look["color"], ms=7, mew=2)
    axis.plot([], [], "x", color="0.3", ms=8, mew=2, label="stopped at the limit")
    axis.set(xlabel="particles N", ylabel="seconds for the lowest 100 modes")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def ranks(rows: list[Row]):
    """Speed-up over ranks, measured, for each size; the model as a line."""
    measured = [r for r in rows if r.details.get("scaling") == "strong"]
    model = [r for r in rows if r.details.get("scaling") == "model"]
    shapes = sorted({r.particles for r in measured})
    if not shapes:
        return None
    figure, axes = plt.subplots(
        1, len(shapes), figsize=(4.4 * len(shapes), 3.6), layout="constrained", sharey=True,
        squeeze=False,
    )  # fmt: skip
    lowest = 1.0
    cases = list(dict.fromkeys(r.case for r in model))
    for axis, particles in zip(axes[0], shapes, strict=True):
        highest = max((r.ranks for r in model if r.particles == particles), default=2)
        axis.loglog([1, highest], [1, highest], color="0.6", lw=1, ls=":", label="ideal")
        for case, look in zip(cases, _styles(), strict=False):
            points = sorted(
                (r for r in measured if r.case == case and r.particles == particles),
                key=lambda r: r.ranks,
            )
            line = sorted(
                (r for r in model if r.case == case and r.particles == particles),
                key=lambda r: r.ranks,
            )
            if not points:
                continue
            base = points[0].value * points[0].ranks
            last = max(r.ranks for r in points)
            for part, dash in ((line, "--"), ([r for r in line if r.ranks <= last], "-")):
                axis.plot([r.ranks for r in part], [base / r.value for r in part],
                          color=look["color"], lw=1, ls=dash)  # fmt: skip
            gains = [base / r.value for r in points]
            lowest = min(lowest, *gains, *(base / r.value for r in line))
            axis.plot([r.ranks for r in points], gains, ls="none", label=case, **look)
        axis.set(xlabel="ranks", title=f"N = {particles:,}")
    axes[0][0].set_ylim(0.8 * lowest, None)
    axes[0][0].set_ylabel("speed-up over one rank")
    axes[0][0].legend(fontsize=8)
    return figure


def _single(row: Row) -> bool:
    return row.ours and not row.details.get("scaling") and row.value == row.value


def _styles():
    for colour, marker in itertools.cycle(zip(COLOURS, MARKERS, strict=True)):
        yield {"color": colour, "marker": marker}


def _slopes(axis, slopes) -> None:
    """Draw short lines of given slopes at the lower right."""
    high = axis.get_xlim()[1]
    floor = axis.get_ylim()[0]
    x = np.array([high / 6, high / 1.5])
    for slope in slopes:
        axis.plot(x, 2 * floor * (x / x[0]) ** slope, color="0.6", lw=0.8)
        power = Fraction(slope).limit_denominator(9)
        end = (x[1], 2 * floor * 4.0**slope)
        axis.annotate(f"N$^{{{power}}}$", end, color="0.4", fontsize=7)


FIGURES = {"sizes": sizes, "peers": peers, "ranks": ranks}
