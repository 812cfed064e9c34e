"""Small glasses at a minimum, in 2, 3 and 4 dimensions, with unequal masses and box edges.

They are made here with scipy and a dense Newton iteration, so that tests of mechanics and
observables lean on none of the package's own minimisers and solvers.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from glassmodes.errors import SampleError
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import from_spec, named
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.sample import Sample

_SIDE = {2: 8, 3: 4, 4: 4}
_STRETCH = {2: (1.02, 0.98), 3: (1.01, 0.985, 1.005), 4: (1.01, 0.99, 1.005, 0.995)}


def make_glass(d: int, seed: int = 3) -> Sample:
    """Return a jittered lattice of the binary model, relaxed until forces are round-off."""
    rng = np.random.default_rng(seed)
    model = named(f"ipl_{d}d")
    n = _SIDE[d] ** d
    grid = np.stack(np.meshgrid(*[np.arange(_SIDE[d])] * d, indexing="ij"), axis=-1)
    box = np.array(_STRETCH[d]) * (n / model.defaults.density / np.prod(_STRETCH[d])) ** (1 / d)
    places = (grid.reshape(n, d) + 0.2 * rng.standard_normal((n, d))) / _SIDE[d]
    species = rng.permutation(n) % 2
    sample = Sample(
        positions=places * box,
        box=box,
        species=species,
        masses=np.where(species == 0, 1.0, 2.5) * rng.uniform(0.8, 1.2, n),
        model=model.spec(),
    )

    def energy_and_gradient(x):
        try:
            inter = find_interactions(replace(sample, positions=x.reshape(n, d)), model, order=1)
        except SampleError:  # the line search went too far
            return 1e9, np.zeros_like(x)
        return forces.energy(inter), -forces.forces(inter).ravel()

    found = minimize(
        energy_and_gradient,
        sample.positions.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 2000, "maxfun": 4000, "ftol": 0.0, "gtol": 1e-4},
    )
    sample.positions = found.x.reshape(n, d)
    translations = np.tile(np.eye(d), (n, 1)) / np.sqrt(n)
    for _ in range(5):
        inter = find_interactions(sample, model)
        matrix = hessian.sparse(inter).toarray() + translations @ translations.T
        step = np.linalg.solve(matrix, forces.forces(inter).ravel())
        sample.positions = sample.positions + step.reshape(n, d)
    return sample


class DenseSystem(HarmonicSystem):
    """A `HarmonicSystem` whose solver is the dense pseudo-inverse of the whole sample's Hessian.

    `pairs` are all pairs in the order of the sample, which `respond` keeps too; `solve` and
    `product` take rows in the order of the system, as observables expect.
    """

    def __init__(self, sample: Sample) -> None:
        from mpi4py import MPI

        super().__init__(MPI.COMM_SELF, sample)
        self.pairs = find_interactions(sample)
        matrix = hessian.sparse(self.pairs).toarray()
        self.eigenvalues, self.vectors = np.linalg.eigh(matrix)
        self.null = np.abs(self.eigenvalues) < 1e-9 * self.eigenvalues[-1]

    def require_minimum(self) -> None:
        assert forces.force_ratio(self.pairs) < 1e-6
        assert self.eigenvalues[~self.null].min() > 0

    def product(self, displacements: np.ndarray) -> np.ndarray:
        return self.scatter(hessian.multiply(self.pairs, self.gather(displacements)))

    def solve(self, right: np.ndarray, planned: int | None = None) -> np.ndarray:
        return self.scatter(self.respond(self.gather(right)))

    def respond(self, load: np.ndarray) -> np.ndarray:
        """Return H^+ f for the columns of (dN, k) in the order of the sample."""
        vectors = self.vectors[:, ~self.null]
        return vectors @ ((vectors.T @ load) / self.eigenvalues[~self.null, None])


class PlainEnergy:
    """U of a sample deformed by x -> (1 + E) x and then displaced by u, as a sum over all pairs.

    It shares only the potential with the package: its own images, its own deformation.
    """

    def __init__(self, sample: Sample) -> None:
        self.n, self.d = sample.positions.shape
        self.volume = sample.volume
        i, j = np.triu_indices(self.n, 1)
        vector = (sample.positions[j] - sample.positions[i]) / sample.box
        vector = ((vector + 0.5) % 1.0 - 0.5) * sample.box
        near = np.linalg.norm(vector, axis=1) < 0.6 * sample.box.min()
        self.i, self.j, self.vector = i[near], j[near], vector[near]
        self.species = sample.species
        self.model = from_spec(sample.model)

    def _evaluate(self, gradient, displacement, order):
        vector = self.vector @ (np.eye(self.d) + gradient).T
        if displacement is not None:
            u = displacement.reshape(self.n, self.d)
            vector = vector + u[self.j] - u[self.i]
        r = np.linalg.norm(vector, axis=1)
        ends = self.species[self.i], self.species[self.j]
        return vector, r, self.model.derivatives(r, *ends, order=order)

    def __call__(self, gradient=0.0, displacement=None) -> float:
        return self._evaluate(gradient, displacement, 0)[2][0].sum()

    def relaxed(self, gradient, system: DenseSystem) -> tuple[float, np.ndarray]:
        """Return energy and Cauchy stress at the minimum of the deformed sample."""
        u = np.zeros(self.n * self.d)
        for _ in range(30):
            vector, r, derivatives = self._evaluate(gradient, u, 1)
            pull = (derivatives[1] / r)[:, None] * vector
            net = np.zeros((self.n, self.d))
            np.add.at(net, self.i, pull)
            np.add.at(net, self.j, -pull)
            if np.abs(net).max() < 1e-11:
                break
            u += system.respond(net.reshape(-1, 1))[:, 0]
        volume = self.volume * np.linalg.det(np.eye(self.d) + gradient)
        return derivatives[0].sum(), pull.T @ vector / volume


@pytest.fixture(scope="session", params=(2, 3, 4), ids=("2D", "3D", "4D"))
def glass(request) -> Sample:
    """Return one glass for each dimension; copy it before changing it."""
    return make_glass(request.param)


@pytest.fixture(scope="session")
def glass_3d() -> Sample:
    return make_glass(3)


@pytest.fixture(scope="session")
def dense_system(glass) -> DenseSystem:
    """Return the glass with exact solves."""
    return DenseSystem(glass)


@pytest.fixture(scope="session")
def dense_system_of():
    """Return the class that wraps any sample with exact solves."""
    return DenseSystem


@pytest.fixture(scope="session")
def plain_energy_of():
    """Return the class that gives the energy of a sample under any deformation."""
    return PlainEnergy


@pytest.fixture
def options():
    """Return a function that sets PETSc options; they are gone after the test."""
    from petsc4py import PETSc

    base, names = PETSc.Options(), []

    def set_options(**values):
        for name, value in values.items():
            base[name] = value
            names.append(name)

    yield set_options
    for name in names:
        base.delValue(name)
