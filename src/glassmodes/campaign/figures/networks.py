"""Figure of the networks: structure and moduli of every ensemble beside closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from glassmodes.campaign.figures.lattices import MODULUS, System
from glassmodes.campaign.figures.style import GUIDE, drawable, letter, panels, say_empty
from glassmodes.campaign.table_files import read_table

_PANELS = (
    ("coordination", "", "bonds per particle $Z$\n(bar: its standard deviation)"),
    ("bond_order", "", "bond order $F_6$"),
    ("zero_mode_fraction", "", "zero modes / $dN$"),
    (
        "non_affine_force_squared_mean",
        "expected_force_squared",
        r"$\langle|\Xi|^2\rangle$  [$k^2R_0^2$]",
    ),
    ("affine_modulus", "expected_affine_modulus", f"affine $G_A$  {MODULUS}"),
    ("static_modulus", "effective_medium_modulus", f"static $G$  {MODULUS}"),
)
"""Quantity, closed form (a vertical stroke), label."""


def draw_networks(results: Path) -> Figure:
    """Coordination, order, zero modes, non-affine force and moduli of every ensemble."""
    networks = read_table(results, "networks")
    figure, axes = panels(len(_PANELS), sharey=True)
    figure.set_size_inches(13.5, 1.2 + 0.32 * max(len(networks), 4))
    places = np.arange(len(networks))[::-1]
    for k, (ax, (name, expected, label)) in enumerate(zip(axes, _PANELS, strict=True)):
        ax.set_xlabel(label)
        ax.set_title(letter(k), loc="left", fontweight="bold")
        ax.tick_params(axis="y", which="minor", left=False, right=False)
        for place, row in zip(places, networks, strict=True):
            if row[name] is None:
                continue
            error = row[f"{name}_error"] or 0.0
            if name == "coordination":
                error = row["coordination_deviation"] or 0.0
            colour = System.of(row).colour
            ax.errorbar([row[name]], [place], xerr=[error], fmt="o", color=colour, zorder=3)
            if expected and row[expected] is not None:
                ax.plot([row[expected]], [place], "|", color=GUIDE, ms=13, mew=1.6, zorder=2)
        if not ax.lines:
            say_empty(ax, "not measured")
        elif name != "coordination":
            ax.margins(x=0.1)
            ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    axes[0].set_ylim(-0.6, len(networks) - 0.4)
    titles = [f"{drawable(r['title']) or r['ensemble']}, $N={r['particles']}$" for r in networks]
    axes[0].set_yticks(places, titles)
    return figure
