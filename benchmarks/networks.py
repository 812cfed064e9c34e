"""The networks of the benchmarks: fcc with vacancies at Z = 7, made once and kept."""

from __future__ import annotations

from pathlib import Path

from glasses import CACHE, SEED

from glassmodes.preparation.networks import LatticeVacancies, make_network

PROTOCOL = LatticeVacancies(coordination=7.0)


def network_path(particles: int, dimension: int = 3) -> Path:
    """Return the file of a network of unit springs at rest with about `particles` atoms, 3D."""
    path = CACHE / f"fcc_vacancies_{particles}.h5"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        make_network(PROTOCOL, particles, SEED).write(path)
    return path
