"""Figures of the viscoelastic lattices: spectra, oscillatory moduli, relaxation, exponents."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glassmodes.campaign.figures.lattices import (
    FREQUENCY,
    MODULUS,
    STRAIN_FREQUENCY,
    TIME,
    System,
    draw_curve,
    finish_states,
    guide,
    largest,
    limits_of,
    state_panels,
    state_points,
)
from glassmodes.campaign.figures.series import Rows, rows_by_ensemble
from glassmodes.campaign.figures.style import (
    COLOURS,
    GUIDE,
    label_logarithmic,
    legend_above,
    letter,
    say_empty,
)
from glassmodes.campaign.spectral_curves import Regimes
from glassmodes.campaign.table_files import column, read_table

CUBIC: dict[str, Any] = {"color": "#000000", "ls": ":", "lw": 1.6, "label": "cubic form"}
PAPER_UNIT = r"$\langle|\Xi|^2\rangle/\rho$"
SUM_RULE_UNIT = r"$\rho\langle|\Xi|^2\rangle$"


def _forces(ensemble: dict[str, Any]) -> float:
    return ensemble["non_affine_force_squared_mean"] or math.nan


def _read(results: Path, table: str) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Return the state points and the rows of a table by ensemble."""
    states = state_points(read_table(results, "spectral_ensembles"))
    return states, rows_by_ensemble(read_table(results, table))


def draw_spectral_densities(results: Path) -> Figure:
    """D, Gamma and their product under both normalisations, a column per state point."""
    states, data = _read(results, "spectral_densities")
    figure, axes = state_panels(states, 4)
    for members, column_axes in zip(states.values(), axes.T, strict=False):
        for k, e in enumerate(largest(members)):
            rows = [r for r in data[e["ensemble"]] if r["frequency"] > 0]
            if rows:
                _spectra(e, rows, column_axes, with_form=k == 0)
        _dress_spectra(column_axes)
    finish_states(states, axes)
    return figure


def _spectra(e: dict[str, Any], rows: Rows, axes: np.ndarray, with_form: bool) -> None:
    system = System.of(e)
    band = [r for r in rows if r["frequency"] <= (e["max_frequency"] or math.inf)]
    sharp = [r for r in band if r["frequency"] >= Regimes.of(e).spectrum_start()]
    draw_curve(axes[0], rows, "frequency", "density", system)
    draw_curve(axes[1], sharp, "frequency", "correlator", system)
    draw_curve(axes[2], rows, "frequency", "reduced_product", system)
    per_mode = e["vibrations"] / (e["particles"] * _forces(e))
    draw_curve(axes[3], rows, "frequency", "density_times_correlator", system, per_mode)
    if with_form:
        form = column(rows, "cubic_form") * per_mode
        axes[3].plot(column(rows, "frequency"), form, **CUBIC, zorder=6)


def _dress_spectra(axes: np.ndarray) -> None:
    labels = (
        r"$D(\omega)$  [$\omega_0^{-1}$]",
        r"$\Gamma(\omega)$  [$k^2R_0^2$]",
        rf"$D\,\Gamma$ / ({PAPER_UNIT})",
        r"$D\,\Gamma$ / ($N\langle|\Xi|^2\rangle/n$)  [$\omega_0^{-1}$]",
    )
    for ax, label in zip(axes, labels, strict=True):
        ax.set(xlabel=FREQUENCY, ylabel=label)
        if not ax.lines:
            say_empty(ax, "no spectra")
    for ax in (axes[0], axes[2], axes[3]):
        ax.set_ylim(bottom=0)
        ax.set_xlim(left=0)
    if axes[1].lines:
        axes[1].set(xscale="log", yscale="log")
        limits_of(axes[1])
        low, high = axes[1].get_xlim()
        bottom = axes[1].get_ylim()[0]
        start = low * (high / low) ** 0.35
        guide(axes[1], start, 3 * start, bottom * 6, 2.0, r"$\omega^2$", below=True)


def draw_oscillatory_moduli(results: Path) -> Figure:
    """G' and G'' as they are and divided by the factors of the paper and of the sum rule."""
    states, data = _read(results, "oscillatory_moduli")
    figure, axes = state_panels(states, 4)
    for (label, members), column_axes in zip(states.items(), axes.T, strict=False):
        for e in largest(members):
            rows = data[e["ensemble"]]
            if not rows:
                continue
            system = System.of(e)
            sum_rule, by_paper = e["density"] * _forces(e), _forces(e) / e["density"]
            draw_curve(column_axes[0], rows, "frequency", "storage_modulus", system)
            for ax, factor in zip(column_axes[1:], (1.0, by_paper, sum_rule), strict=True):
                draw_curve(ax, rows, "frequency", "loss_modulus", system, 1.0 / factor)
            if len(column_axes[3].lines) == 1:
                cubic = column(rows, "cubic_loss_modulus") / sum_rule
                column_axes[3].plot(column(rows, "frequency"), cubic, **CUBIC, zorder=6)
        _dress_moduli(column_axes, label)
    finish_states(states, axes)
    return figure


def _dress_moduli(axes: np.ndarray, label: str) -> None:
    names = (
        f"$G'$  {MODULUS}",
        f"$G''$  {MODULUS}",
        f"$G''$ / ({PAPER_UNIT})",
        f"$G''$ / ({SUM_RULE_UNIT})",
    )
    slope, words = (0.5, r"$\Omega^{1/2}$") if "near" in label else (1.0, r"$\Omega$")
    for ax, name in zip(axes, names, strict=True):
        ax.set(xscale="log", yscale="log", xlabel=STRAIN_FREQUENCY, ylabel=name)
        if not ax.lines:
            say_empty(ax, "no moduli")
            continue
        limits_of(ax)
    for ax in axes[1:]:
        if ax.lines:
            line = ax.lines[0]
            x, y = (np.asarray(v, dtype=float) for v in (line.get_xdata(), line.get_ydata()))
            peak = x[np.nanargmax(y)]
            at = float(np.interp(1e-4, x / peak, y))
            guide(ax, 1e-5 * peak, 1e-3 * peak, at / 12, slope, words, below=True)
            at = float(np.interp(1e3, x / peak, y))
            guide(ax, 1e2 * peak, 1e4 * peak, 6 * at, -1.0, r"$\Omega^{-1}$")


def draw_relaxation(results: Path) -> Figure:
    """G(t), G(t) - G and their local exponents, a column per state point."""
    states, data = _read(results, "relaxation")
    figure, axes = state_panels(states, 4)
    for members, column_axes in zip(states.values(), axes.T, strict=False):
        for e in largest(members):
            rows = data[e["ensemble"]]
            if rows:
                _relaxation(e, rows, column_axes)
        _dress_relaxation(column_axes)
    finish_states(states, axes)
    return figure


def _relaxation(e: dict[str, Any], rows: Rows, axes: np.ndarray) -> None:
    system, regimes = System.of(e), Regimes.of(e)
    known = [r for r in rows if r["decay_exponent"] is not None]
    draw_curve(axes[0], rows, "time", "relaxation_modulus", system)
    draw_curve(axes[1], known, "time", "decay", system)
    draw_curve(axes[2], rows, "time", "modulus_exponent", system)
    draw_curve(axes[3], known, "time", "decay_exponent", system)
    if len(axes[1].lines) == 1:
        time, decay = column(rows, "time"), column(rows, "cubic_decay")
        axes[1].plot(time, np.where(decay > 0, decay, np.nan), **CUBIC)
        axes[3].plot(time, column(rows, "cubic_exponent"), **CUBIC, zorder=6)
    _mark(axes[3], 1.0 / regimes.rates[0], system)


def _mark(ax: Axes, place: float, system: System) -> None:
    """Mark at the top of the panel where the first phonon has relaxed or is excited."""
    if math.isfinite(place):
        ax.plot(
            [place],
            [0.96],
            marker="v",
            color=system.colour,
            ls="none",
            ms=5,
            transform=ax.get_xaxis_transform(),
        )


def _dress_relaxation(axes: np.ndarray) -> None:
    names = (
        f"$G(t)$  {MODULUS}",
        f"$G(t)-G$  {MODULUS}",
        r"$d\,\ln G(t)\,/\,d\,\ln t$",
        r"$d\,\ln(G(t)-G)\,/\,d\,\ln t$",
    )
    for ax, name in zip(axes, names, strict=True):
        ax.set(xscale="log", xlabel=TIME, ylabel=name)
        if not ax.lines:
            say_empty(ax, "no relaxation")
    for ax in axes[:2]:
        if ax.lines:
            ax.set_yscale("log")
            limits_of(ax)
    if axes[1].lines:
        top = axes[1].get_ylim()[1]
        axes[1].set_ylim(max(axes[1].get_ylim()[0], 1e-7 * top), None)
        line = axes[1].lines[0]
        x, y = (np.asarray(v, dtype=float) for v in (line.get_xdata(), line.get_ydata()))
        start = x[np.nanargmin(np.abs(y - 0.1 * np.nanmax(y)))]
        guide(axes[1], start, 1e3 * start, 10 * 0.1 * y[0] / 1e3**0.25, -0.5, r"$t^{-1/2}$")
    for ax in axes[2:]:
        ax.axhspan(-0.75, -0.5, color=GUIDE, alpha=0.15, lw=0)
        ax.axhline(0.0, color=GUIDE, lw=0.6)
        ax.set_ylim(-2.1 if ax is axes[3] else -0.95, 0.15)


def draw_loss_exponents(results: Path) -> Figure:
    """Local exponents of G'' for every size: a row per system, a column per state point."""
    states, data = _read(results, "oscillatory_moduli")
    systems = list(dict.fromkeys(e["system"] for m in states.values() for e in m))
    figure, axes = state_panels(states, max(len(systems), 1), sharey=True)
    for (label, members), column_axes in zip(states.items(), axes.T, strict=False):
        for system, ax in zip(systems, column_axes, strict=True):
            sizes = [e for e in members if e["system"] == system and data[e["ensemble"]]]
            _sizes(ax, sizes, data)
            name = System.of(sizes[0]).name if sizes else system
            legend_above(ax, f"{letter(list(axes.ravel()).index(ax))} {name}, {label}")
            ax.set(xlabel=STRAIN_FREQUENCY, ylabel=r"$d\,\ln G''\,/\,d\,\ln\Omega$")
    return figure


def _sizes(ax: Axes, sizes: Rows, data: dict[str, Rows]) -> None:
    """Draw all sizes of one system, the window of the largest and the cubic form."""
    if not sizes:
        say_empty(ax, "no moduli")
        return
    for k, e in enumerate(sizes):
        look = System(f"$N={e['particles']}$", COLOURS[k % len(COLOURS)], ("-", "--", "-.")[k % 3])
        draw_curve(ax, data[e["ensemble"]], "frequency", "loss_exponent", look)
        _mark(ax, Regimes.of(e).rates[0], look)
    rows, regimes = data[sizes[0]["ensemble"]], Regimes.of(sizes[0])
    ax.plot(column(rows, "frequency"), column(rows, "cubic_loss_exponent"), **CUBIC)
    low, high = regimes.slow()
    if low < high:
        ax.axvspan(low, high, color=GUIDE, alpha=0.15, lw=0)
    for value in (1.0, 0.5, -1.0):
        ax.axhline(value, color=GUIDE, lw=0.6)
    ax.set(xscale="log", ylim=(-1.3, 1.2))
    grid = column(rows, "frequency")
    slowest = np.nanmin([regimes.rates[0], *(Regimes.of(e).rates[0] for e in sizes)])
    ax.set_xlim(max(grid[0], 0.01 * slowest) if slowest > 0 else grid[0], grid[-1])
    label_logarithmic(ax.xaxis)
