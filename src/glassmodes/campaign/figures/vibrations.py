"""Figures of the spectrum: density of states, cumulative, participation, exponent scan."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glassmodes.campaign.figures.style import GUIDE, dimension_panels, looks, say_empty
from glassmodes.campaign.table_files import column, read_table

FREQUENCY_LABEL = r"frequency $\omega$  [$\sqrt{\epsilon/m}/\lambda$]"


def rows_by_ensemble(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group table rows by their ensemble, order kept."""
    groups = defaultdict(list)
    for r in rows:
        groups[r["ensemble"]].append(r)
    return groups


def error_bars(rows: list[dict[str, Any]], name: str):
    """Return value and the distances to the ends of its interval, shape ``(2, n)``."""
    value = column(rows, name)
    below = np.clip(value - column(rows, f"{name}_low"), 0, None)
    above = np.clip(column(rows, f"{name}_high") - value, 0, None)
    return value, np.nan_to_num(np.stack([below, above]))


def mark_phonon(ax: Axes, ensemble: dict[str, Any], colour: str) -> None:
    """Mark the lowest transverse phonon at the top of the panel."""
    if ensemble["first_phonon_frequency"] is not None:
        ax.plot(
            [ensemble["first_phonon_frequency"]],
            [1.0],
            marker="v",
            color=colour,
            markersize=6,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            linestyle="none",
        )


def draw_density_of_states(results: Path) -> Figure:
    """Reduced density of states per dimension, Debye levels and the slope of the law."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "density_of_states"))
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        ax.set(xscale="log", yscale="log", xlabel=FREQUENCY_LABEL)
        ax.set_ylabel(r"$D(\omega)/\omega" + (f"^{d - 1}$" if d > 2 else "$"))
        lowest: list[tuple[float, float]] = []
        for e in (e for e in ensembles if e["dimension"] == d):
            rows = [r for r in data[e["ensemble"]] if r["modes"] > 0]
            if not rows:
                continue
            look = style[e["ensemble"]]
            value, bars = error_bars(rows, "reduced_density")
            x = column(rows, "frequency")
            ax.errorbar(x, value, bars, **look.points)
            level = rows[0]["debye_level"]
            if level is not None:
                ax.axhline(level, color=look.colour, linestyle="--", linewidth=0.9)
            mark_phonon(ax, e, look.colour)
            lowest.extend(zip(x, value, strict=True))
        if not lowest:
            say_empty(ax, "no modes in the\ncomplete window")
            continue
        _guide(ax, np.array(lowest), 4 - (d - 1))
        ax.legend(loc="lower right")
    return figure


def _guide(ax: Axes, points: np.ndarray, slope: int) -> None:
    """Draw a line of the law's slope to the left of and above the lowest points."""
    order = np.argsort(points[:, 0])
    x, y = points[order].T
    span = np.array([x[0], x[0] * (x[-1] / x[0]) ** 0.4])
    anchor = np.exp(np.mean(np.log(y[: max(3, len(y) // 5)])))
    centre = np.sqrt(span[0] * span[1])
    line = 3.0 * anchor * (span / centre) ** slope
    ax.plot(span, line, color=GUIDE, linewidth=1.5, zorder=1)
    ax.annotate(
        r"$D\sim\omega^4$",
        (centre, 3.0 * anchor),
        xytext=(-4, 6),
        textcoords="offset points",
        ha="right",
        color=GUIDE,
    )


def draw_cumulative(results: Path) -> Figure:
    """``F(w)/w**5`` per dimension with the upper ends of the fit windows."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "cumulative"))
    windows = {r["ensemble"]: r["window_upper"] for r in read_table(results, "exponents")}
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        ax.set(xscale="log", yscale="log", xlabel=FREQUENCY_LABEL)
        ax.set_ylabel(r"$F(\omega)/\omega^5$")
        drawn = False
        for e in (e for e in ensembles if e["dimension"] == d):
            rows = [r for r in data[e["ensemble"]] if r["modes"] >= 3]
            if not rows:
                continue
            drawn = True
            look = style[e["ensemble"]]
            x, y = column(rows, "frequency"), column(rows, "reduced_cumulative")
            low = column(rows, "reduced_cumulative_low")
            high = column(rows, "reduced_cumulative_high")
            floor = y[y > 0].min() * 0.2
            ax.fill_between(x, np.maximum(low, floor), high, color=look.colour, alpha=0.18, lw=0)
            ax.plot(x, y, color=look.colour, label=look.label, ls="--" if look.faded else "-")
            if windows.get(e["ensemble"]) is not None:
                ax.axvline(windows[e["ensemble"]], color=look.colour, ls=":", lw=1.0)
        if drawn:
            ax.legend(loc="best")
        else:
            say_empty(ax, "no modes in the\ncomplete window")
    return figure


def draw_participation(results: Path) -> Figure:
    """Number of participating particles against frequency per dimension."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "participation"))
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        ax.set(xscale="log", yscale="log", xlabel=FREQUENCY_LABEL)
        ax.set_ylabel(r"participation number $N\bar{e}$")
        drawn = False
        for e in (e for e in ensembles if e["dimension"] == d):
            rows = data[e["ensemble"]]
            if not rows:
                continue
            drawn = True
            look = style[e["ensemble"]]
            value, bars = error_bars(rows, "participation_number")
            ax.errorbar(column(rows, "frequency"), value, bars, **look.points)
            ax.axhline(e["particles"], color=look.colour, ls=":", lw=0.8)
            mark_phonon(ax, e, look.colour)
        if drawn:
            ax.legend(loc="lower right")
        else:
            say_empty(ax, "no modes in the\ncomplete window")
    return figure


def draw_exponent_scan(results: Path) -> Figure:
    """Maximum-likelihood exponent against the upper end of the window."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "exponent_scan"))
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        ax.set(xscale="log", xlabel=r"upper end of the window $\omega_*$")
        ax.set_ylabel(r"exponent $s$ of $D\sim\omega^s$")
        ax.axhline(4.0, color=GUIDE, lw=1.2)
        ax.axhline(d - 1, color=GUIDE, lw=0.9, ls="--")
        drawn = False
        for e in (e for e in ensembles if e["dimension"] == d):
            rows = data[e["ensemble"]]
            if not rows:
                continue
            drawn = True
            look = style[e["ensemble"]]
            x, y = column(rows, "window_upper"), column(rows, "exponent")
            low, high = column(rows, "exponent_low"), column(rows, "exponent_high")
            ax.fill_between(x, low, high, color=look.colour, alpha=0.12, lw=0)
            ax.plot(x, y, color=look.colour, alpha=0.55, lw=1.0)
            inside = [r for r in rows if r["regime"] == "inside"]
            value, bars = error_bars(inside, "exponent")
            ax.errorbar(column(inside, "window_upper"), value, bars, **look.points)
        if drawn:
            ax.set_ylim(0, 8)
            ax.annotate(
                "$\\omega^4$ law",
                (0.98, 4.0),
                xycoords=("axes fraction", "data"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="right",
                color=GUIDE,
            )
            ax.annotate(
                "Debye",
                (0.98, d - 1),
                xycoords=("axes fraction", "data"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="right",
                color=GUIDE,
            )
            ax.legend(loc="upper right")
        else:
            say_empty(ax, "too few modes in the\ncomplete window")
    return figure
