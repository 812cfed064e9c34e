"""Vibrational modes of a sample in a window of frequencies, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.files import SpreadColumns
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.modes import spread_vectors
from glassmodes.observables.participation import distributed_participation_ratio
from glassmodes.observables.stability import require_stable
from glassmodes.spectra.completeness import NONE
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.windows import WindowModes, modes_in_window


@dataclass
class VibrationalWindow:
    """The vibrational modes in a window of frequencies, or in one slice of it, ascending.

    frequencies : (K,) omega = sqrt(eigenvalue) of the mass-weighted Hessian, angular.
    participation_ratios : (K,) e; N e particles take part.
    residuals : (K,) ||D v - x v|| / x.
    slices : (K,) slice of each mode, from 0.
    complete_between : both ends of what was searched, moved off modes that they touched; None
        without a certificate, when nothing says that the list is complete.
    cuts : (s + 1,) ends of the slices.
    expected, expected_error : number of modes by the kernel polynomial density of states, with
        the standard error over its random vectors.
    counted : number of modes by the inertia at both ends; None if it was not counted.
    certificate : {"inertia", "second start", "none"}, what says that none is missing.
    certified : the inertia does.
    solver : method of every slice, products, times and memory.
    """

    frequencies: np.ndarray
    participation_ratios: np.ndarray
    residuals: np.ndarray
    slices: np.ndarray
    complete_between: tuple[float, float] | None
    cuts: np.ndarray
    expected: float
    expected_error: float
    counted: int | None
    certificate: str
    certified: bool
    solver: dict[str, Any] = field(default_factory=dict)
    _system: HarmonicSystem | None = None
    _local: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        found: WindowModes,
        participation_ratios: np.ndarray,
        system: HarmonicSystem | None = None,
    ) -> VibrationalWindow:
        """Return eigenpairs whose eigenvalues are squared frequencies as modes."""
        return cls(
            frequencies=np.sqrt(found.values),
            participation_ratios=participation_ratios,
            residuals=found.residuals,
            slices=found.slices,
            complete_between=None
            if found.certificate == NONE
            else (float(np.sqrt(found.low)), float(np.sqrt(found.high))),
            cuts=np.sqrt(found.cuts),
            expected=found.expected,
            expected_error=found.expected_error,
            counted=found.counted,
            certificate=found.certificate,
            certified=found.certified,
            solver=found.solver,
            _system=system,
            _local=found.vectors,
        )

    def spread_vectors(self) -> SpreadColumns:
        """Return the eigenvectors, (K, N, d), spread over the ranks."""
        assert self._system is not None and self._local is not None
        return spread_vectors(self._system, self._local)

    def to_record(self) -> dict[str, Any]:
        """Return the columns of the batch result file."""
        return {
            "frequency": self.frequencies,
            "participation_ratio": self.participation_ratios,
            "residual": self.residuals,
            "complete_above": float(self.cuts[0]),
            "complete_below": float(self.cuts[-1]),
            "modes_expected": self.expected,
            "modes_expected_error": self.expected_error,
            "modes_counted": -1 if self.counted is None else self.counted,
            "certificate": self.certificate,
            "certified": self.certified,
            "products": self.solver["products"],
            "seconds_solve": self.solver["solve_seconds"],
            "seconds_certificate": self.solver["certificate_seconds"],
        }

    def to_json(self) -> dict[str, Any]:
        """Return the answer of the command line."""
        return {
            "frequencies": self.frequencies.tolist(),
            "participation_ratios": self.participation_ratios.tolist(),
            "residuals": self.residuals.tolist(),
            "slices": self.slices.tolist(),
            "cuts": self.cuts.tolist(),
            "complete_between": self.complete_between and list(self.complete_between),
            "modes_expected": self.expected,
            "modes_expected_error": self.expected_error,
            "modes_counted": self.counted,
            "certificate": self.certificate,
            "certified": self.certified,
            "solver": self.solver,
        }


def vibrational_window(
    system: HarmonicSystem,
    low: float,
    high: float,
    slices: int | None = None,
    only: int | None = None,
    method: str = "auto",
    certificate: str = "auto",
    seed: int = 0,
) -> VibrationalWindow:
    """Find all modes with frequencies between `low` and `high`, or those of one slice.

    Parameters
    ----------
    system
        Sample at a minimum.
    low, high
        Angular frequencies, 0 <= low < high; zero modes are left out of a window that begins
        at 0.
    slices, only
        Number of slices, and the one to search, from 0 (see `spectra.windows`).
    method, certificate
        See `spectra.windows.modes_in_window`.
    seed
        Of the start vectors.

    Raises
    ------
    SampleError
        ``"not_at_minimum"`` or ``"saddle"``.
    InputError
        If the request makes no sense.

    Notes
    -----
    Collective.
    """
    require_stable(system)
    found = operator_window(system.operator, low, high, slices, only, method, certificate, seed)
    participation = distributed_participation_ratio(system.comm, found.vectors, system.d)
    return VibrationalWindow.of(found, participation, system)


def operator_window(
    operator: BlockOperator,
    low: float,
    high: float,
    slices: int | None = None,
    only: int | None = None,
    method: str = "auto",
    certificate: str = "auto",
    seed: int = 0,
) -> WindowModes:
    """Find the modes in a window of any operator whose eigenvalues are squared frequencies."""
    if not (np.isfinite(low) and np.isfinite(high) and 0 <= low < high):
        raise InputError(f"a window of frequencies needs 0 <= low < high, found {low} and {high}")
    return modes_in_window(
        operator, low**2, high**2, slices=slices, only=only, method=method,
        certificate=certificate, seed=seed,
    )  # fmt: skip
