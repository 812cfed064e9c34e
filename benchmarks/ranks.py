"""What one communicator measures: run by `scaling` as `mpiexec -n R python ranks.py ...`.

Prints one JSON object: for every workload the seconds between two barriers, the processor
seconds and the peak memory of every rank, and the counts that the model of `prediction` needs.
"""

from __future__ import annotations

import glassmodes  # noqa: F401  isort: skip  sets one BLAS thread before numpy loads

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import machine
import numpy as np
from ceilings import shared_triad
from mpi4py import MPI

from glassmodes import models
from glassmodes.domain import Domain
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.preparation.domain_dynamics import DomainDynamics
from glassmodes.preparation.domain_minimise import minimise_domain
from glassmodes.spectra.chebyshev import spectral_bound
from glassmodes.spectra.conjugate_gradient import conjugate_gradient
from glassmodes.spectra.eigenmodes import lowest_modes
from glassmodes.spectra.kernel_polynomial import density_of_states

WIDTH = 8
MODES = 100
RESOLUTION = 0.01  # of the band edge
TOLERANCE = 1e-8  # of conjugate gradients
STEPS = 300  # of molecular dynamics
TIME_STEP = 0.0025
TEMPERATURE = 0.5


class CountingComm(MPI.Intracomm):
    """A communicator that counts what makes every rank wait for all others."""

    collectives = 0

    def Allreduce(self, *arguments, **options):
        self.collectives += 1
        return super().Allreduce(*arguments, **options)

    def Allgather(self, *arguments, **options):
        self.collectives += 1
        return super().Allgather(*arguments, **options)

    def allreduce(self, *arguments, **options):
        self.collectives += 1
        return super().allreduce(*arguments, **options)

    def bcast(self, *arguments, **options):
        self.collectives += 1
        return super().bcast(*arguments, **options)


class Meter:
    """Time, processor time and memory of calls that all ranks make together."""

    def __init__(self, comm) -> None:
        self.comm = comm
        machine.start_memory()

    def __call__(self, action: Callable[[], dict], repeats: int = 1, warm: bool = False) -> dict:
        """Return what `action` returns, with ``seconds``, ``cpu`` and ``memory`` of a call."""
        if warm:
            action()
        machine.reset_peak_memory()
        self.comm.Barrier()
        before = self.comm.collectives
        begin, spent = time.perf_counter(), _cpu()
        for _ in range(repeats):
            found = action()
        cpu = (_cpu() - spent) / repeats
        self.comm.Barrier()
        seconds = (time.perf_counter() - begin) / repeats
        found = found or {}
        found["seconds"] = seconds
        found["collectives"] = (self.comm.collectives - before) / repeats
        found["cpu"] = self.comm.allgather(cpu)
        found["memory"] = self.comm.allgather(machine.memory())
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sample", type=Path)
    parser.add_argument("workloads", nargs="+", choices=(*WORKLOADS, "motion"))
    arguments = parser.parse_args()
    comm = CountingComm(MPI.COMM_WORLD)
    meter = Meter(comm)
    answer: dict = {"ranks": comm.size, "machine": _machine(comm)}
    system = None

    def assemble() -> dict:
        nonlocal system
        system = HarmonicSystem(comm, Domain.read(comm, arguments.sample))
        operator = system.operator
        return {"operator bytes": comm.allgather(operator.memory)}

    answer["assembly"] = meter(assemble)
    halo = system.operator.halo
    answer["particles"], answer["dimension"] = halo.n_sites, system.operator.site_size
    answer["owned"] = comm.allgather(halo.n_owned)
    answer["ghosts"] = comm.allgather(len(halo.ghosts))
    for name in arguments.workloads:
        if name == "motion":
            answer |= motion(meter, arguments.sample, system.operator.random_block(1, 3))
        else:
            answer[name] = WORKLOADS[name](meter, system)
    if comm.rank == 0:
        json.dump(answer, sys.stdout)


def product(meter: Meter, system) -> dict:
    """One block product with its exchange of ghost rows."""
    operator = system.operator
    x, y = operator.work_block(WIDTH), operator.work_block(WIDTH)
    x[: operator.n_local] = operator.random_block(WIDTH, 1)
    repeats = max(5, int(2e6 / operator.n * 10))
    found = meter(lambda: operator.accumulate(x, y, 1e-3, 1e-3), repeats, warm=True)
    return found | {"block products": 1}


def modes(meter: Meter, system) -> dict:
    """The lowest modes, without a certificate."""
    operator = system.operator

    def solve() -> dict:
        found = lowest_modes(operator, count=MODES, certificate=False)
        names = ("degree", "basis_columns", "products", "seconds_by_part", "memory_bytes")
        info = {name: found.solver[name] for name in names if name in found.solver}
        info["block products"] = info["products"] / WIDTH
        return info | {"residual": float(found.residuals.max())}

    return meter(solve)


def gradients(meter: Meter, system) -> dict:
    """Conjugate gradients on a block of random forces."""
    operator = system.stiffness
    right = operator.project(np.asfortranarray(operator.random_block(WIDTH, 2)))

    def solve() -> dict:
        _, info = conjugate_gradient(operator, right, tolerance=TOLERANCE)
        residual = float(info.residuals.max())
        return {"block products": info.products / WIDTH, "residual": residual}

    return meter(solve)


def density(meter: Meter, system) -> dict:
    """The density of states by moments."""
    operator = system.operator
    resolution = RESOLUTION * float(np.sqrt(spectral_bound(operator).upper))

    def solve() -> dict:
        before = operator.products
        density_of_states(operator, resolution=resolution)
        return {"block products": (operator.products - before) / WIDTH}

    return meter(solve)


def motion(meter: Meter, path: Path, seed_block: np.ndarray) -> dict[str, dict]:
    """Molecular dynamics and the quench that follows, pair potentials only.

    seed_block : (n_local, 1), numbers in [-1, 1) by place, alike on any number of ranks.
    """
    start = Domain.read(meter.comm, path)
    potential = models.from_spec(start.sample.model)
    dynamics = DomainDynamics(start, potential)
    velocities = seed_block.reshape(-1, start.dimension) * np.sqrt(3 * 2 * TEMPERATURE)
    thermostat = {"temperature_start": TEMPERATURE, "thermostat_time": 0.2}
    hot = dynamics.run(start, velocities, STEPS, TIME_STEP, **thermostat)

    def run() -> dict:
        found = dynamics.run(hot.positions, hot.velocities, STEPS, TIME_STEP, **thermostat)
        return {"steps": STEPS, "list builds": found.list_builds}

    def quench() -> dict:
        _, info, parts = minimise_domain(hot.positions, potential)
        counts = ("force_evaluations", "hessian_products", "force_ratio")
        return {"seconds_by_part": parts} | {name: float(vars(info)[name]) for name in counts}

    return {"dynamics": meter(run), "quench": meter(quench)}


WORKLOADS = {"product": product, "modes": modes, "gradients": gradients, "density": density}


def _machine(comm) -> dict:
    """Measure messages, reductions and the bandwidth of memory with all ranks at work."""
    found = {"reduction": _reduction(comm), "triad": shared_triad(comm)}
    if comm.size > 1:
        small, large = _message(comm, 8), _message(comm, 2**20)
        found |= {"latency": small, "bandwidth": (2**20 - 8) / (large - small)}
    return found


def _reduction(comm) -> float:
    """Return the seconds of one Allreduce of 8 x 8 numbers."""
    mine, total = np.ones((WIDTH, WIDTH)), np.empty((WIDTH, WIDTH))
    return _best(comm, lambda: comm.Allreduce(mine, total))


def _message(comm, size: int) -> float:
    """Return the seconds that a message of `size` bytes takes from rank 0 to rank 1."""
    buffer = np.zeros(size, np.uint8)

    def there_and_back() -> None:
        if comm.rank == 0:
            comm.Send(buffer, dest=1)
            comm.Recv(buffer, source=1)
        elif comm.rank == 1:
            comm.Recv(buffer, source=0)
            comm.Send(buffer, dest=0)

    return _best(comm, there_and_back) / 2


def _best(comm, action: Callable[[], None], rounds: int = 20, repeats: int = 20) -> float:
    """Return the seconds of a call in the fastest of some rounds, as rank 0 sees it.

    The fastest, because a rank that has lost its core to another process makes a message take
    milliseconds.
    """
    seconds = []
    for _ in range(rounds):
        comm.Barrier()
        begin = time.perf_counter()
        for _ in range(repeats):
            action()
        seconds.append((time.perf_counter() - begin) / repeats)
    return comm.bcast(min(seconds))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
