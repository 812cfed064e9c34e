"""Measure glassmodes side by side with its peers and record the table.

make benchmark
.venv/bin/python benchmarks/run.py --only modes --sizes 2000 --name try
"""

from __future__ import annotations

import glassmodes  # isort: skip  sets one BLAS thread before numpy loads

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

import machine
from rows import Row, markdown, write_csv

HERE = Path(__file__).resolve().parent
CASES = ("modes", "dipoles", "moduli", "dynamics")
IDLE = 0.3


def main() -> None:
    arguments = parse()
    facts = machine.describe()
    facts["glassmodes"] = glassmodes.__version__
    facts["process start-up"] = f"{machine.start_up_seconds():.2f} s"
    load = os.getloadavg()[0]
    if load > IDLE:
        print(f"warning: the load is {load:.2f}; these times are not to be quoted", file=sys.stderr)

    from glasses import glass

    rows: list[Row] = []
    for particles in arguments.sizes:
        sample = glass(particles)
        for case in arguments.only:
            print(f"{case}, N = {particles:,} ...", file=sys.stderr, flush=True)
            new = import_module(case).run(sample, with_peers=not arguments.no_peers)
            rows += new
            print(markdown(new), file=sys.stderr, flush=True)
    record(arguments.name, facts, rows)


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
        "--sizes", nargs="+", type=int, default=[2000, 8000], help="numbers of particles"
    )
    parser.add_argument("--no-peers", action="store_true", help="time ours only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
