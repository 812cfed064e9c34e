"""Figures of glasses beside the lattices: spectra without eigenvectors and slow relaxation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glassmodes.campaign.figures.lattices import System, draw_curve, guide, largest, state_points
from glassmodes.campaign.figures.series import Rows, rows_by_ensemble
from glassmodes.campaign.figures.style import (
    COLOURS,
    GUIDE,
    label_logarithmic,
    legend_above,
    letter,
    panels,
    say_empty,
)
from glassmodes.campaign.spectral_curves import Regimes, near_isostatic, state_label
from glassmodes.campaign.table_files import column, read_table

_NUMBERS = ("decay", "decay_low", "decay_high")


def draw_glass_relaxation(results: Path) -> Figure:
    """G(t) - G of glasses and lattices in units of the band edge, and its local exponents."""
    ensembles = read_table(results, "spectral_ensembles")
    data = rows_by_ensemble(read_table(results, "relaxation"))
    glasses = [e for e in ensembles if not state_label(e) and data[e["ensemble"]]]
    lattices = [
        e
        for members in state_points(ensembles).values()
        for e in largest(members)
        if data[e["ensemble"]]
    ]
    dimensions = sorted({e["dimension"] for e in glasses})
    figure, axes = panels(max(len(dimensions), 1), 2, sharex=False)
    figure.set_size_inches(3.6 * max(len(dimensions), 1) + 0.3, 6.4)
    grid = np.array(axes, dtype=object).reshape(2, -1)
    for d, (top, bottom) in zip(dimensions, grid.T, strict=False):
        beside = [e for e in lattices if e["dimension"] == d]
        _panel(top, bottom, [e for e in glasses if e["dimension"] == d], beside, data)
        _dress(top, bottom, d)
    for k, (d, ax) in enumerate(zip(dimensions, grid[0], strict=False)):
        legend_above(ax, f"{letter(k)} {d} dimensions")
    for k, ax in enumerate(grid[1]):
        ax.set_title(letter(grid.shape[1] + k), loc="left", fontweight="bold")
    _say_without(grid, dimensions, "no relaxation of glasses")
    return figure


def _say_without(grid: np.ndarray, dimensions: list[int], words: str) -> None:
    if not dimensions:
        for ax in grid.ravel():
            say_empty(ax, words)


def _panel(top: Axes, bottom: Axes, glasses: Rows, lattices: Rows, data: dict[str, Rows]) -> None:
    for e in lattices:
        system = System.of(e)
        words = f"{system.name.removeprefix('lattice, ')}, {e['coordination_asked']:g}"
        line = "--" if near_isostatic(e) else ":"
        _curves(top, bottom, e, data[e["ensemble"]], System(words, system.colour, line), 1.0)
    for k, e in enumerate(glasses):
        look = System(f"glass, $N={e['particles']}$", COLOURS[3 + k % 3], "-")
        _curves(top, bottom, e, data[e["ensemble"]], look, 1.8)


def _curves(
    top: Axes, bottom: Axes, e: dict[str, Any], rows: Rows, look: System, width: float
) -> None:
    """Draw the decay over its value at t = 0 against the number of shortest relaxation times."""
    regimes = Regimes.of(e)
    drop = e["affine_modulus"] - e["static_modulus"]
    scaled = [
        {
            **r,
            "time": r["time"] * regimes.rates[1],
            **{n: None if r[n] is None else r[n] / drop for n in _NUMBERS},
        }
        for r in rows
        if r["decay_exponent"] is not None
    ]
    draw_curve(top, scaled, "time", "decay", look, lw=width)
    draw_curve(bottom, scaled, "time", "decay_exponent", look, lw=width)
    place = regimes.rates[1] / regimes.rates[0]
    bottom.plot(
        [place],
        [0.96],
        marker="v",
        color=look.colour,
        ls="none",
        ms=5,
        transform=bottom.get_xaxis_transform(),
    )


def _dress(top: Axes, bottom: Axes, dimension: int) -> None:
    label = r"$t\,\omega_D^2/\nu$"
    top.set(xscale="log", yscale="log", xlabel=label, ylabel=r"$(G(t)-G)\,/\,(G_A-G)$")
    bottom.set(xscale="log", xlabel=label, ylabel=r"$d\,\ln(G(t)-G)\,/\,d\,\ln t$")
    if not top.lines:
        say_empty(top, "no relaxation")
        return
    for ax in (top, bottom):
        ax.set_xlim(0.1, 1e6)
    top.set_ylim(1e-7, 3.0)
    bottom.set_ylim(-3.2, 0.2)
    guide(top, 1e3, 3e4, 1e-5, -1.5, r"$t^{-3/2}$", below=True)
    phonons = -0.5 * dimension
    if dimension != 3:
        guide(top, 700.0, 7e3, 0.2, phonons, rf"$t^{{{phonons:g}}}$")
    for value, words in {-1.5: "quasilocalised", phonons: "phonons"}.items():
        words = "quasilocalised, phonons" if dimension == 3 else words
        bottom.axhline(value, color=GUIDE, lw=0.8)
        bottom.annotate(
            words,
            (0.02, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            color=GUIDE,
        )
    for axis in (top.xaxis, top.yaxis, bottom.xaxis):
        label_logarithmic(axis)


def draw_glass_spectra(results: Path) -> Figure:
    """D and D Gamma of glasses in double-logarithmic form, a column per dimension."""
    ensembles = read_table(results, "spectral_ensembles")
    data = rows_by_ensemble(read_table(results, "spectral_densities"))
    glasses = [e for e in ensembles if not state_label(e) and data[e["ensemble"]]]
    dimensions = sorted({e["dimension"] for e in glasses})
    figure, axes = panels(max(len(dimensions), 1), 2)
    grid = np.array(axes, dtype=object).reshape(2, -1)
    for d, (top, bottom) in zip(dimensions, grid.T, strict=False):
        for k, e in enumerate(e for e in glasses if e["dimension"] == d):
            look = System(f"$N={e['particles']}$", COLOURS[3 + k % 3], ("-", "--")[k % 2])
            start = Regimes.of(e).resolution
            edge = e["max_frequency"]
            rows = [r for r in data[e["ensemble"]] if start <= r["frequency"] <= edge]
            draw_curve(top, rows, "frequency", "density", look)
            draw_curve(bottom, rows, "frequency", "density_times_correlator", look)
            bottom.plot(
                column(rows, "frequency"),
                column(rows, "cubic_form"),
                color="#000000",
                ls=":",
                label="cubic form" if k == 0 else None,
            )
        _dress_spectra(top, bottom, d)
    for k, (d, ax) in enumerate(zip(dimensions, grid[0], strict=False)):
        legend_above(ax, f"{letter(k)} {d} dimensions")
    for k, ax in enumerate(grid[1]):
        legend_above(ax, letter(grid.shape[1] + k))
    _say_without(grid, dimensions, "no spectra of glasses")
    return figure


def _dress_spectra(top: Axes, bottom: Axes, dimension: int) -> None:
    label = r"frequency $\omega$  [$\omega_0=\sqrt{\epsilon/m}/\lambda$]"
    top.set(xscale="log", yscale="log", xlabel=label, ylabel=r"$D(\omega)$  [$\omega_0^{-1}$]")
    bottom.set(xscale="log", yscale="log", xlabel=label)
    bottom.set_ylabel(r"$D\,\Gamma$  [$\epsilon^2/(\lambda^2\omega_0)$]")
    for ax, slope in ((top, dimension - 1), (bottom, dimension + 1)):
        line = ax.lines[0]
        x, y = (np.asarray(v, dtype=float) for v in (line.get_xdata(), line.get_ydata()))
        positive = y > 0
        ax.set_ylim(y[positive].max() * 1e-5, y[positive].max() * 3)
        start = x[0] * 1.5
        at = float(np.interp(2 * start, x, y)) * 0.2
        guide(ax, start, 4 * start, at, slope, _power(slope), below=True)
        for axis in (ax.xaxis, ax.yaxis):
            label_logarithmic(axis)


def _power(slope: int) -> str:
    return r"$\omega$" if slope == 1 else rf"$\omega^{slope}$"
