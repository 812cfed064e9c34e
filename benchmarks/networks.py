"""The networks of the benchmarks: fcc with vacancies at Z = 7, made once and kept."""

from __future__ import annotations

from glasses import CACHE, SEED

from glassmodes.preparation.networks import LatticeVacancies, make_network
from glassmodes.sample import Sample

PROTOCOL = LatticeVacancies(coordination=7.0)


def network(particles: int) -> Sample:
    """Return a network of unit springs at rest with about `particles` atoms."""
    path = CACHE / f"fcc_vacancies_{particles}.h5"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        make_network(PROTOCOL, particles, SEED).write(path)
    return Sample.read(path)
