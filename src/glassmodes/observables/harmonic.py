"""One sample and everything about it that harmonic analyses share: pairs, operator, factor.

The sample is spread over the ranks of a communicator (`glassmodes.domain`).  Vectors are the
rows of the particles that a rank owns, (d n_owned, k), in the order of the curve.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp

from glassmodes.domain import Domain
from glassmodes.errors import SampleError, SolverError
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import PairInteractions, domain_interactions
from glassmodes.mechanics.rattlers import (
    can_rattle,
    particles_without_contacts,
    without_rattlers,
)
from glassmodes.models.model import Model
from glassmodes.sample import Sample
from glassmodes.spectra.conjugate_gradient import NegativeCurvatureError
from glassmodes.spectra.factorisations import (
    FactorDoesNotFit,
    NotPositiveDefiniteError,
    count_below,
)
from glassmodes.spectra.linear_solver import LinearSolver, in_range
from glassmodes.spectra.operators import BlockOperator, EdgeOperator

log = logging.getLogger(__name__)

MINIMUM_TOLERANCE = 1e-6
"""max_force / typical contact force above which a sample is refused."""
MINIMUM_WARNING = 1e-9
"""The same, above which a warning is logged."""


class HarmonicSystem:
    """A sample at a minimum with its Hessian, distributed over the ranks of `comm`.

    Parameters
    ----------
    comm
        Communicator of the sample.
    sample
        The whole sample, alike on every rank, or this rank's `Domain` of one.
    model
        Interaction model, by default the one the sample carries.
    solver : {"auto", "factor", "cg", "ksp"}
        How `solve` works; "auto" takes what is estimated faster and fits in memory.

    Attributes
    ----------
    n, d : int
        Particles of the whole sample and dimension.
    domain : Domain
        This rank's particles and their ghosts.
    interactions : PairInteractions
        The pairs that they take part in; in packings without those of rattlers
        (`mechanics.rattlers`).

    Notes
    -----
    Construction is collective.  The owner calls `destroy`.
    """

    def __init__(
        self, comm, sample: Sample | Domain, model: Model | None = None, solver="auto"
    ) -> None:
        self.comm = comm
        self.solver = solver
        self._linear: LinearSolver | None = None
        self._checked = False
        self.floppy_modes = 0
        self.found_stable = False  # by `observables.stability`
        self.response_measures: dict[tuple[str, ...], Any] = {}  # of `observables.viscoelasticity`
        domain = sample if isinstance(sample, Domain) else Domain.of(comm, sample)
        inter: PairInteractions = domain_interactions(domain, model)
        rattle = can_rattle(domain.sample, model)
        self.interactions = without_rattlers(inter) if rattle else inter
        assert self.interactions.domain is not None
        self.domain: Domain = self.interactions.domain
        self.n, self.d = self.domain.particles, self.domain.dimension

    @property
    def sample(self) -> Sample:
        """The particles of this rank, ghosts after the owned ones."""
        return self.domain.sample

    @cached_property
    def masses(self) -> np.ndarray:
        """Masses of the owned particles, (n_owned,)."""
        return self.domain.owned("masses")

    @cached_property
    def amplitude(self) -> np.ndarray:
        """Square root of the mass of every row of this rank, (n_local, 1)."""
        return np.repeat(np.sqrt(self.masses), self.d)[:, None]

    @cached_property
    def _unit_masses(self) -> bool:
        heavy = float(np.any(self.masses != 1.0))
        return not self.interactions.reduce(np.array(heavy))

    def _edge_operator(self, weighted: bool) -> BlockOperator:
        inter = self.interactions
        weights = 1.0 / np.sqrt(self.sample.masses) if weighted else None
        edges = hessian.edges(inter)
        operator = EdgeOperator(self.domain.halo, inter.i, inter.j, *edges, weights)
        held = np.where(self.rattlers, 0.0, np.sqrt(self.masses) if weighted else 1.0)
        norm = float(np.sqrt(operator.reduce(np.array(held @ held))))
        if norm > 0:  # translations of what is connected
            operator.null_space = np.kron(held[:, None] / norm, np.eye(self.d))
        operator.null_rows = np.repeat(self.rattlers, self.d)
        return operator

    @property
    def _unstressed(self) -> bool:
        return self.interactions.unstressed

    @cached_property
    def rattlers(self) -> np.ndarray:
        """Mark the owned particles without contacts that bear a load, (n_owned,) bool."""
        return particles_without_contacts(self.interactions)

    @cached_property
    def rattler_count(self) -> int:
        """Rattlers of the whole sample.  Collective at its first use."""
        return int(self.interactions.reduce(np.count_nonzero(self.rattlers)))

    @cached_property
    def operator(self) -> BlockOperator:
        """The mass-weighted Hessian D = M^(-1/2) H M^(-1/2); its eigenvalues are omega^2."""
        return self._edge_operator(weighted=not self._unit_masses)

    @cached_property
    def stiffness(self) -> BlockOperator:
        """The Hessian H itself, for responses and moduli."""
        return self.operator if self._unit_masses else self._edge_operator(weighted=False)

    def add_null_vectors(self, vectors: np.ndarray) -> None:
        """Leave further null vectors of D out of all solves, (n_local, z) orthonormal.  Collective.

        `floppy_modes` counts them.
        """
        operator, stiffness = self.operator, self.stiffness
        operator.null_space = np.column_stack([operator.null_space, vectors])
        if stiffness is not operator:
            bare = vectors / self.amplitude
            stiffness.null_space = np.column_stack([stiffness.null_space, bare])
        self.floppy_modes += vectors.shape[1]
        self.destroy()  # a factor without them

    def without_null_force(self, force: np.ndarray) -> np.ndarray:
        """Remove from forces what null motions cannot resist, M^(1/2) P M^(-1/2) f.

        P projects out the null vectors of D.  (n_local, k).  Collective.
        """
        return in_range(self.operator, force / self.amplitude) * self.amplitude

    def without_null_motion(self, displacements: np.ndarray) -> np.ndarray:
        """Remove all null motions from displacements, orthogonal with the masses as weights.

        (n_local, k).  Collective.
        """
        return self.operator.project(displacements * self.amplitude) / self.amplitude

    def require_minimum(self) -> None:
        """Refuse a sample whose forces say that it is not at a minimum.

        Raises
        ------
        SampleError
            ``"not_at_minimum"``, or ``"no_contacts"`` if no two particles interact.
        """
        if self._checked:
            return
        if not self.interactions.contacts:
            raise SampleError(
                "no_contacts",
                f"no two of the {self.n} particle(s) are within the range of their interaction, or "
                "no contact bears a load: the sample has neither modes nor moduli; "
                "use a denser one",
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

    def refuse_saddle(self, negative: int | None = None) -> NoReturn:
        """Raise the error of a sample at a saddle, with the number of its negative eigenvalues.

        Collective.
        """
        least = ""
        if negative is None:
            try:
                negative, _ = count_below(self.operator, -1e-10 * self.operator.mean_diagonal())
            except FactorDoesNotFit:  # a solve has met one
                negative, least = 1, "at least "
            if not negative:
                raise SolverError(
                    "a solve met a direction without stiffness that is no known null vector: "
                    "the sample has floppy parts that `require_stable` was not asked to find"
                )
        raise SampleError(
            "saddle",
            f"the sample is at a saddle: {least}{negative} negative eigenvalue(s) of the Hessian; "
            "run `glassmodes minimize` first",
            negative_eigenvalues=int(negative),
        )

    def scatter(self, full: np.ndarray) -> np.ndarray:
        """Return this rank's rows of whole vectors in the sample's own order.

        (dN, k) -> (n_local, k).
        """
        columns = full.reshape(self.n, self.d, -1)[self.domain.file_index]
        return np.asfortranarray(columns.reshape(len(columns) * self.d, columns.shape[2]))

    def gather(self, local: np.ndarray) -> np.ndarray:
        """Return whole vectors in the sample's own order on every rank, (n_local, k) -> (dN, k).

        For samples that fit; `Domain.to_file_order` leaves them spread.  Collective.
        """
        rows, index = local, self.domain.file_index
        if self.comm.size > 1:
            rows = np.vstack(self.comm.allgather(local))
            index = np.concatenate(self.comm.allgather(index))
        full = np.empty((self.n, self.d, rows.shape[1]))
        full[index] = rows.reshape(self.n, self.d, rows.shape[1])
        return full.reshape(self.n * self.d, -1)

    def product(self, displacements: np.ndarray) -> np.ndarray:
        """Return H u for the columns of (n_local, k).  Collective."""
        return self.stiffness.apply(displacements)

    def solve(self, right: np.ndarray, planned: int | None = None) -> np.ndarray:
        """Return H^+ b, the displacements under forces b, for the columns of (n_local, k).

        H is not mass-weighted and H^+ its pseudo-inverse.  By a Cholesky factor, by conjugate
        gradients or by PETSc, see `spectra.linear_solver`.  Networks without prestress take
        conjugate gradients: their floppy modes are unknown, but no force of theirs meets one.
        Collective.

        Parameters
        ----------
        right : (n_local, k)
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
        try:
            return self._linear_solver().solve(np.array(right, order="F"), planned)
        except (NotPositiveDefiniteError, NegativeCurvatureError):
            self.refuse_saddle()

    def describe_solves(self) -> dict[str, Any] | None:
        """Return how the solves were done, for JSON (`LinearSolver.describe`), None before any."""
        return None if self._linear is None else self._linear.describe()

    def _linear_solver(self) -> LinearSolver:
        if self._linear is None:
            self._linear = LinearSolver(
                self.stiffness,
                self.solver,
                pinned=None if self.floppy_modes else self._pinned(),
                hidden_null_vectors=self._unstressed,
            )
        return self._linear

    def _pinned(self) -> np.ndarray:
        """Mark what to pin so that H is positive definite, (n_owned,) bool.  Collective.

        One particle, against translations, and the rattlers.
        """
        pinned = self.rattlers.copy()
        held = np.flatnonzero(~pinned)
        with_contacts = [len(held) > 0]
        if self.comm.size > 1:
            with_contacts = self.comm.allgather(len(held) > 0)
        if len(held) and not any(with_contacts[: self.comm.rank]):
            pinned[held[0]] = True
        return pinned

    def matrix(self, mass_weighted: bool = True) -> sp.csr_matrix:
        """Return the whole Hessian in the sample's own order, on one rank only."""
        if self.comm.size > 1:
            raise ValueError("the whole matrix exists on one rank only")
        rows = (self.operator if mass_weighted else self.stiffness).local_rows()
        order = (self.domain.file_index[:, None] * self.d + np.arange(self.d)).ravel()
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return rows[place][:, place]

    def destroy(self) -> None:
        """Free the factor."""
        if self._linear is not None:
            self._linear.destroy()
            self._linear = None
