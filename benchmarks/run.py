"""Measure glassmodes side by side with its peers, and over ranks; record the table.

make benchmark
.venv/bin/python benchmarks/run.py --only modes --sizes 2000 --name try
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import isolated
import machine
import scaling
from exponents import exponents
from rows import Row, markdown, write_csv

import glassmodes

HERE = Path(__file__).resolve().parent
SMALL = ((2000, 3), (8000, 3))
GLASSES = (*SMALL, (32_000, 3), (100_000, 3), (8000, 2), (2000, 4))
NETWORKS = ((10_000, 3), (100_000, 3), (1_000_000, 3))


@dataclass(frozen=True)
class Case:
    """Particles and dimension of the samples; peers by function, with their title; samples."""

    sizes: tuple[tuple[int, int], ...] = GLASSES
    peers: dict[str, str] = field(default_factory=dict)
    samples: tuple[str, str] = ("glasses", "glass_path")


CASES = {
    "assembly": Case(peers={"matscipy_hessian": "matscipy"}),
    "modes": Case(
        peers={
            "scipy_eigsh": "scipy eigsh(sigma)",
            "slepc_shift_invert": "SLEPc Krylov-Schur, shift-invert, MUMPS",
            "slepc_filter": "SLEPc Krylov-Schur, STFILTER",
            "scipy_lobpcg": "scipy LOBPCG, block Jacobi",
        }
    ),
    "dipoles": Case(peers={"mumps_one_at_a_time": "PETSc MUMPS, one at a time"}),
    "moduli": Case(peers={"matscipy_moduli": "matscipy, CG to 1e-5"}),
    "density": Case(peers={"lapack": "LAPACK, all eigenvalues"}),
    "dynamics": Case(SMALL),
    "spectral": Case(
        NETWORKS, {"petsc_products": "PETSc matMult"}, ("networks", "network_path")
    ),
    "dense": Case(((2333, 3),), {"lapack": "LAPACK"}, ("networks", "network_path")),
}  # fmt: skip
SCALING, LARGE = "scaling", "large"
PATIENCE = 60.0  # seconds for a peer
LIMIT = 900.0  # seconds for ours
PREPARATION = 3600.0  # seconds for a sample that is not there yet
GIGABYTES = 14.0  # for any process


def main() -> None:
    arguments = parse()
    begin = time.perf_counter()
    facts = machine.describe()
    facts["glassmodes"] = glassmodes.__version__
    facts["process start-up"] = f"{machine.start_up_seconds():.2f} s"
    facts["limits of a peer"] = f"{arguments.patience:.0f} s, {GIGABYTES:.0f} GB"
    load = os.getloadavg()[0]
    if load > machine.IDLE:
        print(f"warning: the load is {load:.2f}; these times are not to be quoted", file=sys.stderr)

    rows: list[Row] = []
    for case in arguments.only:
        if case in CASES:
            rows += run_case(case, arguments)
        else:
            rows += run_ranks(case, arguments.ranks)
        record(arguments.name, facts, begin, rows)  # a run that is cut keeps what it has
    rows += exponents(rows)
    print(record(arguments.name, facts, begin, rows))


def run_ranks(name: str, ranks: list[int]) -> list[Row]:
    """Run the cases over ranks; one that fails keeps what came before."""
    large = name == LARGE
    source = scaling.measure_large(max(ranks)) if large else scaling.measure_all(ranks)
    rows: list[Row] = []
    try:
        for row in source:
            rows.append(row)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        rows.append(Row(name, 0, "glassmodes", float("nan"), accuracy=str(error)))
    print(markdown(rows), file=sys.stderr, flush=True)
    return rows


def run_case(name: str, arguments: argparse.Namespace) -> list[Row]:
    """Run one case, ours and its peers, at every size."""
    case, rows = CASES[name], []
    spent: dict[str, tuple[int, float]] = {}  # last 3D size and seconds of each peer
    for particles, dimension in case.sizes:
        if arguments.sizes and particles not in arguments.sizes:
            continue
        print(f"{name}, d = {dimension}, N = {particles:,} ...", file=sys.stderr, flush=True)
        sample = isolated.call(
            *case.samples, particles, dimension, seconds=PREPARATION, gigabytes=GIGABYTES
        )
        if sample.stopped:
            raise SystemExit(f"no sample of {particles:,} particles: {sample.stopped}")
        new = run_size(name, sample.value, particles, dimension, spent, arguments)
        for row in new:
            row.dimension, row.particles = dimension, row.particles or particles
        print(markdown(new), file=sys.stderr, flush=True)
        rows += new
    return rows


def run_size(
    name: str, sample: Path, particles: int, dimension: int, spent: dict, arguments
) -> list[Row]:
    """Run ours, then every peer that still has a chance, each in a process of its own."""
    done = isolated.call(name, "ours", sample, seconds=LIMIT, gigabytes=GIGABYTES)
    if done.stopped:
        return [Row(name, particles, "glassmodes", float("nan"), accuracy=done.stopped)]
    rows = list(done.value.rows)
    for row in rows:
        row.load_after = os.getloadavg()[0]
    if arguments.no_peers:
        return rows
    case = rows[-1].case
    for function, title in CASES[name].peers.items():
        hopeless = why_hopeless(particles, arguments.patience, spent.get(function))
        if dimension == 3 and hopeless:
            rows.append(Row(case, particles, title, float("nan"), accuracy=hopeless))
            continue
        peer = isolated.call(
            *(name, function, sample, done.value.numbers),
            seconds=arguments.patience, gigabytes=GIGABYTES,
        )  # fmt: skip
        if not peer.applies:
            continue
        if dimension == 3:
            spent[function] = particles, float("inf") if peer.stopped else peer.seconds
        if peer.stopped:
            rows.append(Row(case, particles, title, float("nan"), accuracy=peer.stopped))
            continue
        found = peer.value if isinstance(peer.value, list) else [peer.value]
        for row in found:
            best = min(mine.value for mine in done.value.rows if mine.case == row.case)
            row.gain, row.load_after = row.value / best, os.getloadavg()[0]
        rows += found
    return rows


def why_hopeless(particles: int, patience: float, before: tuple[int, float] | None) -> str:
    """Say why a peer need not be tried: no method costs less than in proportion to N.

    before : its last size and the seconds of one pass there, infinite if it was stopped.
    """
    if before is None:
        return ""
    size, seconds = before
    if seconds == float("inf"):
        return f"not tried: stopped at N = {size:,}"
    if seconds * particles / size > patience:
        return f"not tried: took {seconds:.0f} s at N = {size:,}"
    return ""


def record(name: str, facts: dict[str, str], begin: float, rows: list[Row]) -> Path:
    """Write benchmarks/results/<name>.csv and .md; return the latter."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    facts = facts | {"minutes": f"{(time.perf_counter() - begin) / 60:.1f}"}
    facts["load after"] = " ".join(f"{load:.2f}" for load in os.getloadavg())
    write_csv(folder / f"{name}.csv", facts, rows)
    command = " ".join(["python", "benchmarks/run.py", *sys.argv[1:]])
    lines = [f"# Benchmark: {name}", "", f"Recorded by `{command}`.", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items()]
    path = folder / f"{name}.md"
    path.write_text("\n".join(lines) + "\n\n" + markdown(rows))
    return path


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = (*CASES, SCALING)
    parser.add_argument("--name", default="latest", help="name of the files in benchmarks/results")
    parser.add_argument("--only", nargs="+", choices=(*usual, LARGE), default=usual,
                        help="cases to run (default: all but large)")  # fmt: skip
    parser.add_argument(
        "--sizes", nargs="+", type=int, help="numbers of particles (default: those of each case)"
    )
    parser.add_argument("--no-peers", action="store_true", help="time ours only")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, metavar="S", help="seconds that a peer gets"
    )
    parser.add_argument(
        "--ranks", nargs="+", type=int, default=[1, 2], metavar="R", help="ranks to scale over"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
