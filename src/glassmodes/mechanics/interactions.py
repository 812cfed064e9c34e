r"""The one representation of interacting pairs that all of mechanics is built from.

Symbols: r_pc pair vector x_j - x_i (pair, Cartesian), r its length, φ the energy of a pair.
The bond tensors are the derivatives of φ with respect to r²/2, which keep every observable
a polynomial in the pair vectors:

    A1 = φ'/r                       A2 = φ''/r² - φ'/r³
    A3 = φ'''/r³ - 3φ''/r⁴ + 3φ'/r⁵   A4 = φ''''/r⁴ - 6φ'''/r⁵ + 15φ''/r⁶ - 15φ'/r⁷
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from glassmodes.errors import InputError, SampleError
from glassmodes.kernels.neighbours import compact_frame, find_pairs
from glassmodes.models import HarmonicNetwork, Model, PairPotential, from_spec
from glassmodes.parallel import agreement
from glassmodes.sample import Sample

if TYPE_CHECKING:
    from glassmodes.domain import Domain

OVERLAP = 0.1
"""Pairs closer than this fraction of their interaction length are refused as overlapping."""

_LONGEST_BOND = 0.49  # of a box edge, along that edge
_ROUND_OFF = 1e-12  # of φ'' r: forces that rounding of positions leaves in springs at rest


@dataclass(frozen=True)
class PairInteractions:
    """Pairs inside the cutoff of their interaction, each once, with the derivatives of φ.

    Of a whole sample, or of the part of one rank (`glassmodes.domain`): then the particles are
    numbered locally, the owned ones first, and a pair between two ranks is held by both.

    Attributes
    ----------
    n, d : int
        Particles of the whole sample and dimension.
    volume : float
        Product of the box edges.
    i, j : (P,) int32
        Ends of each pair, i < j; i is owned.
    vector : (P, d) float64
        Minimum-image pair vector x_j - x_i.
    distance : (P,) float64
        Length of `vector`.
    derivatives : (order + 1, P) float64
        φ, φ', φ'', ... with respect to the distance.
    """

    n: int
    d: int
    volume: float
    i: np.ndarray
    j: np.ndarray
    vector: np.ndarray
    distance: np.ndarray
    derivatives: np.ndarray
    domain: Domain | None = None

    @property
    def owned(self) -> int:
        """Particles whose rows are computed here: all, or those of this rank."""
        return self.n if self.domain is None else self.domain.halo.n_owned

    @property
    def sites(self) -> int:
        """Particles in the local numbering: owned ones and ghosts."""
        return self.n if self.domain is None else self.domain.halo.n_total

    @cached_property
    def share(self) -> np.ndarray | None:
        """What this rank counts of each pair, (P,): a half if another rank holds it too.

        None if all pairs are its own.
        """
        if self.domain is None or self.sites == self.owned:
            return None
        return np.where(self.j < self.owned, 1.0, 0.5)

    def reduce(self, values: ArrayLike, largest: bool = False) -> np.ndarray:
        """Sum values over the ranks of the sample, or take the largest.  Collective."""
        if self.domain is None or self.domain.comm.size == 1:
            return np.asarray(values)
        from mpi4py import MPI

        mine = np.ascontiguousarray(values, np.float64)
        result = np.empty_like(mine)
        self.domain.comm.Allreduce(mine, result, op=MPI.MAX if largest else MPI.SUM)
        return result.reshape(np.shape(values))

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum values (P, ...) over all pairs of the sample, each counted once.  Collective."""
        held = values.sum(axis=0) if self.share is None else np.tensordot(self.share, values, 1)
        return self.reduce(held)

    @cached_property
    def contacts(self) -> int:
        """Pairs of the whole sample.  Collective at its first use."""
        held = len(self) if self.share is None else self.share.sum()
        return int(self.reduce(np.array(held, np.float64)))

    @property
    def order(self) -> int:
        """Highest derivative of φ that is at hand."""
        return len(self.derivatives) - 1

    def __len__(self) -> int:
        return len(self.i)

    @cached_property
    def A1(self) -> np.ndarray:
        """First bond tensor, (P,)."""
        return self._derivative(1) / self.distance

    @cached_property
    def A2(self) -> np.ndarray:
        """Second bond tensor, (P,)."""
        return (self._derivative(2) - self.A1) / self.distance**2

    @cached_property
    def A3(self) -> np.ndarray:
        """Third bond tensor, (P,)."""
        return (self._derivative(3) / self.distance - 3 * self.A2) / self.distance**2

    @cached_property
    def A4(self) -> np.ndarray:
        """Fourth bond tensor, (P,)."""
        r = self.distance
        return (self._derivative(4) / r**2 - 3 * self.A2 / r**2 - 6 * self.A3) / r**2

    def _derivative(self, order: int) -> np.ndarray:
        if order > self.order:
            raise ValueError(f"derivative {order} asked for, interactions hold {self.order}")
        return self.derivatives[order]

    @cached_property
    def _incidence(self) -> sp.csc_matrix:
        """Sparse (owned, P) matrix with -1 at the first end of each pair and +1 at the second."""
        ends = np.empty((len(self), 2), np.int32)
        ends[:, 0], ends[:, 1] = self.i, self.j
        start = np.arange(0, 2 * len(self) + 1, 2, dtype=np.int32)
        signs = np.tile([-1.0, 1.0], len(self))
        matrix = sp.csc_matrix((signs, ends.ravel(), start), shape=(self.sites, len(self)))
        return matrix if self.sites == self.owned else matrix[: self.owned]

    @cached_property
    def unstressed(self) -> bool:
        """Whether no pair pulls or pushes, as in a network of springs at rest.

        |φ'| <= 1e-12 φ'' r for every pair, round-off of rest lengths, so φ'' is nowhere
        negative: then H = Σ φ'' n nᵀ is positive semidefinite, and every non-affine force is
        orthogonal to its null space.  Collective at its first use.
        """
        scale = self._derivative(2) * self.distance
        pulls = np.any(np.abs(self._derivative(1)) > _ROUND_OFF * scale)
        return not self.reduce(np.array(float(pulls)))

    def scatter(self, values: np.ndarray) -> np.ndarray:
        """Add `values` (P, ...) to particle j and subtract them from particle i, (owned, ...)."""
        columns = int(np.prod(values.shape[1:]))
        flat = np.ascontiguousarray(values, np.float64).reshape(len(self), columns)
        return (self._incidence @ flat).reshape(self.owned, *values.shape[1:])

    def difference(self, values: np.ndarray) -> np.ndarray:
        """Return the value on particle j minus that on particle i, (sites, ...) -> (P, ...)."""
        return values[self.j] - values[self.i]


def find_interactions(
    sample: Sample, model: Model | None = None, order: int = 2
) -> PairInteractions:
    """Find all pairs that interact and evaluate the derivatives of their energy.

    Parameters
    ----------
    sample
        Positions, box, species and, where the model needs them, diameters.  Bonds of the
        sample are harmonic springs and are added to the pairs of the model; alone, or with
        the model `HarmonicNetwork`, they are all there is.
    model
        Interaction model; by default the one that the sample carries.
    order
        Highest derivative of the pair energy, at most 4.

    Returns
    -------
    PairInteractions
        Sorted by (i, j), with i < j.

    Raises
    ------
    InputError
        If the sample has neither model nor bonds, does not fit the model, holds NaN, or if a
        box edge is smaller than twice the cutoff (a pair could then meet twice) or a bond is
        as long as half the box.
    SampleError
        ``"overlap"``, if two particles sit on top of each other.

    Notes
    -----
    Not collective; `domain_interactions` is for a sample spread over ranks.  Linear in the
    number of pairs; (6 + order) doubles a pair.  Springs of 10^6 atoms (3.5 x 10^6 bonds)
    take 1 s.
    """
    sample.validate()
    model = _model_of(sample, model)
    reach = None if model is None else model.interaction_range(sample)
    i, j, derivatives = _all_pairs(sample, model, reach, order)
    inter = interactions_of_pairs(sample, i, j, derivatives)
    _refuse_limp(sample, inter)
    return inter


def domain_interactions(
    domain: Domain, model: Model | None = None, order: int = 2
) -> PairInteractions:
    """Find the pairs that a rank's particles take part in; see `find_interactions`.

    Returns
    -------
    PairInteractions
        With a `domain` whose ghosts are exactly the particles of other ranks in these pairs.

    Notes
    -----
    Collective; errors are raised on every rank.  Time and memory linear in the particles of
    the rank and of a shell around them.
    """
    comm = domain.comm
    with agreement(comm):
        model = _model_of(domain.sample, model, whole=False)
        known = model is not None and domain.sample.particles
        reach = model.interaction_range(domain.sample) if known else 0.0
    reach = max(comm.allgather(reach))  # diameters differ from rank to rank
    domain = domain.with_reach(reach)
    _ = domain.names  # collective: for messages
    with agreement(comm):
        i, j, derivatives = _all_pairs(domain.sample, model, reach, order, domain)
    used = np.zeros(domain.halo.n_total, bool)
    used[i] = used[j] = True
    kept = domain.keep(used)
    renumbered = kept.halo.local(domain.halo.sites[j]) if comm.size > 1 else j
    with agreement(comm):
        inter = interactions_of_pairs(kept.sample, i, renumbered, derivatives, kept)
    _refuse_limp(kept.sample, inter)
    return inter


def _all_pairs(
    sample, model, reach, order, domain=None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return i, j and derivatives of the pairs of the model and of the bonds, sorted by (i, j)."""
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    if model is not None:
        parts.append(_pairs_of_model(sample, model, reach, order, domain))
    if sample.bonds is not None:
        parts.append(_pairs_of_bonds(sample, order, domain))
    if not parts:
        raise InputError("the sample has no model and no bonds: attach a model with --model NAME")
    if len(parts) == 1:
        return parts[0]
    i, j = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    derivatives = np.concatenate([part[2] for part in parts], axis=1)
    sequence = np.lexsort((j, i))
    return i[sequence], j[sequence], derivatives[:, sequence]


def interactions_of_pairs(
    sample: Sample,
    i: np.ndarray,
    j: np.ndarray,
    derivatives: np.ndarray,
    domain: Domain | None = None,
) -> PairInteractions:
    """Build interactions from given pairs (P,) and derivatives (order + 1, P)."""
    if not np.all(np.isfinite(derivatives)):
        bad = int(np.flatnonzero(~np.isfinite(derivatives).all(axis=0))[0])
        raise InputError(
            f"the energy of pair ({i[bad]}, {j[bad]}) or a derivative is not finite: "
            "check positions, diameters and model constants"
        )
    vector = pair_vectors(sample, i, j)
    distance = np.sqrt(np.einsum("pc,pc->p", vector, vector))
    i, j = (np.asarray(end, np.int32) for end in (i, j))
    n, d = sample.positions.shape
    n = n if domain is None else domain.particles
    volume = float(np.prod(sample.box))
    return PairInteractions(n, d, volume, i, j, vector, distance, derivatives, domain)


def pair_vectors(sample: Sample, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return the minimum-image vectors x_j - x_i, (P, d)."""
    box = np.asarray(sample.box)
    vector = sample.positions[j] - sample.positions[i]
    vector -= box * np.rint(vector / box)
    return vector


def _model_of(sample: Sample, model: Model | None, whole: bool = True) -> PairPotential | None:
    """Return the pair potential; None for a network, whose piece on a rank may have no bonds."""
    if model is None and sample.model:
        model = from_spec(sample.model)
    if model is not None and model.kind == HarmonicNetwork.kind:
        if whole or sample.bonds is None:
            model.check(sample)
        return None
    if model is not None and not isinstance(model, PairPotential):
        raise InputError(
            f"mechanics knows pair models and spring networks, this model is of kind {model.kind!r}"
        )
    return model


def _pairs_of_model(
    sample: Sample, model: PairPotential, reach: float, order: int, domain: Domain | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not sample.particles:  # of a rank without any
        none = np.zeros(0, np.int32)
        return none, none, np.zeros((order + 1, 0))
    model.check(sample)
    edge = float(np.min(sample.box))
    if edge < 2 * reach:
        raise InputError(
            f"the shortest box edge is {edge:.6g}, less than twice the cutoff {reach:.6g}: "
            f"a larger sample is needed (edges of at least {2 * reach:.6g})"
        )
    i, j = _near_pairs(sample, reach, domain)
    vector = pair_vectors(sample, i, j)
    distance = np.sqrt(np.einsum("pc,pc->p", vector, vector))
    species, diameters = sample.species, sample.diameters
    diameter_i, diameter_j = (None, None) if diameters is None else (diameters[i], diameters[j])
    length, _, cutoff = model.pair_parameters(species[i], species[j], diameter_i, diameter_j)
    _refuse_overlaps(i, j, distance, length, None if domain is None else domain.names)
    inside = distance < cutoff * length
    if diameters is not None:
        diameter_i, diameter_j = diameter_i[inside], diameter_j[inside]
    i, j, distance = i[inside], j[inside], distance[inside]
    derivatives = model.derivatives(
        distance, species[i], species[j], diameter_i, diameter_j, order=order
    )
    return i, j, derivatives


def _near_pairs(
    sample: Sample, reach: float, domain: Domain | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs within `reach`; of a domain those with an owned particle."""
    if domain is None or domain.comm.size == 1:
        return find_pairs(sample.wrapped(), sample.box, reach)
    if not sample.particles:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    i, j = find_pairs(*compact_frame(sample.positions, sample.box, reach), reach)
    mine = i < domain.halo.n_owned  # the owned come first, and i < j
    return i[mine], j[mine]


def _refuse_overlaps(i, j, distance, length, names=None) -> None:
    if not len(distance):
        return
    closest = np.argmin(distance / length)
    if distance[closest] < OVERLAP * length[closest]:
        pair = i[closest], j[closest]
        first, second = sorted(pair if names is None else names[list(pair)])
        raise SampleError(
            "overlap",
            f"particles {first} and {second} overlap: their distance is "
            f"{distance[closest]:.3g} at an interaction length of {length[closest]:.3g}; "
            "separate them or minimise from a valid configuration",
            distance=float(distance[closest]),
        )


def _refuse_limp(sample: Sample, inter: PairInteractions) -> None:
    """Refuse bonds that are all without stiffness.  Collective for a domain."""
    if sample.bonds is None:
        return
    stiffness = np.ones(len(sample.bonds)) if sample.stiffness is None else sample.stiffness
    bonds, stiff = inter.reduce([float(len(stiffness)), float(np.count_nonzero(stiffness))])
    if bonds and not stiff:
        raise InputError("every bond has the stiffness 0: the network has no mechanics")


def _pairs_of_bonds(
    sample: Sample, order: int, domain: Domain | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Harmonic springs φ = k (r - l)²/2; without rest lengths they are at rest as they are."""
    bonds = np.asarray(sample.bonds, np.int32).reshape(-1, 2)
    i, j = np.minimum(*bonds.T), np.maximum(*bonds.T)
    key = i.astype(np.int64) << 32 | j
    stiffness = np.ones(len(i)) if sample.stiffness is None else np.asarray(sample.stiffness)
    rest = sample.rest_lengths
    if np.any(key[1:] <= key[:-1]):
        sequence = np.argsort(key, kind="stable")
        i, j, stiffness = i[sequence], j[sequence], stiffness[sequence]
        rest = None if rest is None else np.asarray(rest)[sequence]
    vector = pair_vectors(sample, i, j)
    distance = np.sqrt(np.einsum("pc,pc->p", vector, vector))
    if np.any(distance == 0):
        bad = int(np.argmin(distance))
        ends = np.array([i[bad], j[bad]])
        first, second = ends if domain is None else domain.names[ends]
        raise SampleError("overlap", f"the bond ({first}, {second}) has no length")
    longest = (np.abs(vector).max(axis=0, initial=0.0) / np.asarray(sample.box)).max()
    if longest > _LONGEST_BOND:
        raise InputError(
            f"a bond spans {longest:.2f} of a box edge: a bond as long as half the box has no "
            "nearest image, use a larger periodic cell"
        )
    derivatives = np.zeros((order + 1, len(i)))
    derivatives[2:3] = stiffness
    if rest is not None:
        stretch = distance - rest
        derivatives[0] = stiffness * stretch**2 / 2
        derivatives[1:2] = stiffness * stretch
    return i, j, derivatives
