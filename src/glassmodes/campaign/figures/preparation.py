"""Figure of the preparation: what the glasses are like before anything is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from glassmodes.campaign.figures.style import GUIDE, looks, panels, say_empty
from glassmodes.campaign.figures.vibrations import rows_by_ensemble
from glassmodes.campaign.table_files import column, read_table

FORCE_BOUND = 1e-10
"""Largest net force component over the typical contact force that preparation accepts."""

_PANELS = (
    ("energy_per_particle", r"energy per particle  [$\epsilon$]", False),
    ("pressure", r"pressure  [$\epsilon/\lambda^d$]", False),
    ("force_ratio", "largest force / contact force", True),
)


def draw_preparation(results: Path) -> Figure:
    """Energy, pressure and residual force of all accepted samples by ensemble."""
    ensembles = sorted(
        read_table(results, "ensembles"),
        key=lambda e: (e["dimension"], e["protocol"], e["particles"]),
    )
    samples = rows_by_ensemble(read_table(results, "samples"))
    style = looks(ensembles)
    figure, axes = panels(len(_PANELS))
    figure.set_size_inches(10.2, 1.0 + 0.45 * max(len(ensembles), 3))
    rng = np.random.default_rng(0)
    places = np.arange(len(ensembles))[::-1]
    for ax, (name, label, logarithmic) in zip(axes, _PANELS, strict=True):
        ax.set_xlabel(label)
        drawn = False
        for place, e in zip(places, ensembles, strict=True):
            rows = [r for r in samples[e["ensemble"]] if r["status"] == "ok"]
            values = column(rows, name)
            values = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
            if values.size == 0:
                continue
            drawn = True
            look = style[e["ensemble"]]
            height = place + rng.uniform(-0.22, 0.22, values.size)
            ax.plot(values, height, ".", color=look.colour, ms=3, alpha=0.5, mew=0)
            middle = np.median(values)
            ax.plot([middle, middle], [place - 0.36, place + 0.36], color="black", lw=1.2)
        if logarithmic:
            ax.axvline(FORCE_BOUND, color=GUIDE, ls="--", lw=1.0)
            if drawn:
                ax.set_xscale("log")
        if not drawn:
            say_empty(ax, "not recorded")
        ax.set_ylim(-0.6, len(ensembles) - 0.4)
        ax.tick_params(axis="y", which="minor", left=False, right=False)
        names = [f"{e['dimension']}D, {style[e['ensemble']].label}" for e in ensembles]
        ax.set_yticks(places, names if ax is axes[0] else [""] * len(names))
    return figure
