"""One sample and everything about it that harmonic analyses share: pairs, operator, factor.

Particles are ordered along a Hilbert curve inside the operators, so that ranks own compact
regions and products stay in the cache; vectors that enter and leave are in sample order.
"""

from __future__ import annotations

import logging
import time
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from glassmodes.errors import SampleError, SolverError
from glassmodes.kernels.neighbours import hilbert_order
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import PairInteractions, find_interactions
from glassmodes.models.model import Model
from glassmodes.parallel import agreement
from glassmodes.sample import Sample
from glassmodes.spectra.conjugate_gradient import NegativeCurvatureError, conjugate_gradient
from glassmodes.spectra.factorisations import (
    Factorisation,
    NotPositiveDefiniteError,
    count_below,
    factorise,
)
from glassmodes.spectra.operators import BlockOperator, EdgeOperator

log = logging.getLogger(__name__)

MINIMUM_TOLERANCE = 1e-6
"""max_force / typical contact force above which a sample is refused."""
MINIMUM_WARNING = 1e-9
"""The same, above which a warning is logged."""

_SHIFT = 1e-10  # s / mean diagonal of H: so small that one step of refinement removes it
_PIN = 1.0  # stiffness of a pin / mean diagonal of H
_REFINED = 1e-11  # relative residual that refinement reaches
_MAX_REFINEMENTS = 12
_CG_TOLERANCE = 1e-11
_ROUND_OFF = 1e-14  # of a projected force


class HarmonicSystem:
    """A sample at a minimum with its Hessian, distributed over the ranks of `comm`.

    Parameters
    ----------
    comm
        Communicator; every rank passes the same sample.
    sample
        The sample.
    model
        Interaction model, by default the one the sample carries.
    solver : {"auto", "factor", "cg"}
        How `solve` works; "auto" takes what is estimated faster.

    Notes
    -----
    Construction is collective.  The owner calls `destroy`.
    """

    def __init__(self, comm, sample: Sample, model: Model | None = None, solver="auto") -> None:
        self.comm = comm
        self.sample = sample
        self.solver = solver
        self._factor: Factorisation | None = None
        self._matrix: Any = None
        self._checked = False
        self.floppy_modes = 0
        self.found_stable = False  # by `observables.stability`
        self.response_measures: dict[tuple[str, ...], Any] = {}  # of `observables.viscoelasticity`
        with agreement(comm):
            self.interactions: PairInteractions = find_interactions(sample, model)
            self.order = hilbert_order(sample.positions, sample.box)
        self.n, self.d = sample.positions.shape

    @cached_property
    def _rank_of_particle(self) -> np.ndarray:
        rank = np.empty(self.n, np.int64)
        rank[self.order] = np.arange(self.n)
        return rank

    def _edge_operator(self, masses: np.ndarray | None) -> BlockOperator:
        inter = self.interactions
        i, j = self._rank_of_particle[inter.i], self._rank_of_particle[inter.j]
        weights = None if masses is None else 1.0 / np.sqrt(masses[self.order])
        operator = EdgeOperator.of_all_edges(
            self.comm, self.n, i, j, *hessian.edges(inter), weights=weights
        )
        first, last = operator.halo.first, operator.halo.last
        amplitude = np.ones(self.n) if masses is None else np.sqrt(masses[self.order])
        lonely = self.rattlers[self.order]
        held = np.where(lonely, 0.0, amplitude)
        if held.any():  # translations of what is connected
            own = held[first:last, None] / np.linalg.norm(held)
            operator.null_space = np.kron(own, np.eye(self.d))
        operator.null_rows = np.repeat(lonely[first:last], self.d)
        return operator

    @property
    def _unstressed(self) -> bool:
        return getattr(self.interactions, "unstressed", False)

    @cached_property
    def rattlers(self) -> np.ndarray:
        """Mark the particles without any contact, (N,) bool."""
        inter = self.interactions
        ends = np.concatenate([inter.i, inter.j])
        return np.bincount(ends, minlength=self.n) == 0

    @cached_property
    def operator(self) -> BlockOperator:
        """The mass-weighted Hessian D = M^(-1/2) H M^(-1/2); its eigenvalues are omega^2."""
        masses = np.asarray(self.sample.masses)
        return self._edge_operator(None if np.all(masses == 1.0) else masses)

    @cached_property
    def stiffness(self) -> BlockOperator:
        """The Hessian H itself, for responses and moduli."""
        if np.all(np.asarray(self.sample.masses) == 1.0):
            return self.operator
        return self._edge_operator(None)

    def add_null_vectors(self, vectors: np.ndarray) -> None:
        """Leave further null vectors of D out of all solves, (n_local, z) orthonormal.  Collective.

        `floppy_modes` counts them.
        """
        operator, stiffness = self.operator, self.stiffness
        operator.null_space = np.column_stack([operator.null_space, vectors])
        if stiffness is not operator:
            bare = vectors / self._local_amplitude
            stiffness.null_space = np.column_stack([stiffness.null_space, bare])
        self.floppy_modes += vectors.shape[1]
        self.destroy()  # a factor without them

    def without_null_force(self, force: np.ndarray) -> np.ndarray:
        """Remove from forces what null motions cannot resist, M^(1/2) P M^(-1/2) f.

        P projects out the null vectors of D.  (dN, k) in sample order on every rank.  Collective.
        """
        local = _in_range(self.operator, self.scatter(force) / self._local_amplitude)
        return self.gather(local * self._local_amplitude).reshape(force.shape)

    def without_null_motion(self, displacements: np.ndarray) -> np.ndarray:
        """Remove all null motions from displacements, orthogonal with the masses as weights.

        (dN, k) in sample order on every rank.  Collective.
        """
        local = self.operator.project(self.scatter(displacements) * self._local_amplitude)
        return self.gather(local / self._local_amplitude).reshape(displacements.shape)

    @cached_property
    def _local_amplitude(self) -> np.ndarray:
        """Square root of the mass of every row of this rank, (n_local, 1)."""
        masses = np.asarray(self.sample.masses, np.float64)
        return self.scatter(np.repeat(np.sqrt(masses), self.d)[:, None])

    def require_minimum(self) -> None:
        """Refuse a sample whose forces say that it is not at a minimum.

        Raises
        ------
        SampleError
            ``"not_at_minimum"``, or ``"no_contacts"`` if no two particles interact.
        """
        if self._checked:
            return
        if not len(self.interactions):
            raise SampleError(
                "no_contacts",
                f"no two of the {self.n} particle(s) are within the range of their interaction: "
                "the sample has neither modes nor moduli; use a denser one",
            )
        ratio = forces.force_ratio(self.interactions)
        if not ratio < MINIMUM_TOLERANCE:
            raise SampleError(
                "not_at_minimum",
                f"the sample is not at a minimum: max_force / typical contact force is "
                f"{ratio:.1e}, at most {MINIMUM_TOLERANCE:.0e} is accepted; "
                "run `glassmodes minimize` first",
                force_ratio=float(ratio),
            )
        if ratio > MINIMUM_WARNING:
            log.warning("loose minimum: max_force / typical contact force is %.1e", ratio)
        self._checked = True

    def refuse_saddle(self, negative: int | None = None) -> None:
        """Raise the error of a sample at a saddle, with the number of its negative eigenvalues.

        Collective.
        """
        if negative is None:
            negative, _ = count_below(self.operator, -1e-10 * self.operator.mean_diagonal())
            if not negative:
                raise SolverError(
                    "a solve met a direction without stiffness that is no known null vector: "
                    "the sample has floppy parts that `require_stable` was not asked to find"
                )
        raise SampleError(
            "saddle",
            f"the sample is at a saddle: {negative} negative eigenvalue(s) of the Hessian; "
            "run `glassmodes minimize` first",
            negative_eigenvalues=int(negative),
        )

    def scatter(self, full: np.ndarray) -> np.ndarray:
        """Return this rank's operator rows of vectors in sample order, (dN, k) -> (n_local, k)."""
        columns = full.reshape(self.n, self.d, -1)[self.order]
        first, last = self.stiffness.halo.first, self.stiffness.halo.last
        return np.asfortranarray(columns[first:last].reshape((last - first) * self.d, -1))

    def gather(self, local: np.ndarray) -> np.ndarray:
        """Return vectors in sample order on every rank, (n_local, k) -> (dN, k).  Collective."""
        rows = local if self.comm.size == 1 else np.vstack(self.comm.allgather(local))
        full = np.empty((self.n, self.d, rows.shape[1]))
        full[self.order] = rows.reshape(self.n, self.d, -1)
        return full.reshape(self.n * self.d, -1)

    def product(self, displacements: np.ndarray) -> np.ndarray:
        """Return H u for the columns of (dN, k), in sample order on every rank.  Collective."""
        return self.gather(self.stiffness.apply(self.scatter(displacements)))

    def solve(self, right: np.ndarray, planned: int | None = None) -> np.ndarray:
        """Return H^+ b, the displacements under forces b, for the columns of (dN, k).

        H is not mass-weighted and H^+ its pseudo-inverse.  By a Cholesky factor of the pinned
        H (see `_regularisation`), or by conjugate gradients, whichever is estimated faster.
        Networks without prestress take conjugate gradients: their floppy modes are unknown,
        but no force of theirs meets one.
        Every rank passes and receives whole vectors in sample order.  Collective.

        Parameters
        ----------
        right : (dN, k)
            Forces.
        planned
            Columns that this and the following calls will solve in all, by default k: many
            small batches are worth a factor that one of them is not.

        Raises
        ------
        SampleError
            ``"saddle"`` if H has negative eigenvalues.
        SolverError
            If the residual stays above 1e-9.
        """
        local = _in_range(self.stiffness, self.scatter(right))
        try:
            if self._takes_factor(planned or local.shape[1]):
                solution = self._solve_with_factor(local)
            else:
                solution, _ = conjugate_gradient(self.stiffness, local, tolerance=_CG_TOLERANCE)
        except (NotPositiveDefiniteError, NegativeCurvatureError):
            self.refuse_saddle()
        return self.gather(solution).reshape(right.shape)

    def _takes_factor(self, columns: int) -> bool:
        if self.solver != "auto":
            return self.solver == "factor"
        if self._unstressed:
            return False
        if self._factor is not None:
            return True
        estimate = solve_seconds(self.n, self.d, columns)
        return estimate["factor"] < estimate["cg"]

    def _solve_with_factor(self, right: np.ndarray) -> np.ndarray:
        operator = self.stiffness
        factor = self._cholesky()
        norm = np.sqrt(operator.reduce(np.einsum("rk,rk->k", right, right)))
        norm[norm == 0] = 1.0
        solution = operator.project(factor.solve(right))
        previous = np.inf
        for _ in range(_MAX_REFINEMENTS):
            residual = operator.project(right - operator.apply(solution))
            size = np.sqrt(operator.reduce(np.einsum("rk,rk->k", residual, residual))) / norm
            worst = float(size.max(initial=0.0))
            if worst < _REFINED or worst > 0.5 * previous:
                break
            previous = worst
            solution += operator.project(factor.solve(residual))
        if worst > 1e-9:
            raise SolverError(
                f"refinement of the factorised solve stopped at a residual of {worst:.1e}: "
                "the Hessian has nearly singular directions that are not known null vectors"
            )
        return solution

    def _cholesky(self) -> Factorisation:
        if self._factor is None:
            clock = time.perf_counter()
            self._matrix = self.stiffness.assembled()
            diagonal = self._matrix.createVecRight()
            diagonal.setArray(self._regularisation() * self.stiffness.mean_diagonal())
            self._matrix.setDiagonal(diagonal, addv=True)
            diagonal.destroy()
            self._factor = factorise(self._matrix, definite=True)
            log.debug("%s factor in %.2f s", self._factor.name, time.perf_counter() - clock)
        return self._factor

    def _regularisation(self) -> np.ndarray:
        """Return what makes H positive definite when added to its diagonal, (n_local,).

        Pins on one particle, against translations, and on the rattlers.  A load without a
        translational part leaves its pins at rest, so the pinned solution solves H x = b
        exactly.  Floppy modes, which any unstressed network may have, offer no particle to
        pin: they need a shift and refinement.
        """
        first, last = self.stiffness.halo.first, self.stiffness.halo.last
        if self.floppy_modes or self._unstressed:
            return np.full((last - first) * self.d, _SHIFT)
        pinned = self.rattlers[self.order]
        if not pinned.all():
            pinned[int(np.argmin(pinned))] = True
        return np.repeat(np.where(pinned[first:last], _PIN, 0.0), self.d)

    def matrix(self, mass_weighted: bool = True) -> sp.csr_matrix:
        """Return the whole Hessian in sample order as a scipy matrix."""
        masses = np.asarray(self.sample.masses) if mass_weighted else None
        return hessian.sparse(self.interactions, masses).tocsr()

    def destroy(self) -> None:
        """Free the factor."""
        if self._factor is not None:
            self._factor.destroy()
            self._matrix.destroy()
            self._factor = self._matrix = None


def _in_range(operator: BlockOperator, right: np.ndarray) -> np.ndarray:
    """Project null vectors out of `right`, exactly to zero where nothing else was there."""

    def squares() -> np.ndarray:
        return operator.reduce(np.einsum("rk,rk->k", right, right))

    before = squares()
    operator.project(right)
    right[:, squares() <= _ROUND_OFF**2 * before] = 0.0
    return right


def solve_seconds(n: int, d: int, columns: int) -> dict[str, float]:
    """Estimate the seconds of `columns` solves by factor and by conjugate gradients, one core.

    Nested dissection: flops grow as N^(3 (d-1)/d), factor entries as N^(2 (d-1)/d).  Conjugate
    gradients: iterations grow as N^(1/d).  Prefactors measured on inverse-power-law glasses
    at N = 8,000 (2D and 3D) and 1,500 (4D).
    """
    reference = {
        2: (8000, 0.16, 0.6e-3, 36e-3),
        3: (8000, 1.6, 3.5e-3, 35e-3),
        4: (1500, 0.9, 1.2e-3, 8e-3),
    }
    size, factor, solve, iterate = reference[min(max(d, 2), 4)]
    scale = n / size
    entries, flops = scale ** (2 * (d - 1) / d), scale ** (3 * (d - 1) / d)
    return {
        "factor": factor * flops + columns * solve * entries,
        "cg": columns * iterate * scale ** (1 + 1 / d),
    }
