"""Packings of spheres in which some particles are known to be loose, for the tests."""

from dataclasses import replace

import numpy as np
from scipy.spatial import Delaunay

from glassmodes.kernels.neighbours import minimum_image, wrap
from glassmodes.models import HarmonicSpheres
from glassmodes.preparation import minimise
from glassmodes.sample import Sample

LOOSE = 2
"""Species of the spheres that are put into holes."""

OVERLAP = 1e-12
"""What is left, relative to the length of a contact, where a minimiser stops a rattler."""

# Holes between touching spheres leave room for these: 1/sqrt(3) - 1/2 of a diameter in 2D.
_LENGTHS = {
    2: [[1.0, 1.2, 0.52], [1.2, 1.4, 0.72], [0.52, 0.72, 0.05]],
    3: [[1.0, 1.2, 0.6], [1.2, 1.4, 0.8], [0.6, 0.8, 0.2]],
    4: [[1.0, 1.2, 0.66], [1.2, 1.4, 0.86], [0.66, 0.86, 0.32]],
}
_DENSITY = {2: 0.76, 3: 0.70, 4: 0.70}  # volume fractions 0.88, 0.69 and 0.52


def model_of(d: int, exponent: float = 2.0) -> HarmonicSpheres:
    """Return spheres of two sizes, and a third that fits into their holes."""
    return HarmonicSpheres(lengths=_LENGTHS[d], exponent=exponent)


def make_packing(d: int, n: int, seed: int = 0, exponent: float = 2.0) -> Sample:
    """Return a packing above jamming at its minimum, without loose spheres in the holes."""
    rng = np.random.default_rng(seed)
    box = np.full(d, (n / _DENSITY[d]) ** (1 / d))
    start = Sample(
        rng.uniform(0, 1, (n, d)) * box,
        box,
        species=np.arange(n) % 2,
        masses=rng.uniform(1.0, 2.0, n),
        model=model_of(d, exponent).spec(),
    )
    return minimise(start)[0]


def with_loose_spheres(packing: Sample, contacts: list[int]) -> Sample:
    """Put spheres into holes of a packing, each against as many neighbours as asked for.

    The new particles come last.  They overlap by `OVERLAP`, so that no force beyond round-off
    acts on anybody, and touch nothing else.
    """
    d = packing.dimension
    lengths = np.array(_LENGTHS[d])[LOOSE]
    places: list[np.ndarray] = []
    for centre in _holes(packing):
        if len(places) == len(contacts):
            break
        apart = [np.linalg.norm(minimum_image(centre - x, packing.box)) for x in places]
        if min(apart, default=np.inf) < 1.0:
            continue
        place = _pushed(packing, centre, lengths[packing.species], contacts[len(places)])
        if place is not None:
            places.append(place)
    assert len(places) == len(contacts), "the packing has too few holes"
    extra = len(places)
    return replace(
        packing,
        positions=wrap(np.vstack([packing.positions, places]), packing.box),
        species=np.append(packing.species, np.full(extra, LOOSE)).astype(np.int32),
        masses=np.append(packing.masses, np.full(extra, 1.5)),
    )


def _holes(packing: Sample) -> np.ndarray:
    """Return the centres of the Delaunay simplices, those of the widest holes first."""
    d, box = packing.dimension, packing.box
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * d, indexing="ij"), -1).reshape(-1, d)
    images = (packing.positions[None] + shifts[:, None] * box).reshape(-1, d)
    near = np.all((images > -0.3 * box) & (images < 1.3 * box), axis=1)
    corners = images[near][Delaunay(images[near]).simplices]
    edges = corners[:, 1:] - corners[:, :1]
    # Images of four particles on a rectangle make flat simplices.
    corners, edges = (a[np.abs(np.linalg.det(edges)) > 1e-6] for a in (corners, edges))
    squares = np.einsum("sek,sek->se", edges, edges)
    centres = corners[:, 0] + np.linalg.solve(2 * edges, squares[:, :, None])[:, :, 0]
    inside = np.all((centres >= 0) & (centres < box), axis=1)
    centres = centres[inside]
    radii = np.linalg.norm(centres - corners[inside, 0], axis=1)
    return centres[np.argsort(-radii)]


def _pushed(packing, centre, lengths, count) -> np.ndarray | None:
    """Move a sphere from the centre of a hole against `count` neighbours; None if others touch."""

    def gaps(x):
        vectors = minimum_image(x - packing.positions, packing.box)
        return np.linalg.norm(vectors, axis=1) / lengths - 1, vectors

    start = gaps(centre)[0]
    if start.min() < 0.01:
        return None
    chosen = np.argsort(start)[:count]
    x = centre.copy()
    for _ in range(20):
        gap, vectors = gaps(x)
        slopes = vectors[chosen] / np.linalg.norm(vectors[chosen], axis=1)[:, None]
        slopes /= lengths[chosen, None]
        x = x - np.linalg.pinv(slopes) @ (gap[chosen] + OVERLAP)
    gap = gaps(x)[0]
    others = np.delete(gap, chosen)
    touches = np.all(np.abs(gap[chosen] + OVERLAP) < 1e-13)
    return x if touches and others.min() > 1e-3 else None
