"""Records of spectra and viscoelasticity of one ensemble, gathered for its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.ensemble_source import PREPARE, EnsembleSource
from glassmodes.campaign.record_schema import SCHEMAS
from glassmodes.errors import InputError

STRUCTURE = ("coordination", "coordination_deviation", "bond_order", "largest_cluster")
CURVES: dict[str, dict[str, tuple[str, ...]]] = {
    "spectra": {
        "frequency": ("density", "density_error", "density_times_correlator", "correlator")
    },
    "viscoelasticity": {
        "frequency": ("storage_modulus", "loss_modulus"),
        "time": ("relaxation_modulus", "decay", "overdamped_decay"),
    },
}
"""Curves of every analysis by the grid that they share."""

_SCALARS = {
    name: [c.name for c in SCHEMAS[name] if c.kind in ("number", "integer") and not c.ragged]
    for name in CURVES
}


@dataclass
class SpectralRecords:
    """One analysis of all accepted samples.

    Attributes
    ----------
    index : (S,)
        Indices of the samples.
    scalars : dict of (S,)
    texts : dict of (S,)
    grids : dict of (F,)
        By name, empty without samples.
    curves : dict of (S, F)
        By name.
    """

    index: NDArray[np.int64]
    scalars: dict[str, NDArray[np.float64]]
    texts: dict[str, list[str]]
    grids: dict[str, NDArray[np.float64]]
    curves: dict[str, NDArray[np.float64]]

    @property
    def samples(self) -> int:
        return self.index.size

    def row(self, index: int) -> int | None:
        """Return the row of a sample, None if it was refused."""
        found = np.flatnonzero(self.index == index)
        return int(found[0]) if found.size else None


def read_analysis(source: EnsembleSource, analysis: str) -> SpectralRecords:
    """Gather ``spectra`` or ``viscoelasticity`` of an ensemble.

    Raises
    ------
    InputError
        If the samples do not share their grids.
    """
    index: list[int] = []
    scalars: dict[str, list[float]] = {name: [] for name in _SCALARS[analysis]}
    texts: dict[str, list[str]] = {
        c.name: [] for c in SCHEMAS[analysis] if c.kind == "text" and c.name.endswith("method")
    }
    grids: dict[str, NDArray] = {name: np.empty(0) for name in CURVES[analysis]}
    curves: dict[str, list] = {name: [] for names in CURVES[analysis].values() for name in names}
    for block in source.blocks(analysis):
        for k in np.flatnonzero(block.accepted):
            for grid in grids:
                grids[grid] = _shared(block.ragged(grid)[k], grids[grid], not index, block.path)
            index.append(int(block.array("index")[k]))
            for name, numbers in scalars.items():
                numbers.append(float(block.array(name)[k]))
            for name, words in texts.items():
                words.append(str(block.array(name)[k]))
            for name, arrays in curves.items():
                arrays.append(np.asarray(block.ragged(name)[k], dtype=np.float64))
    return SpectralRecords(
        np.array(index, dtype=np.int64),
        {name: np.array(values, dtype=np.float64) for name, values in scalars.items()},
        texts,
        grids,
        {name: np.array(values) for name, values in curves.items()},
    )


def _shared(grid: NDArray, known: NDArray, first: bool, path: Any) -> NDArray[np.float64]:
    if first:
        return np.asarray(grid, dtype=np.float64)
    if not np.array_equal(grid, known):
        raise InputError(f"{path}: its grid differs from that of the other samples; analyse again")
    return known


def read_structure(source: EnsembleSource) -> dict[int, dict[str, float]]:
    """Return coordination, bond order and densities of every prepared sample by its index."""
    names = (*STRUCTURE, "density", "mass_density", "crystal_order")
    samples = {}
    for block in source.blocks(PREPARE):
        for k in np.flatnonzero(block.accepted):
            values = {name: block.optional(name, k) for name in names}
            samples[int(block.array("index")[k])] = {
                name: np.nan if value is None else float(value) for name, value in values.items()
            }
    return samples
