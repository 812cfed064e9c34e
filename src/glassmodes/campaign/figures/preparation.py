"""Figure of the preparation: what the glasses are like before anything is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glassmodes.campaign.config import NETWORK_MODEL
from glassmodes.campaign.figures.series import by_protocol, rows_by_ensemble
from glassmodes.campaign.figures.style import GUIDE, letter, looks, panels, say_empty
from glassmodes.campaign.table_files import column, read_table

FORCE_BOUND = 1e-10
"""Largest net force component over the typical contact force that preparation accepts."""

_PANELS = (
    ("equilibration_drift", "drift of the liquid's energy\n[standard errors]", "plain"),
    ("energy_per_particle", "energy per particle,\ndeviation from its mean [%]", "deviation"),
    ("pressure", "pressure,\ndeviation from its mean [%]", "deviation"),
    ("force_ratio", "largest net force /\ntypical contact force", "logarithmic"),
)


def draw_preparation(results: Path) -> Figure:
    """Equilibration, energy, pressure and residual force of all accepted samples."""
    every = by_protocol(read_table(results, "ensembles"))
    ensembles = [e for e in every if e["model"] != NETWORK_MODEL]
    samples = rows_by_ensemble(read_table(results, "samples"))
    style = looks(ensembles)
    figure, axes = panels(len(_PANELS), sharey=True)
    figure.set_size_inches(11.5, 1.2 + 0.45 * max(len(ensembles), 3))
    places = np.arange(len(ensembles))[::-1]
    rng = np.random.default_rng(0)
    for k, (ax, (name, label, kind)) in enumerate(zip(axes, _PANELS, strict=True)):
        ax.set_xlabel(label)
        ax.set_title(letter(k), loc="left", fontweight="bold")
        for place, e in zip(places, ensembles, strict=True):
            rows = [r for r in samples[e["ensemble"]] if r["status"] == "ok"]
            values = column(rows, name)
            values = values[np.isfinite(values) & ((values > 0) | (kind != "logarithmic"))]
            if values.size:
                colour = style[e["ensemble"]].colour
                _strip(ax, place, values, kind, colour, rng)
        if not ax.lines:
            say_empty(ax, "not recorded")
        elif kind == "logarithmic":
            ax.set_xscale("log")
            ax.axvline(FORCE_BOUND, color=GUIDE, ls="--", lw=1.0)
        ax.tick_params(axis="y", which="minor", left=False, right=False)
    axes[0].set_ylim(-0.6, len(ensembles) - 0.3)
    axes[0].set_yticks(places, [style[e["ensemble"]].name for e in ensembles])
    return figure


def _strip(
    ax: Axes,
    place: float,
    values: NDArray[np.float64],
    kind: str,
    colour: str,
    rng: np.random.Generator,
) -> None:
    """Draw one dot per sample with the median; a deviation carries its mean as a number."""
    options: dict[str, Any] = {"color": colour, "ms": 3.2, "alpha": 0.5, "mew": 0}
    if kind == "deviation":
        mean = values.mean()
        values = 100.0 * (values - mean) / (abs(mean) or 1.0)
        ax.annotate(
            f"{mean:.4g}",
            (0.985, place + 0.3),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=7.5,
        )
    ax.plot(values, place + rng.uniform(-0.2, 0.2, values.size), ".", **options)
    middle = np.median(values)
    ax.plot([middle, middle], [place - 0.32, place + 0.32], color="black", lw=1.2)
