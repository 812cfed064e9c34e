r"""Pair potentials: phi_ij(r) = eps_ij f(r / l_ij), cut at r = x_c l_ij.

A potential of one's own is one class with one method, `PairPotential.radial`,
that returns the reduced function f and its derivatives; lengths, energies,
cutoffs, polydispersity and storage come with the base class.

Symbols: S species, P pairs, x = r / l the reduced distance, x_c the reduced
cutoff, eps the energy and l the length of a pair.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from glassmodes.errors import InputError
from glassmodes.models.model import Model

if TYPE_CHECKING:
    from glassmodes.sample import Sample

MAX_ORDER = 4


class PairPotential(Model):
    """Base class of pair potentials.

    Parameters
    ----------
    lengths : float or (S, S) array, optional
        Length l of each pair of species.  None if lengths follow from diameters.
    energies : float or (S, S) array
        Energy eps of each pair of species.
    cutoffs : float or (S, S) array
        Reduced cutoff x_c of each pair of species: no interaction at r >= x_c l.
    non_additivity : float, optional
        Gives the length of a pair by its diameters instead of `lengths`,
        l_ij = (D_i + D_j)/2 (1 - non_additivity |D_i - D_j|).  An inverse length:
        its value belongs to the unit in which diameters are measured.

    Attributes
    ----------
    contact : bool
        Whether all pairs only repel, with a force that vanishes at the cutoff: particles with
        d contacts or fewer then bear no load (`mechanics.rattlers`).  False unless a subclass
        says so.

    Notes
    -----
    The number of species is the size of the largest matrix; scalars stand for
    all pairs.  A subclass keeps each of its constructor arguments as an
    attribute of the same name.
    """

    kind: ClassVar[str] = "pair"
    contact: bool = False

    def __init__(
        self,
        *,
        lengths: Any = None,
        energies: Any = 1.0,
        cutoffs: Any,
        non_additivity: float | None = None,
    ) -> None:
        if (lengths is None) == (non_additivity is None):
            raise InputError("give a pair potential either lengths or non_additivity")
        given = {"lengths": lengths, "energies": energies, "cutoffs": cutoffs}
        matrices = {k: _matrix(k, v) for k, v in given.items() if v is not None}
        self.n_species: int = max(len(m) for m in matrices.values())
        for name, matrix in matrices.items():
            if len(matrix) not in (1, self.n_species):
                raise InputError(
                    f"{name} is for {len(matrix)} species, another constant for {self.n_species}"
                )
            matrices[name] = np.broadcast_to(matrix, (self.n_species,) * 2).copy()
        self.lengths: np.ndarray | None = matrices.get("lengths")
        self.energies: np.ndarray = matrices["energies"]
        self.cutoffs: np.ndarray = matrices["cutoffs"]
        self.non_additivity: float | None = None
        if non_additivity is not None:
            self.non_additivity = number("non_additivity", non_additivity)
            if not self.non_additivity >= 0:
                raise InputError(f"non_additivity is {non_additivity}; expected a value >= 0")
        for name, matrix in matrices.items():
            if name != "energies" and not np.all(matrix > 0):
                raise InputError(f"{name} must be positive, found {matrix.min():g}")

    @abstractmethod
    def radial(self, x: np.ndarray, cutoff: np.ndarray, order: int) -> np.ndarray:
        """Return f(x) and its derivatives with respect to x.

        Parameters
        ----------
        x : (P,) float
            Reduced distances, all positive and below the cutoff.
        cutoff : (P,) float
            Reduced cutoff x_c of each pair.
        order : int
            Highest derivative wanted, 0 to 4.

        Returns
        -------
        (order + 1, P) float
        """

    @property
    def forms(self) -> np.ndarray:
        """Label of the reduced function of each pair of species, (S, S) int.

        Pairs of species with the same label share f and x_c and differ only in
        length and energy, so that one table serves them all.
        """
        _, labels = np.unique(self.cutoffs, return_inverse=True)
        return labels.reshape(self.cutoffs.shape)

    def reduced(self, species_i: int, species_j: int, x: np.ndarray, order: int = 2) -> np.ndarray:
        """Return f and its derivatives for one pair of species, 0 from the cutoff on.

        Parameters
        ----------
        x : (P,) float
            Reduced distances, any positive numbers.

        Returns
        -------
        (order + 1, P) float
        """
        x = np.asarray(x, dtype=np.float64)
        labels = np.full(len(x), species_i), np.full(len(x), species_j)
        return self._reduced(x, *labels, order)

    def pair_parameters(
        self,
        species_i: np.ndarray,
        species_j: np.ndarray,
        diameter_i: np.ndarray | None = None,
        diameter_j: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return length, energy and reduced cutoff x_c of each pair, three (P,) arrays."""
        if self.lengths is not None:
            length = self.lengths[species_i, species_j]
        elif diameter_i is None or diameter_j is None:
            raise InputError(f"{self._label()} takes its lengths from diameters; none are given")
        else:
            length = 0.5 * (diameter_i + diameter_j)
            length = length * (1 - self.non_additivity * np.abs(diameter_i - diameter_j))
        return length, self.energies[species_i, species_j], self.cutoffs[species_i, species_j]

    def derivatives(
        self,
        distance: np.ndarray,
        species_i: np.ndarray,
        species_j: np.ndarray,
        diameter_i: np.ndarray | None = None,
        diameter_j: np.ndarray | None = None,
        order: int = 2,
    ) -> np.ndarray:
        """Return phi(r) and its derivatives with respect to r in the units of the model.

        Parameters
        ----------
        distance : (P,) float
            Positive distances.
        species_i, species_j : (P,) int
        diameter_i, diameter_j : (P,) float
            Needed by potentials with `non_additivity`.
        order : int
            Highest derivative, 0 to 4.

        Returns
        -------
        (order + 1, P) float
            Zero at and beyond the cutoff.  Cost: linear in P.
        """
        if not 0 <= order <= MAX_ORDER:
            raise InputError(f"derivatives go up to order {MAX_ORDER}, not {order}")
        distance = np.asarray(distance, dtype=np.float64)
        length, energy, _ = self.pair_parameters(species_i, species_j, diameter_i, diameter_j)
        values = self._reduced(distance / length, species_i, species_j, order)
        values *= energy
        for k in range(1, order + 1):
            values[k] /= length**k
        return values

    def require_finite(self) -> None:
        """Raise `InputError` if energies, forces or stiffnesses inside a cutoff are not finite."""
        i, j = np.triu_indices(self.n_species)
        length = 1.0 if self.lengths is None else self.lengths[i, j]
        for fraction in (0.8, 0.99):
            with np.errstate(all="ignore"):
                values = self._reduced(fraction * self.cutoffs[i, j], i, j, 2)
                values = values * self.energies[i, j] / length ** np.arange(3)[:, None]
            if not np.all(np.isfinite(values)):
                raise InputError(
                    f"energies or forces of {self._label()} are not finite at {fraction:g} of the "
                    "cutoff; check the exponents and the units of its constants"
                )

    def interaction_range(self, sample: Sample) -> float:
        """Return the largest cutoff distance between two particles of the sample.

        With diameters it is the cutoff of two particles of the largest diameter,
        which no other pair exceeds.
        """
        self.check(sample)
        present = np.unique(sample.species)
        cutoffs = self.cutoffs[np.ix_(present, present)]
        if self.lengths is not None:
            return float((cutoffs * self.lengths[np.ix_(present, present)]).max())
        return float(cutoffs.max() * sample.diameters.max())

    def check(self, sample: Sample) -> None:
        """Raise `InputError` unless every species is known and diameters are there if needed."""
        top = int(sample.species.max())
        if top >= self.n_species:
            raise InputError(
                f"the sample has the species {top} but {self._label()} knows "
                f"{_species_text(self.n_species)}; choose another model or map the types"
            )
        if self.lengths is not None:
            return
        if sample.diameters is None:
            raise InputError(f"{self._label()} needs diameters and the sample has none")
        spread = float(np.ptp(sample.diameters))
        if self.non_additivity * spread >= 1:
            raise InputError(
                f"diameters differ by up to {spread:g}: with non_additivity "
                f"{self.non_additivity:g} lengths would vanish; check the unit of length"
            )

    def _reduced(self, x, species_i, species_j, order) -> np.ndarray:
        cutoff = self.cutoffs[species_i, species_j]
        values = np.zeros((order + 1, len(x)))
        inside = x < cutoff
        if inside.any():
            values[:, inside] = self._radial_of_species(
                x[inside],
                cutoff[inside],
                np.asarray(species_i)[inside],
                np.asarray(species_j)[inside],
                order,
            )
        return values

    def _radial_of_species(self, x, cutoff, species_i, species_j, order) -> np.ndarray:
        """Return `radial`; overridden where the function itself depends on the species."""
        return self.radial(x, cutoff, order)

    def _label(self) -> str:
        return f"the model {self.name or type(self).__name__}"


def power(x: np.ndarray, exponent: float, order: int) -> np.ndarray:
    """Return x^exponent and its derivatives up to `order`, shape (order + 1, P)."""
    values = np.empty((order + 1, len(x)))
    factor = 1.0
    for k in range(order + 1):
        values[k] = factor * x ** (exponent - k) if factor else 0.0
        factor *= exponent - k
    return values


def number(name: str, value: Any) -> float:
    """Return `value` as a finite float; `InputError` names the constant otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise InputError(f"the constant {name} is {value!r}; expected a number")
    if not np.isfinite(value):
        raise InputError(f"the constant {name} is {value}; expected a finite number")
    return float(value)


def whole_number(name: str, value: Any, least: int) -> int:
    """Return `value` as an integer >= `least`; `InputError` names the constant otherwise."""
    result = number(name, value)
    if result != int(result) or result < least:
        raise InputError(f"the constant {name} is {value!r}; expected a whole number >= {least}")
    return int(result)


def _matrix(name: str, value: Any) -> np.ndarray:
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"the constant {name} is neither a number nor a square matrix of numbers"
        ) from None
    if matrix.ndim == 0:
        matrix = matrix.reshape(1, 1)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise InputError(
            f"the constant {name} has shape {matrix.shape}; expected a number or a square matrix"
        )
    if not np.all(np.isfinite(matrix)):
        raise InputError(f"the constant {name} holds NaN or infinite values")
    if not np.array_equal(matrix, matrix.T):
        raise InputError(f"the constant {name} is not symmetric; l_ij and l_ji are the same pair")
    return matrix


def _species_text(count: int) -> str:
    return "only the species 0" if count == 1 else f"the species 0 to {count - 1}"
