"""Vibrational modes of a sample: frequencies, participation, residuals and a certificate."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from glassmodes.errors import InputError
from glassmodes.files import SpreadColumns
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.participation import distributed_participation_ratio
from glassmodes.spectra.eigenmodes import Eigenmodes, lowest_modes
from glassmodes.spectra.operators import BlockOperator


@dataclass
class VibrationalModes:
    """The lowest vibrational modes of one sample, ascending, null space left out.

    frequencies : (K,) omega = sqrt(eigenvalue) of the mass-weighted Hessian, angular.
    participation_ratios : (K,) e; N e particles take part.
    residuals : (K,) ||D v - x v|| / x.
    zero_modes : all null vectors, translations included.
    certified : the inertia confirms that no mode below `complete_below` is missing.
    certificate : {"inertia", "second start", "none"}, what says so.
    modes_counted, modes_counted_error : modes below `complete_below` by that count, zero modes
        left out, and its standard error; None without a certificate.
    complete_below : frequency up to which the list is complete.
    rattlers : particles without contacts that bear a load; d of the zero modes each.
    solver : method, parameters, products, times and memory.
    """

    frequencies: np.ndarray
    participation_ratios: np.ndarray
    residuals: np.ndarray
    zero_modes: int
    certified: bool
    complete_below: float
    certificate: str = "none"
    modes_counted: float | None = None
    modes_counted_error: float | None = None
    solver: dict = field(default_factory=dict)
    rattlers: int = 0
    _system: HarmonicSystem | None = None
    _local: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        found: Eigenmodes,
        participation_ratios: np.ndarray,
        system: HarmonicSystem | None = None,
    ) -> VibrationalModes:
        """Return eigenpairs whose eigenvalues are squared frequencies as modes."""
        return cls(
            frequencies=np.sqrt(found.values),
            participation_ratios=participation_ratios,
            residuals=found.residuals,
            zero_modes=found.zero_modes,
            certified=found.certified,
            certificate=found.certificate,
            modes_counted=found.counted,
            modes_counted_error=found.counted_error,
            complete_below=float(np.sqrt(max(found.complete_below, 0.0))),
            solver=found.solver,
            rattlers=0 if system is None else system.rattler_count,
            _system=system,
            _local=found.vectors,
        )

    def vectors(self) -> np.ndarray:
        """Return the eigenvectors of the mass-weighted Hessian, (K, N, d), in sample order.

        On every rank; collective.
        """
        full = self._system.gather(self._local)
        return np.ascontiguousarray(full.T).reshape(-1, self._system.n, self._system.d)

    def spread_vectors(self) -> SpreadColumns:
        """Return the same vectors spread over the ranks, each its piece of the particles."""
        assert self._system is not None and self._local is not None
        return spread_vectors(self._system, self._local)

    def to_record(self) -> dict:
        """Return the columns of the batch result file."""
        return {
            "frequency": self.frequencies,
            "participation_ratio": self.participation_ratios,
            "residual": self.residuals,
            "zero_modes": self.zero_modes,
            "rattlers": self.rattlers,
            "certified": self.certified,
            "certificate": self.certificate,
            "modes_counted": np.nan if self.modes_counted is None else self.modes_counted,
            "modes_counted_error": (
                np.nan if self.modes_counted_error is None else self.modes_counted_error
            ),
            "complete_below": self.complete_below,
            "products": self.solver["products"],
            "seconds_solve": self.solver["solve_seconds"],
            "seconds_certificate": self.solver["certificate_seconds"],
        }

    def to_json(self) -> dict:
        """Return the answer of the command line."""
        return {
            "frequencies": self.frequencies.tolist(),
            "participation_ratios": self.participation_ratios.tolist(),
            "residuals": self.residuals.tolist(),
            "zero_modes": self.zero_modes,
            "rattlers": self.rattlers,
            "certified": self.certified,
            "certificate": self.certificate,
            "modes_counted": self.modes_counted,
            "modes_counted_error": self.modes_counted_error,
            "complete_below": self.complete_below,
            "solver": self.solver,
        }


def spread_vectors(system: HarmonicSystem, local: np.ndarray) -> SpreadColumns:
    """Return columns of operator rows, (n_local, K), as vectors (K, N, d) in file order."""
    domain = system.domain

    def part(first: int, last: int) -> np.ndarray:
        columns = local[:, first:last].reshape(-1, domain.dimension, last - first)
        return domain.to_file_order(columns.swapaxes(1, 2))

    return SpreadColumns((local.shape[1], domain.particles, domain.dimension), part)


def vibrational_modes(
    system: HarmonicSystem,
    count: int | None = None,
    below: float | None = None,
    certificate: str | bool = "auto",
    method: str = "filtered",
    seed: int = 0,
) -> VibrationalModes:
    """Find the lowest `count` modes, or all with frequencies below `below`.

    Parameters
    ----------
    system
        Sample at a minimum.
    count, below
        Exactly one of the two; `below` is an angular frequency.
    certificate : {"auto", "inertia", "count", "none"} or bool
        How completeness is confirmed (see `spectra.completeness`).
    method : {"filtered", "slepc", "dense"}
        Eigensolver.
    seed
        Of the start vectors.

    Raises
    ------
    SampleError
        ``"not_at_minimum"`` or ``"saddle"``.
    InputError
        If more modes are asked for than exist.

    Notes
    -----
    Collective.
    """
    system.require_minimum()
    modes = operator_modes(system.operator, count, below, certificate, method, seed)
    if np.any(modes.values < 0):
        system.refuse_saddle(None if modes.certified else int(np.sum(modes.values < 0)))
    if modes.zero_vectors.shape[1]:
        system.add_null_vectors(modes.zero_vectors)
    participation = distributed_participation_ratio(system.comm, modes.vectors, system.d)
    return VibrationalModes.of(modes, participation, system)


def operator_modes(
    operator: BlockOperator,
    count: int | None = None,
    below: float | None = None,
    certificate: str | bool = "auto",
    method: str = "filtered",
    seed: int = 0,
) -> Eigenmodes:
    """Find the lowest modes of any operator whose eigenvalues are squared frequencies."""
    if below is not None and not (np.isfinite(below) and below > 0):
        raise InputError(f"the upper frequency must be positive, found {below}")
    clock = time.perf_counter()
    modes = lowest_modes(
        operator,
        count=count,
        below=None if below is None else below**2,
        certificate=certificate,
        method=method,
        seed=seed,
    )
    modes.solver["wall_seconds"] = time.perf_counter() - clock
    return modes
