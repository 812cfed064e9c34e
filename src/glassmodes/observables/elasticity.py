r"""Elastic moduli of one sample: shear by direction, bulk modulus and elastic tensor.

The affine part comes from the pair tensors, the non-affine part from the displacements
u_ab = H⁺ Ξ_ab of the unweighted Hessian, so that masses never enter.  Definitions are in
`mechanics.born`, `mechanics.non_affine` and `mechanics.elastic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glassmodes.mechanics.born import direction_index
from glassmodes.mechanics.elastic import ElasticModuli, moduli_from, off_diagonal_mean
from glassmodes.mechanics.forces import energy, max_force, typical_contact_force
from glassmodes.mechanics.interactions import PairInteractions
from glassmodes.mechanics.non_affine import non_affine_block
from glassmodes.observables.debye import debye_frequency

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

_DIRECTIONAL = ("shear_modulus", "born_shear_modulus", "non_affine_force_squared_mean")


@dataclass(frozen=True)
class ModuliResult:
    """Moduli of one sample with the evidence for them, in the units of the model.

    Attributes
    ----------
    energy_per_particle, pressure : float
    elastic : ElasticModuli
        Stress, affine and relaxed tensors.
    squared_mean_by_direction : (d, d)
        <|Ξ|²> = (1/N) Σ_i |Ξ_i|² for each ordered direction, diagonal NaN.
    mass_density, number_density : float
    max_force, typical_contact_force : float
    residual : float
        Largest ||H u - Ξ|| / ||Ξ|| over the directions, verified after the solve.
    rattlers : int
        Particles without contacts that bear a load.
    """

    energy_per_particle: float
    pressure: float
    elastic: ElasticModuli
    squared_mean_by_direction: np.ndarray
    mass_density: float
    number_density: float
    max_force: float
    typical_contact_force: float
    residual: float
    rattlers: int

    @property
    def by_direction(self) -> dict[str, np.ndarray]:
        """Shear and Born modulus and <|Ξ|²> for each ordered direction, (d, d) each."""
        values = (self.elastic.shear, self.elastic.born_shear, self.squared_mean_by_direction)
        return dict(zip(_DIRECTIONAL, values, strict=True))

    @property
    def debye_frequency(self) -> float:
        """ω_D from the measured moduli; NaN if the shear modulus is not positive."""
        return debye_frequency(
            off_diagonal_mean(self.elastic.shear),
            self.elastic.bulk,
            self.number_density,
            self.mass_density,
            len(self.elastic.stress),
        )

    def to_record(self) -> dict[str, float | np.ndarray]:
        """Return scalars and arrays under the names of the result files."""
        record: dict[str, float | np.ndarray] = {
            "energy_per_particle": self.energy_per_particle,
            "pressure": self.pressure,
        }
        for name, values in self.by_direction.items():
            record[name] = off_diagonal_mean(values)
            record[f"{name}_by_direction"] = values
        record |= {
            "bulk_modulus": self.elastic.bulk,
            "elastic_tensor": self.elastic.elastic_tensor,
            "max_force": self.max_force,
            "typical_contact_force": self.typical_contact_force,
            "debye_frequency": self.debye_frequency,
            "mass_density": self.mass_density,
            "residual": self.residual,
            "rattlers": self.rattlers,
        }
        return record

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain numbers and lists, with null for what does not exist."""
        record = self.to_record()
        by_direction = {name: record.pop(f"{name}_by_direction") for name in _DIRECTIONAL}
        answer: dict[str, Any] = {name: _plain(value) for name, value in record.items()}
        answer["rattlers"] = self.rattlers
        answer["by_direction"] = {name: _plain(value) for name, value in by_direction.items()}
        return answer


def measure_moduli(system: HarmonicSystem) -> ModuliResult:
    """Measure all moduli of a sample at a minimum.

    Collective.  One block of d (d + 1)/2 right-hand sides, because Ξ_ab = Ξ_ba without net
    forces.

    Parameters
    ----------
    system
        Sample with its interactions and solver.

    Raises
    ------
    SampleError
        If the sample is not at a minimum.
    """
    system.require_minimum()
    inter = system.interactions
    xi = non_affine_block(inter)
    response = system.solve(xi)
    elastic = moduli_from(inter, xi, response)
    return ModuliResult(
        energy_per_particle=energy(inter) / inter.n,
        pressure=elastic.pressure,
        elastic=elastic,
        squared_mean_by_direction=_squared_mean(inter, xi),
        mass_density=float(inter.reduce(system.masses.sum()) / inter.volume),
        number_density=inter.n / inter.volume,
        max_force=max_force(inter),
        typical_contact_force=typical_contact_force(inter),
        residual=float(relative_residuals(inter, system.product(response), xi).max()),
        rattlers=system.rattler_count,
    )


def moduli(system: HarmonicSystem) -> dict[str, Any]:
    """Measure all moduli and return them as plain numbers and lists; see `measure_moduli`.

    Keys: ``energy_per_particle``, ``pressure``, ``born_shear_modulus``, ``shear_modulus``,
    ``non_affine_force_squared_mean`` (means over all ordered pairs of directions),
    ``by_direction`` (a d x d list of lists of each, diagonal null), ``bulk_modulus``,
    ``elastic_tensor``, ``debye_frequency`` (null without a positive shear modulus),
    ``mass_density``, ``max_force``, ``typical_contact_force``, ``residual``, ``rattlers``.
    """
    return measure_moduli(system).to_json()


def relative_residuals(
    inter: PairInteractions, product: np.ndarray, load: np.ndarray
) -> np.ndarray:
    """Return ||H u - f|| / ||f|| of each column; 0 where f is round-off against the others.

    A perfect lattice has no non-affine force in most directions: the norm is then taken
    relative to the bond forces that cancelled.

    product : (d owned, k), H u; load : (d owned, k), f.  Collective.
    """
    cancelled = inter.total((inter.derivatives[2] * inter.distance) ** 2)
    squares = inter.reduce([np.square(x).sum(axis=0) for x in (load, product - load)])
    size = np.maximum(np.sqrt(squares[0]), 1e-12 * np.sqrt(cancelled))
    return np.sqrt(squares[1]) / np.where(size > 0, size, 1.0)


def _squared_mean(inter: PairInteractions, xi: np.ndarray) -> np.ndarray:
    values = (inter.reduce(np.square(xi).sum(axis=0)) / inter.n)[direction_index(inter.d)]
    np.fill_diagonal(values, np.nan)
    return values


def _plain(value: float | np.ndarray) -> Any:
    """Return nested lists or a float, None for NaN."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    return None if np.isnan(value) else float(value)
