"""No rank holds arrays of the whole sample: the memory of a rank shrinks as ranks are added.

What Python and numpy allocate is traced (`tracemalloc`), from the file to the answer.  PETSc's
own memory is not seen; nothing here needs a factor.
"""

import tracemalloc
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from glassmodes.cli.inputs import read_domain
from glassmodes.formats.mode_file import ModeFile
from glassmodes.observables import dipoles
from glassmodes.observables.correlator import non_affine_correlator
from glassmodes.observables.elasticity import measure_moduli
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.modes import vibrational_modes
from glassmodes.observables.vibrational_density import vibrational_density
from glassmodes.observables.viscoelasticity import viscoelastic_response
from glassmodes.parallel import on_root
from glassmodes.sample import Sample

SIDE = 18  # 11,664 particles
TENSION = 0.05


def tense_lattice(side: int) -> Sample:
    """Return a body-centred lattice of springs of random stiffness that all pull alike.

    Every particle is a centre of inversion, so the equal forces balance; the tension makes the
    lattice stable, the stiffness gives it a non-affine response.
    """
    cells = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    number = np.arange(side**3).reshape((side,) * 3)
    bonds, lengths = [], []
    for step in np.eye(3, dtype=int):  # to the next of the same kind
        there = number[tuple(((cells + step) % side).T)]
        for kind in (0, side**3):
            bonds.append(np.stack([number.ravel() + kind, there + kind], axis=1))
            lengths.append(np.ones(side**3))
    for corner in np.ndindex(2, 2, 2):  # from a centre to its corners
        there = number[tuple(((cells + corner) % side).T)]
        bonds.append(np.stack([number.ravel() + side**3, there], axis=1))
        lengths.append(np.full(side**3, np.sqrt(0.75)))
    bonds, lengths = np.concatenate(bonds), np.concatenate(lengths)
    rng = np.random.default_rng(3)
    stiffness = rng.uniform(0.5, 2.0, len(bonds))
    order = rng.permutation(2 * side**3)  # of the file: nothing may lean on it
    place = np.argsort(order)
    positions = np.concatenate([cells, cells + 0.5])[order]
    return Sample(
        positions,
        np.full(3, float(side)),
        masses=rng.uniform(0.5, 2.0, len(positions)),
        bonds=place[bonds],
        stiffness=stiffness,
        rest_lengths=lengths - TENSION / stiffness,
    )


@pytest.fixture(scope="module")
def path(comm, tmp_path_factory):
    """Return a sample file that all ranks see."""

    def make():
        target = tmp_path_factory.mktemp("memory") / "lattice.h5"
        tense_lattice(SIDE).write(target)
        return target

    return on_root(comm, make)


@contextmanager
def traced(peaks: dict, name: str):
    """Note the most bytes that the body held at once, beyond what was there before."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    yield
    peaks[name] = tracemalloc.get_traced_memory()[1] - before


def measure(comm, path) -> tuple[dict[str, int], dict[str, float], HarmonicSystem]:
    """Run every analysis on a file; return peaks and one number of each."""
    peaks, found = {}, {}
    tracemalloc.start()
    try:
        with traced(peaks, "read"):
            system = HarmonicSystem(comm, read_domain(comm, str(path)), solver="cg")
        with traced(peaks, "operator"):
            found["force"] = float(system.operator.mean_diagonal() + system.stiffness.n)
        with traced(peaks, "moduli"):
            found["shear"] = float(np.nanmean(measure_moduli(system).elastic.shear))
        with traced(peaks, "dipoles"):
            pairs = dipoles.random_contacts(system.interactions, 32, seed=1)
            found["stiffness"] = float(dipoles.dipole_stiffness(system, pairs).stiffness.sum())
        with traced(peaks, "density"):
            states = vibrational_density(system, resolution=0.5, vectors=8)
            found["density"] = float(states.density.sum())
        with traced(peaks, "correlator"):
            measured = non_affine_correlator(system, ["xy"], resolution=0.5, vectors=8)
            found["moment"] = float(measured.moments["1"][0])
        with traced(peaks, "viscoelastic"):
            response = viscoelastic_response(system, ["xy"], 1.0, [0.1, 1.0], [1.0], 1e-4)
            found["loss"] = float(response.loss_modulus[0, 1])
        with traced(peaks, "modes"):
            modes = vibrational_modes(system, count=6, certificate=False)
            found["frequency"] = float(modes.frequencies.sum())
        with traced(peaks, "mode file"):
            content = ModeFile(
                modes.frequencies, modes.residuals, modes.participation_ratios, None,
                modes.zero_modes, modes.certified, modes.complete_below,
            )  # fmt: skip
            spread = replace(modes.spread_vectors(), at_once=1)
            content.stream(comm, path.with_name(f"modes-{comm.size}.h5"), spread)
    finally:
        tracemalloc.stop()
    return peaks, found, system


def test_memory_follows_the_share_of_a_rank(comm, comm_self, path):
    if comm.size == 1:
        pytest.skip("needs two ranks")
    peaks, found, system = measure(comm, path)
    alone, expected = on_root(comm, lambda: measure(comm_self, path)[:2])
    # One vector and some columns of each analysis are solved to 1e-9 or better, on any ranks.
    assert found == pytest.approx(expected, rel=1e-6)
    assert comm.allgather(found) == [found] * comm.size
    # Rank 0 adds one column of its own rows and a piece of another's; six columns are written.
    assert peaks.pop("mode file") < 0.5 * 6 * system.n * system.d * 8
    alone.pop("mode file")
    share = system.domain.halo.n_total / system.n
    assert share < {2: 0.7, 3: 0.55}.get(comm.size, 1.0)
    for name, peak in peaks.items():
        # Most arrays have no rows for ghosts: there is room for what is being sent and for
        # constants, not for whole blocks of vectors.
        assert peak < 1.1 * share * alone[name], name
