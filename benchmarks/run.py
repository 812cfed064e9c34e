"""Measure glassmodes side by side with its peers and record the table.

make benchmark
.venv/bin/python benchmarks/run.py --only modes --sizes 2000 --name try
"""

from __future__ import annotations

import glassmodes  # isort: skip  sets one BLAS thread before numpy loads

import argparse
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import machine
from rows import Row, markdown, write_csv

HERE = Path(__file__).resolve().parent
CASES = {
    "spectral": (10_000, 100_000, 1_000_000),  # first: it reports the memory of the process
    "modes": (2000, 8000),
    "dipoles": (2000, 8000),
    "moduli": (2000, 8000),
    "dynamics": (2000, 8000),
    "dense": (3106,),
}
"""Cases and the numbers of particles they run with."""
IDLE = 0.3


def main() -> None:
    arguments = parse()
    facts = machine.describe()
    facts["glassmodes"] = glassmodes.__version__
    facts["process start-up"] = f"{machine.start_up_seconds():.2f} s"
    load = os.getloadavg()[0]
    if load > IDLE:
        print(f"warning: the load is {load:.2f}; these times are not to be quoted", file=sys.stderr)

    rows: list[Row] = []
    for case in arguments.only:
        rows += run_case(case, arguments.sizes or CASES[case], not arguments.no_peers)
    record(arguments.name, facts, rows)


def run_case(case: str, sizes: Iterable[int], with_peers: bool) -> list[Row]:
    """Run one case at every size; a case may bring its own samples and compare its sizes."""
    from glasses import glass

    module = import_module(case)
    rows: list[Row] = []
    for particles in sizes:
        print(f"{case}, N = {particles:,} ...", file=sys.stderr, flush=True)
        sample = getattr(module, "sample", glass)(particles)
        new = module.run(sample, with_peers=with_peers)
        rows += new
        print(markdown(new), file=sys.stderr, flush=True)
    if hasattr(module, "compare_sizes"):
        rows += module.compare_sizes(rows)
    return rows


def record(name: str, facts: dict[str, str], rows: list[Row]) -> None:
    """Write benchmarks/results/<name>.csv and .md."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    write_csv(folder / f"{name}.csv", rows)
    command = " ".join(["python", "benchmarks/run.py", *sys.argv[1:]])
    lines = [f"# Benchmark: {name}", "", f"Recorded by `{command}`.", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items()]
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n\n" + markdown(rows))
    print(folder / f"{name}.md")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="latest", help="name of the files in benchmarks/results")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, help="cases to run")
    parser.add_argument(
        "--sizes", nargs="+", type=int, help="numbers of particles (default: those of each case)"
    )
    parser.add_argument("--no-peers", action="store_true", help="time ours only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
