"""Strong and weak scaling over ranks, and what the model of `prediction` makes of it.

Every communicator is an mpiexec of its own; samples are glasses of `glasses`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import isolated
import prediction
from rows import NAN, Row

HERE = Path(__file__).resolve().parent
STRONG = (32_000, 100_000)  # particles, whatever the number of ranks
WEAK = 16_000  # particles a rank
TITLES = {
    "assembly": "assembly",
    "product": "block product, 8 columns",
    "modes": "lowest 100 modes",
    "gradients": "conjugate gradients, 8 columns",
    "density": "density of states, 16 vectors",
    "dynamics": "molecular dynamics, 300 steps",
    "quench": "quench of a liquid",
}
WORKLOADS = ("product", "modes", "gradients", "density")  # those that the model knows
MOTION = "motion"  # dynamics and quench
LARGE = 1_000_000
COORDINATION = 8.0
NETWORK = HERE / "samples" / f"fcc_cut_{LARGE}.h5"
PREDICTED = (8, 64, 1024)
LIMIT = 7200.0  # seconds for one communicator
GIGABYTES = 14.0


def measure_all(ranks: Sequence[int]) -> Iterator[Row]:
    """Yield the rows of strong and weak scaling, and predictions from the former.

    Raises
    ------
    RuntimeError
        If a run over ranks fails.
    """
    runs: dict[tuple[int, int], dict] = {}
    counts = sorted(ranks)
    for particles in STRONG:
        sample = _glass(particles)
        for count in counts:
            workloads = (*WORKLOADS, MOTION) if particles == STRONG[0] else WORKLOADS
            runs[particles, count] = run = run_ranks(count, sample, workloads)
            yield from _rows(run, "strong", runs[particles, counts[0]])
        yield from predict(sample, [runs[particles, count] for count in counts])
    for count in counts:
        size = (WEAK * count, count)
        if size not in runs:
            runs[size] = run_ranks(count, _glass(WEAK * count), (*WORKLOADS, MOTION))
        yield from _rows(runs[size], "weak", runs[WEAK * counts[0], counts[0]])


def measure_large(ranks: int) -> Iterator[Row]:
    """Yield the rows of a network of 10^6 atoms over `ranks` ranks, made if not there.

    An fcc lattice with bonds cut from the atoms that have most: no floppy modes at this
    coordination, and made in seconds.
    """
    if not NETWORK.exists():
        NETWORK.parent.mkdir(exist_ok=True)
        command = ["glassmodes", "lattice", "--type", "fcc", "--particles", str(LARGE)]
        command += ["--coordination", str(COORDINATION), "--seed", "2026", "-o", str(NETWORK)]
        _mpiexec(1, command)
    run = run_ranks(ranks, NETWORK, WORKLOADS)
    yield from _rows(run, "large", None)
    yield from predict(NETWORK, [run])


def run_ranks(ranks: int, sample: Path, workloads: Iterable[str]) -> dict:
    """Return what `ranks` measures on a sample, with the load before and after."""
    print(f"scaling, {sample.name}, {ranks} rank(s) ...", file=sys.stderr, flush=True)
    before = os.getloadavg()[0]
    script = [sys.executable, str(HERE / "ranks.py"), str(sample), *workloads]
    answer = json.loads(_mpiexec(ranks, script).splitlines()[-1])
    return answer | {"load": before, "load after": os.getloadavg()[0]}


def predict(sample: Path, runs: list[dict]) -> list[Row]:
    """Return the times of the model for the runs made, as a check, and for many ranks."""
    measured = [run["ranks"] for run in runs]
    wanted = sorted({*measured, *PREDICTED})
    parts = isolated.call(
        "prediction", "partitions", sample, wanted, seconds=LIMIT, gigabytes=GIGABYTES
    )
    if parts.stopped:
        raise RuntimeError(f"no partition of {sample.name}: {parts.stopped}")
    for run in runs:
        counted, found = parts.value[run["ranks"]]["ghosts"], max(run["ghosts"])
        if run["ranks"] <= prediction.NODE and counted != found:
            raise RuntimeError(
                f"{sample.name} on {run['ranks']} rank(s) has {found:,} ghosts, "
                f"but cutting the curve gives {counted:,}"
            )
    rows = []
    for name in WORKLOADS:
        for count in wanted:
            spent = prediction.predict(runs[-1], name, parts.value, count)
            row = Row(TITLES[name], runs[0]["particles"], "glassmodes: model", spent.total)
            row.ranks, row.dimension = count, runs[0]["dimension"]
            row.details = {"scaling": "model", **vars(spent), "part": parts.value[count]}
            row.accuracy = spent.text()
            rows.append(row)
    return rows


def _rows(run: dict, kind: str, reference: dict | None) -> list[Row]:
    """Return a row for every workload of a run; `reference` is the run on the fewest ranks."""
    rows = []
    for name, title in TITLES.items():
        if name not in run:
            continue
        found = run[name]
        row = Row(title, run["particles"], f"glassmodes: {kind}", found["seconds"])
        row.ranks, row.dimension = run["ranks"], run["dimension"]
        row.memory, row.load, row.load_after = max(found["memory"]), run["load"], run["load after"]
        row.gain = reference[name]["seconds"] / row.value if reference else NAN
        cpu = f"processor {max(found['cpu']):.3g} s a rank"
        row.accuracy = f"{cpu}, {max(run['ghosts']):,} ghosts"
        if name == "quench":  # chaotic: its length depends on the number of ranks
            row.accuracy += f", {found['force_evaluations']:,.0f} forces"
        row.details = {"scaling": kind, "ghosts": run["ghosts"], "machine": run["machine"], **found}
        rows.append(row)
    return rows


def _glass(particles: int) -> Path:
    done = isolated.call("glasses", "glass_path", particles, seconds=3600, gigabytes=GIGABYTES)
    if done.stopped:
        raise RuntimeError(f"no glass of {particles:,} particles: {done.stopped}")
    return done.value


def _mpiexec(ranks: int, command: list[str]) -> str:
    """Run a command over ranks and return what rank 0 prints."""
    done = subprocess.run(
        ["mpiexec", "-n", str(ranks), *command], stdout=subprocess.PIPE, text=True, timeout=LIMIT
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed on {ranks} rank(s)")
    return done.stdout
