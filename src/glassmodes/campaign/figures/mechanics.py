"""Figures of the elastic response: shear modulus, disorder parameter, dipole stiffness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glassmodes.campaign.figures.style import (
    COLOURS,
    GUIDE,
    MARKERS,
    Look,
    dimension_panels,
    looks,
    panels,
    say_empty,
)
from glassmodes.campaign.figures.vibrations import error_bars, rows_by_ensemble
from glassmodes.campaign.paper_values import PAPER_VALUES
from glassmodes.campaign.table_files import column, read_table

MODULUS_LABEL = r"shear modulus $\mu$  [$\epsilon/\lambda^d$]"


def draw_shear_modulus(results: Path) -> Figure:
    """Distribution of the shear modulus of single directions per dimension."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "shear_modulus_distribution"))
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        ax.set(yscale="log", xlabel=MODULUS_LABEL, ylabel=r"$P(\mu)$")
        drawn = False
        for e in (e for e in ensembles if e["dimension"] == d):
            rows = [r for r in data[e["ensemble"]] if r["draws"] > 0]
            if not rows:
                continue
            drawn = True
            look = style[e["ensemble"]]
            value, bars = error_bars(rows, "probability_density")
            ax.errorbar(column(rows, "shear_modulus"), value, bars, **look.points)
        for paper in PAPER_VALUES:
            if paper.quantity == "shear_modulus" and paper.dimension == d and drawn:
                ax.axvline(paper.value, color=GUIDE, ls="--", lw=1.0, label="thesis")
        if drawn:
            ax.legend(loc="upper left")
        else:
            say_empty(ax, "no moduli")
    return figure


def draw_moduli_by_ensemble(results: Path) -> Figure:
    """Mean shear modulus and Debye frequency of every ensemble beside the thesis' values."""
    ensembles = sorted(
        read_table(results, "ensembles"),
        key=lambda e: (e["dimension"], e["protocol"], e["particles"]),
    )
    shear = {
        r["ensemble"]: r
        for r in read_table(results, "moduli_means")
        if r["quantity"] == "shear_modulus"
    }
    style = looks(ensembles)
    figure, (left, right) = panels(2)
    figure.set_size_inches(8.2, 0.9 + 0.42 * max(len(ensembles), 3))
    places = np.arange(len(ensembles))[::-1]
    for place, e in zip(places, ensembles, strict=True):
        look = style[e["ensemble"]]
        row = shear.get(e["ensemble"])
        if row is not None:
            _interval(left, place, row["mean"], row["standard_error"], look)
            _paper_bar(left, place, "shear_modulus", e)
        if e["debye_frequency"] is not None:
            _interval(right, place, e["debye_frequency"], e["debye_frequency_error"], look)
            _paper_bar(right, place, "debye_frequency", e)
    names = [f"{e['dimension']}D, {style[e['ensemble']].label}" for e in ensembles]
    for ax in (left, right):
        ax.set_ylim(-0.6, len(ensembles) - 0.4)
        ax.tick_params(axis="y", which="minor", left=False, right=False)
        ax.set_yticks(places, names if ax is left else [""] * len(names))
    left.set_xlabel(r"shear modulus $G$  [$\epsilon/\lambda^d$]")
    right.set_xlabel(r"Debye frequency $\omega_D$  [$\sqrt{\epsilon/m}/\lambda$]")
    return figure


def _interval(ax: Axes, place: float, value: float, error: float | None, look: Look) -> None:
    points = {**look.points, "label": None}
    ax.errorbar([value], [place], xerr=None if error is None else [error], zorder=3, **points)


def _paper_bar(ax: Axes, place: float, quantity: str, ensemble: dict[str, Any]) -> None:
    """Draw the thesis' value with its tolerance, hatched if made by another protocol."""
    for paper in PAPER_VALUES:
        if (paper.quantity, paper.model) != (quantity, ensemble["model"]):
            continue
        same = paper.protocol == ensemble["protocol"]
        ax.barh(
            place,
            2 * paper.tolerance,
            left=paper.value - paper.tolerance,
            height=0.62,
            facecolor="#cccccc" if same else "none",
            edgecolor="#999999",
            hatch=None if same else "////",
            linewidth=0.6,
            zorder=1,
        )


def draw_disorder_parameter(results: Path) -> Figure:
    """``gamma(N)`` against ``N``, one series per group of ensembles."""
    rows = sorted(read_table(results, "shear_modulus"), key=lambda r: r["particles"])
    ensembles = {e["ensemble"]: e for e in read_table(results, "ensembles")}
    figure, (ax,) = panels(1)
    figure.set_size_inches(4.2, 3.3)
    ax.set(xscale="log", xlabel="particles $N$")
    ax.set_ylabel(r"$\gamma(N)=N(\Delta\mu/\langle\mu\rangle)^2$")
    groups: dict[str, list[dict[str, Any]]] = {}
    for r in rows:
        groups.setdefault(r["group"], []).append(r)
    firsts = [ensembles[g[0]["ensemble"]] for g in groups.values()]
    order = sorted(
        range(len(firsts)), key=lambda k: (firsts[k]["dimension"], firsts[k]["protocol"])
    )
    members = list(groups.values())
    for m, k in enumerate(order):
        series, first = members[k], firsts[k]
        slow = first["cooling_rate"] is not None
        value, bars = error_bars(series, "disorder_parameter")
        ax.errorbar(
            column(series, "particles"),
            value,
            bars,
            color=COLOURS[m % len(COLOURS)],
            marker=MARKERS[m % len(MARKERS)],
            markerfacecolor="white" if slow else COLOURS[m % len(COLOURS)],
            linestyle="-" if len(series) > 1 else "none",
            label=f"{first['dimension']}D" + (", slowly cooled" if slow else ", quench"),
        )
    if rows:
        ax.set_ylim(bottom=0)
        ax.legend(loc="best")
    else:
        say_empty(ax, "no moduli")
    return figure


def draw_dipole_stiffness(results: Path) -> Figure:
    """Distribution of the dipole stiffness per dimension."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "dipole_stiffness_distribution"))
    means = {r["ensemble"]: r["mean"] for r in read_table(results, "dipole_stiffness")}
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        ax.set(xscale="log", yscale="log", ylabel=r"$P(\kappa)$")
        ax.set_xlabel(r"dipole stiffness $\kappa$  [$\epsilon/\lambda^2$]")
        drawn = False
        for e in (e for e in ensembles if e["dimension"] == d):
            rows = [r for r in data[e["ensemble"]] if r["dipoles"] > 0]
            if not rows:
                continue
            drawn = True
            look = style[e["ensemble"]]
            value, bars = error_bars(rows, "probability_density")
            ax.errorbar(column(rows, "stiffness"), value, bars, **look.points)
            ax.axvline(means[e["ensemble"]], color=look.colour, ls=":", lw=1.0)
        if drawn:
            ax.legend(loc="lower center")
        else:
            say_empty(ax, "no dipole responses")
    return figure
