"""Whether the curves of different systems fall onto one, and which factor does it.

For D Gamma per mode the sum rules are ``int D Gamma dw = N <|Xi|^2> / n`` and
``G'' -> rho <|Xi|^2> / (nu W)`` at high frequency; the paper divides both by
``<|Xi|^2> / rho``.  Every normalisation is tried on every quantity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.spectral_curves import FAR, Curves, state_label
from glassmodes.campaign.table_files import estimate_cells
from glassmodes.statistics.collapse import collapse_spread

if TYPE_CHECKING:
    from glassmodes.campaign.spectral_fits import Source

NONE = "none"
PAPER_FACTOR = "<|Xi|^2> / rho"
SUM_RULE = "rho <|Xi|^2>"
FORCES = "<|Xi|^2>"
PER_MODE = "N <|Xi|^2> / n"

MINIMUM_POINTS = 4
BAND_PART = 0.8
"""Spectra are compared up to this part of the lowest band edge."""


def collapse_rows(sources: Sequence[Source], options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `collapse`: state point, quantity, normalisation."""
    states: dict[str, dict[str, Source]] = defaultdict(dict)
    for source in sorted(sources, key=lambda s: s.row["particles"]):
        label = state_label(source.row)
        if label:
            states[label][source.row["system"]] = source
    for label, systems in states.items():
        members = list(systems.values())
        if len(members) < 2 or len({s.row["dimension"] for s in members}) > 1:
            continue
        for quantity in _QUANTITIES:
            yield from _quantity_rows(label, quantity, members, options)


_QUANTITIES = {
    "density_times_correlator": ("spectra", "density_times_correlator"),
    "storage_modulus": ("oscillations", "storage_modulus"),
    "loss_modulus": ("oscillations", "loss_modulus"),
    "decay": ("relaxations", "decay"),
}


def _window(quantity: str, members: Sequence[Source]) -> tuple[float, float]:
    """Widest window inside the regimes of all systems."""
    regimes = [s.regimes for s in members]
    if quantity == "density_times_correlator":
        starts = [r.spectrum_start() for r in regimes]
        ends = [BAND_PART * r.edge for r in regimes]
    elif quantity == "decay":
        starts = [1.0 / (FAR * r.rates[1]) for r in regimes]
        ends = [r.times()[1] for r in regimes]
    else:
        starts = [r.slow()[0] for r in regimes]
        ends = [FAR * r.rates[1] for r in regimes]
    return float(np.max(starts)), float(np.min(ends))


def factors(source: Source, quantity: str) -> dict[str, NDArray[np.float64]]:
    """Return the factor of every sample under each normalisation, shape ``(S,)``."""
    scalars = source.scalars_of(getattr(source, _QUANTITIES[quantity][0]))
    forces = scalars["non_affine_force_squared_mean"]
    density = np.full_like(forces, source.row["density"])
    result = {
        NONE: np.ones_like(forces),
        FORCES: forces,
        PAPER_FACTOR: forces / density,
        SUM_RULE: forces * density,
    }
    if quantity == "density_times_correlator":
        result[PER_MODE] = forces * source.row["particles"] / scalars["vibrations"]
    return result


def _quantity_rows(
    label: str, quantity: str, members: Sequence[Source], options: dict[str, Any]
) -> list[dict[str, Any]]:
    table, name = _QUANTITIES[quantity]
    curves: list[Curves | None] = [getattr(s, table) for s in members]
    known = [c for c in curves if c is not None]
    if len(known) < len(members) or any(not np.array_equal(c.grid, known[0].grid) for c in known):
        return []
    low, high = _window(quantity, members)
    inside = (known[0].grid >= low) & (known[0].grid <= high)
    if inside.sum() < MINIMUM_POINTS:
        return []
    rows = []
    for normalisation in factors(members[0], quantity):
        scales = [factors(s, quantity)[normalisation] for s in members]
        spread = collapse_spread([c[name][:, inside] for c in known], scales, **options)
        rows.append(
            {
                "label": label,
                "quantity": quantity,
                "normalisation": normalisation,
                "ensembles": " ".join(s.row["ensemble"] for s in members),
                "systems": len(members),
                "window_low": low,
                "window_high": high,
                **estimate_cells("spread", spread),
            }
        )
    best = np.nanmin([r["spread"] for r in rows]) if rows else np.nan
    return [{**r, "best": r["spread"] == best} for r in rows]
