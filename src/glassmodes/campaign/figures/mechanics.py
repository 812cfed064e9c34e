"""Figures of the elastic response: shear modulus, disorder parameter, dipole stiffness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glassmodes.campaign.figures.series import (
    by_protocol,
    error_bars,
    members,
    rows_by_ensemble,
)
from glassmodes.campaign.figures.style import (
    COLOURS,
    GUIDE,
    MARKERS,
    Look,
    dimension_panels,
    finish_panels,
    label_logarithmic,
    legend_above,
    letter,
    looks,
    panels,
    say_empty,
)
from glassmodes.campaign.paper_values_soft_excitations import PAPER_VALUES
from glassmodes.campaign.table_files import column, read_table


def draw_shear_modulus(results: Path) -> Figure:
    """Distribution of the shear modulus of single directions per dimension."""
    ensembles = read_table(results, "ensembles")
    data = rows_by_ensemble(read_table(results, "shear_modulus_distribution"))
    style = looks(ensembles)
    figure, axes = dimension_panels(ensembles)
    for d, ax in axes.items():
        unit = rf"$\epsilon/\lambda^{d}$"
        ax.set(yscale="log", xlabel=rf"shear modulus $\mu$  [{unit}]")
        ax.set_ylabel(rf"$P(\mu)$  [$\lambda^{d}/\epsilon$]")
        for e, every in members(ensembles, data, d):
            rows = [r for r in every if r["draws"] > 0]
            value, bars = error_bars(rows, "probability_density")
            x = column(rows, "shear_modulus")
            ax.errorbar(x, value, bars, **style[e["ensemble"]].points)
        models = {e["model"] for e, _ in members(ensembles, data, d)}
        if ax.lines:
            for paper in PAPER_VALUES:
                if paper.quantity == "shear_modulus" and paper.model in models:
                    ax.axvline(paper.value, color=GUIDE, ls="--", lw=1.0, label="thesis")
        else:
            say_empty(ax, "no moduli")
    finish_panels(axes)
    return figure


def draw_moduli_by_ensemble(results: Path) -> Figure:
    """Mean shear modulus and Debye frequency of every ensemble beside the thesis' values."""
    ensembles = by_protocol(read_table(results, "ensembles"))
    means = read_table(results, "moduli_means")
    shear = {r["ensemble"]: r for r in means if r["quantity"] == "shear_modulus"}
    style = looks(ensembles)
    figure, (left, right) = panels(2, sharey=True)
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
    left.set_ylim(-0.6, len(ensembles) - 0.4)
    left.set_yticks(places, [style[e["ensemble"]].name for e in ensembles])
    for k, ax in enumerate((left, right)):
        ax.use_sticky_edges = False
        ax.autoscale_view(scaley=False)
        ax.tick_params(axis="y", which="minor", left=False, right=False)
        ax.set_title(letter(k), loc="left", fontweight="bold")
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
    ensembles = by_protocol(read_table(results, "ensembles"))
    rows = {r["ensemble"]: r for r in read_table(results, "shear_modulus")}
    groups: dict[str, list[dict[str, Any]]] = {}
    for e in ensembles:
        if e["ensemble"] in rows:
            groups.setdefault(e["group"], []).append(e)
    figure, (ax,) = panels(1)
    figure.set_size_inches(4.4, 3.9)
    ax.set(xscale="log", xlabel="particles $N$")
    ax.set_ylabel(r"$\gamma(N)=N\,(\Delta\mu/\langle\mu\rangle)^2$")
    for k, series in enumerate(groups.values()):
        first, slow = series[0], series[0]["cooling_rate"] is not None
        values = [rows[e["ensemble"]] for e in series]
        value, bars = error_bars(values, "disorder_parameter")
        colour = COLOURS[k % len(COLOURS)]
        ax.errorbar(
            column(values, "particles"),
            value,
            bars,
            color=colour,
            marker=MARKERS[k % len(MARKERS)],
            markerfacecolor="white" if slow else colour,
            linestyle="-" if len(series) > 1 else "none",
            linewidth=0.9,
            label=f"{first['dimension']}D" + (", slowly cooled" if slow else ", quench"),
        )
    if groups:
        ax.set_ylim(bottom=0)
        ax.margins(x=0.08)
        label_logarithmic(ax.xaxis)
        legend_above(ax, "")
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
        ax.set(xscale="log", yscale="log", ylabel=r"$P(\kappa)$  [$\lambda^2/\epsilon$]")
        ax.set_xlabel(r"dipole stiffness $\kappa$  [$\epsilon/\lambda^2$]")
        for e, every in members(ensembles, data, d):
            rows = [r for r in every if r["dipoles"] > 0]
            look = style[e["ensemble"]]
            value, bars = error_bars(rows, "probability_density")
            ax.errorbar(column(rows, "stiffness"), value, bars, **look.points)
            ax.axvline(means[e["ensemble"]], color=look.colour, ls=":", lw=1.0)
        if not ax.lines:
            say_empty(ax, "no dipole responses")
    finish_panels(axes)
    return figure
