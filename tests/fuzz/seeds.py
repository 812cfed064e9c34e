"""Valid files of every format, small ones, from which the fuzzer makes hostile ones."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from glassmodes.formats import write_extended_xyz, write_lammps_data, write_npz
from glassmodes.formats.mode_file import ModeFile
from glassmodes.formats.sparse_matrix import SparseMatrix, write_matrix
from glassmodes.models import named
from glassmodes.sample import Sample

DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
3
ITEM: BOX BOUNDS pp pp pp
0.0 4.0
-1.0 4.0
0.0 {height}
ITEM: ATOMS id type {names} mass radius
2 1 0.5 0.25 0.5 1.0 0.5
1 2 0.75 0.5 0.25 2.0 0.6
3 1 0.1 0.2 0.3 1.0 0.5
"""
MODELS = (
    """name: soft_12
class: InversePowerLaw
constants: {exponent: 12, smoothing: 3, cutoffs: 1.25, non_additivity: 0.2}
defaults:
  dimension: 3
  density: 1.0
  composition: [1.0]
  diameters: {minimum: 0.7253, maximum: 1.6095, exponent: 3}
""",
    """class: LennardJones
constants: &c
  lengths: [[1.0, 0.8], [0.8, 0.88]]
  energies: [[1.0, 1.5], [1.5, 0.5]]
  cutoffs: 2.5
defaults: {dimension: 2, density: 1.2, composition: [0.8, 0.2]}
""",
    "class: HarmonicSpheres\nconstants: {lengths: 1.0, exponent: 2.5}\n",
    "class: TabulatedPotential\nconstants:\n  tables:\n    - pair: [0, 0]\n      r: "
    f"{[round(1 + 0.1 * k, 3) for k in range(14)]}\n      phi: {[13 - k for k in range(14)]}\n",
)
CONFIGS = (
    """campaign: {title: a test, seed: 5, results: out}
ensembles:
  small:
    model: ipl_2d
    particles: 16
    protocol: {name: instantaneous_quench, temperature: 2.0, equilibration_time: 5.0}
    samples: 5
    batch_size: 3
    analyses: [modes, moduli, dipoles, windows]
    settings: {modes: {below: 1.5}, windows: {between: [1.0, 2.0], slices: 2}}
analyses:
  modes: {count: 4, certificate: true}
  dipoles: {count: 10}
statistics: {bootstrap_resamples: 50, confidence: 0.9}
""",
    """campaign: {seed: 1}
ensembles:
  cooled: &e
    model: kob_andersen
    particles: 100
    dimension: 3
    density: 1.2
    ranks: 2
    protocol: {name: slow_cooling, temperature: 1.0, final_temperature: 0.1, rate: 0.01}
    samples: 2
    seed: 7
    analyses: [spectra, viscoelasticity]
    settings:
      spectra: {resolution: 0.1, maximum: 30.0, strains: [xy, xz]}
      viscoelasticity: {damping: 10.0, frequencies: {minimum: 0.1, maximum: 10.0, points: 5}}
  again: {<<: *e, samples: 3}
  lattice:
    model: harmonic_network
    particles: 108
    protocol: {name: bond_depleted_lattice, lattice: fcc, coordination: 7.0, cut: independent}
    samples: 1
    analyses: [moduli]
  network:
    model: harmonic_network
    particles: 64
    protocol: {name: random_network, coordination: 6.5}
    samples: 1
    analyses: [moduli]
  packing:
    model: harmonic_spheres
    packing_fraction: 0.8
    particles: 50
    protocol: {name: random_start}
    samples: 4
    analyses: [moduli]
""",
)


def samples() -> list[Sample]:
    """Return a glass with its model, a polydisperse one, and a network."""
    rng = np.random.default_rng(1)
    species = rng.integers(0, 2, 8)
    glass = Sample(rng.random((8, 3)) * 3, np.full(3, 3.0), species, masses=1.0 + species)
    glass.model, glass.provenance = named("ipl_3d").spec(), {"seed": 1, "protocol": {"rate": 0.5}}
    sized = Sample(rng.random((6, 2)) * 4, [4.0, 5.0], diameters=1 + rng.random(6))
    network = Sample(
        rng.random((5, 2)) * 9,
        [9.0, 9.0],
        bonds=[[0, 1], [1, 2], [2, 3], [3, 4]],
        stiffness=np.ones(4),
        rest_lengths=np.ones(4),
        model=named("harmonic_network").spec(),
    )
    return [glass, sized, network]


def seeds() -> dict[str, list[bytes]]:
    """Return the valid files of each format."""
    with tempfile.TemporaryDirectory() as folder:
        return _write_all(Path(folder))


def _write_all(folder: Path) -> dict[str, list[bytes]]:
    glass, sized, network = samples()
    written: dict[str, list[bytes]] = {"model": [t.encode() for t in MODELS]}
    written["config"] = [t.encode() for t in CONFIGS]

    def add(kind: str, write) -> None:
        path = folder / f"{kind}{SUFFIX[kind]}"
        write(path)
        written.setdefault(kind, []).append(path.read_bytes())

    modes = np.random.default_rng(2).normal(size=(2, 8, 3))
    add("extended_xyz", lambda p: write_extended_xyz(p, glass))
    add("extended_xyz", lambda p: write_extended_xyz(p, sized))
    add("extended_xyz", lambda p: write_extended_xyz(p, glass, modes, [1.0, 2.0]))
    add("lammps_data", lambda p: write_lammps_data(p, glass))
    add("lammps_data", lambda p: write_lammps_data(p, sized))
    add("lammps_data", lambda p: write_lammps_data(p, network))
    for names in ("x y z", "xs ys zs", "xu yu zu"):
        frames = [DUMP.format(step=s, names=names, height=2.0) for s in (0, 10)]
        add("lammps_dump", lambda p, frames=frames: p.write_text("".join(frames)))
    for sample in (glass, sized, network):
        add("npz", lambda p, sample=sample: write_npz(p, sample))
        add("sample", sample.write)
        add("hdf5", lambda p, sample=sample: _write_plain(p, sample))
    add("sample", lambda p: _write_batch(p, [glass, sized]))
    add("gsd", lambda p: _write_gsd(p, 3))
    add("gsd", lambda p: _write_gsd(p, 2))
    vectors = np.random.default_rng(3).normal(size=(3, 4, 2))
    for kept in (vectors, None):
        content = ModeFile(np.arange(1.0, 4), np.full(3, 1e-9), np.full(3, 0.5), kept, 2, True, 3.5)
        add("modes", content.write)
    matrix = sp.csr_matrix(np.diag([2.0, 2.0, 2.0, 2.0]) - np.eye(4, k=1) - np.eye(4, k=-1))
    content = SparseMatrix(matrix, np.ones((4, 1)), 2)
    add("matrix_npz", lambda p: write_matrix(p, content))
    for kind in ("coo", "csc", "bsr", "dia"):
        add("matrix_npz", lambda p, kind=kind: sp.save_npz(p, matrix.asformat(kind)))
    add("matrix_petsc", lambda p: write_matrix(p, content))
    return written


SUFFIX = {
    "extended_xyz": ".xyz", "lammps_data": ".data", "lammps_dump": ".dump", "gsd": ".gsd",
    "npz": ".npz", "hdf5": ".h5", "sample": ".h5", "modes": ".h5", "matrix_npz": ".npz",
    "matrix_petsc": ".petsc", "model": ".yaml", "config": ".yaml",
}  # fmt: skip


def _write_plain(path: Path, sample: Sample) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name in ("positions", "box", "species", "masses", "bonds"):
            if getattr(sample, name) is not None:
                file.create_dataset(name, data=getattr(sample, name))
        file["velocities"] = np.zeros(3)


def _write_batch(path: Path, members: list[Sample]) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for k, sample in enumerate(members):
            sample.to_group(file.create_group(f"samples/{k:06d}"))


def _write_gsd(path: Path, dimensions: int) -> None:
    from gsd import hoomd

    frame = hoomd.Frame()
    frame.particles.N = 4
    frame.particles.types = ["A", "B"]
    frame.particles.typeid = [0, 1, 1, 0]
    frame.particles.mass = [1, 2, 2, 1]
    frame.particles.diameter = [1, 1.5, 1.5, 1]
    frame.particles.position = np.random.default_rng(0).random((4, 3)) * (1, 1, dimensions - 2)
    frame.configuration.box = [3, 4, 5, 0, 0, 0]
    frame.configuration.dimensions = dimensions
    frame.bonds.N, frame.bonds.group, frame.bonds.types = 1, [[0, 1]], ["b"]
    frame.bonds.typeid = [0]
    with hoomd.open(path, "w") as file:
        file.append(frame)
        frame.configuration.step = 10
        file.append(frame)


def archive(arrays: dict[str, np.ndarray]) -> bytes:
    """Return the bytes of an .npz archive."""
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
