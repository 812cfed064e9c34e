"""Figures of the spectrum: density of states, cumulative, participation, exponent scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glassmodes.campaign.figures.series import error_bars, members, rows_by_ensemble
from glassmodes.campaign.figures.style import (
    GUIDE,
    dimension_panels,
    finish_panels,
    looks,
    say_empty,
)
from glassmodes.campaign.table_files import column, read_table

FREQUENCY_LABEL = r"frequency $\omega$  [$\omega_0=\sqrt{\epsilon/m}/\lambda$]"
NO_MODES = "no modes in the\ncomplete window"


def mark_phonon(ax: Axes, ensemble: dict[str, Any], colour: str) -> None:
    """Mark the lowest transverse phonon at the top of the panel."""
    if ensemble["first_phonon_frequency"] is not None:
        ax.plot(
            [ensemble["first_phonon_frequency"]],
            [0.97],
            marker="v",
            color=colour,
            markersize=6,
            transform=ax.get_xaxis_transform(),
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
        power = f"^{d - 1}" if d > 2 else ""
        ax.set_ylabel(rf"$D(\omega)/\omega{power}$  [$\omega_0^{{-{d}}}$]")
        lowest = np.inf
        for e, every in members(ensembles, data, d):
            rows = [r for r in every if r["modes"] > 0]
            if not rows:
                continue
            look = style[e["ensemble"]]
            value, bars = error_bars(rows, "reduced_density")
            x = column(rows, "frequency")
            ax.errorbar(x, value, bars, **look.points)
            if rows[0]["debye_level"] is not None:
                ax.axhline(rows[0]["debye_level"], color=look.colour, ls="--", lw=0.9)
                lowest = min(lowest, rows[0]["debye_level"])
            mark_phonon(ax, e, look.colour)
            lowest = min(lowest, value.min())
        if np.isfinite(lowest):
            _guide(ax, lowest, 4 - (d - 1))
        else:
            say_empty(ax, NO_MODES)
    finish_panels(axes)
    return figure


def _guide(ax: Axes, lowest: float, slope: int) -> None:
    """Draw a line of the law's slope in the lower right corner, where no data lie."""
    ax.set_ylim(0.1 * lowest, None)
    (left, right), (bottom, top) = (np.log(limits) for limits in (ax.get_xlim(), ax.get_ylim()))
    run = min(0.3 * (right - left), 0.3 * (top - bottom) / slope)
    end, foot = left + 0.93 * (right - left), bottom + 0.06 * (top - bottom)
    x, y = np.array([end - run, end]), np.array([foot, foot + slope * run])
    ax.plot(np.exp(x), np.exp(y), color=GUIDE, linewidth=1.5)
    ax.annotate(
        r"$D\sim\omega^4$",
        (np.exp(x.mean()), np.exp(y.mean())),
        xytext=(-5, 3),
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
        ax.set_ylabel(r"$F(\omega)/\omega^5$  [$\omega_0^{-5}$]")
        for e, every in members(ensembles, data, d):
            rows = [r for r in every if r["modes"] >= 3]
            if not rows:
                continue
            look = style[e["ensemble"]]
            x, y = column(rows, "frequency"), column(rows, "reduced_cumulative")
            low = np.maximum(column(rows, "reduced_cumulative_low"), 0.2 * y.min())
            high = column(rows, "reduced_cumulative_high")
            ax.fill_between(x, low, high, color=look.colour, alpha=0.18, lw=0)
            ax.plot(x, y, color=look.colour, label=look.label, ls="--" if look.faded else "-")
            if windows.get(e["ensemble"]) is not None:
                ax.axvline(windows[e["ensemble"]], color=look.colour, ls=":", lw=1.0)
        if not ax.lines:
            say_empty(ax, NO_MODES)
    finish_panels(axes)
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
        for e, rows in members(ensembles, data, d):
            look = style[e["ensemble"]]
            value, bars = error_bars(rows, "participation_number")
            ax.errorbar(column(rows, "frequency"), value, bars, **look.points)
            ax.axhline(e["particles"], color=look.colour, ls=":", lw=0.8)
            mark_phonon(ax, e, look.colour)
        if not ax.lines:
            say_empty(ax, NO_MODES)
    finish_panels(axes)
    return figure


def draw_exponent_scan(results: Path) -> Figure:
    """Maximum-likelihood exponent against the upper end of the window."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "exponent_scan"))
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        ax.set(xscale="log", xlabel=r"upper end of the window $\omega_*$  [$\omega_0$]")
        ax.set_ylabel(r"exponent $s$ of $D\sim\omega^s$")
        for e, rows in members(ensembles, data, d):
            look = style[e["ensemble"]]
            x, y = column(rows, "window_upper"), column(rows, "exponent")
            low, high = column(rows, "exponent_low"), column(rows, "exponent_high")
            ax.fill_between(x, low, high, color=look.colour, alpha=0.12, lw=0)
            ax.plot(x, y, color=look.colour, alpha=0.6, lw=1.0)
            inside = [r for r in rows if r["regime"] == "inside"]
            value, bars = error_bars(inside, "exponent")
            ax.errorbar(column(inside, "window_upper"), value, bars, **look.points)
        if ax.lines:
            ax.set_ylim(0, 8)
            _level(ax, 4.0, r"$\omega^4$ law", "-")
            _level(ax, d - 1.0, "Debye", "--")
        else:
            say_empty(ax, "too few modes in the\ncomplete window")
    finish_panels(axes)
    return figure


def _level(ax: Axes, value: float, words: str, line: str) -> None:
    ax.axhline(value, color=GUIDE, lw=1.0, ls=line, zorder=1)
    ax.annotate(
        words,
        (0.98, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=GUIDE,
    )
