"""Fuzz the importers and the configuration, and record what came of it.

    python tests/fuzz/run.py --importer all --count 10000 --seed 1 --record results/reference/fuzz

Each case is a valid file that was spoiled (`mutations`); it follows from format, seed and number
alone.  Cases run in worker processes with limited memory, so that a crash or an endless loop is a
result and not the end.  Binary formats are read without their child process there, which is where
crashes come to light; each of those cases is then repeated with it and must end in one line.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1] / "src")]

from mutations import spoil  # noqa: E402
from seeds import SUFFIX, seeds  # noqa: E402
from targets import COMPILED, KINDS, attempt  # noqa: E402

MEMORY = 6 * 2**30
PATIENCE_S = 15.0
"""Seconds for one case, far above the slowest one."""

FAILURES = ("unclean", "crash", "hang")


def case(kind: str, seed: int, number: int, valid: list[bytes]) -> bytes:
    """Return the content of one case."""
    rng = np.random.default_rng([seed, KINDS.index(kind), number])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return spoil(rng, kind, valid)


def judge(kind: str, path: Path) -> tuple[str, str]:
    """Return the outcome of a file and, of a failure, its traceback."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return attempt(kind, path), ""
    except Exception:  # the whole point: anything else is a defect
        return "unclean", traceback.format_exc()


def work(kind: str, seed: int, first: int, last: int) -> None:
    """Run cases and write a line before and after each; the parent watches."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    valid = seeds()[kind]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        path = Path(folder) / f"case{SUFFIX[kind]}"
        for number in range(first, last):
            path.write_bytes(case(kind, seed, number, valid))
            print(json.dumps([number]), flush=True)
            started = time.perf_counter()
            outcome, trace = judge(kind, path)
            seconds = time.perf_counter() - started
            print(json.dumps([number, outcome, seconds, trace]), flush=True)


def fuzz(kind: str, seed: int, count: int, show: bool = True) -> dict:
    """Run all cases of a format and return the counts."""
    outcomes: Counter[str] = Counter()
    failures: list[tuple[int, str, str]] = []
    slowest = (0.0, -1)
    begun, done, started = -1, 0, time.monotonic()
    while done < count:
        worker = _worker(kind, seed, done, count)
        buffer = b""
        while True:
            ready = select.select([worker.stdout], [], [], PATIENCE_S + 30.0 * (begun < done))[0]
            piece = os.read(worker.stdout.fileno(), 2**16) if ready else b""
            if not piece:
                break
            *lines, buffer = (buffer + piece).split(b"\n")
            for line in lines:
                number, *rest = json.loads(line)
                begun = number
                if rest:
                    outcome, seconds, trace = rest
                    done = number + 1
                    outcomes[outcome] += 1
                    slowest = max(slowest, (seconds, number))
                    if trace:
                        failures.append((number, outcome, trace))
        worker.kill()
        worker.wait()
        if done < count:  # it ended in the middle of case `done`
            outcome = "crash" if ready else "hang"
            if kind in COMPILED and _is_contained(kind, seed, done):
                outcome = f"contained {outcome}"
            else:
                failures.append((done, outcome, f"exit code {worker.returncode}"))
            outcomes[outcome] += 1
            done += 1
    if show:
        _print(kind, outcomes, failures)
    seconds = time.monotonic() - started
    return {"outcomes": outcomes, "failures": failures, "slowest": slowest, "seed": seed,
            "seconds": seconds}  # fmt: skip


def _worker(kind: str, seed: int, first: int, last: int) -> subprocess.Popen:
    words = ["--worker", kind, "--seed", str(seed), "--first", str(first), "--count", str(last)]
    return subprocess.Popen(
        [sys.executable, __file__, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def _is_contained(kind: str, seed: int, number: int) -> bool:
    """Tell whether a case that broke a worker ends in one line when a child process reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"case{SUFFIX[kind]}"
        path.write_bytes(case(kind, seed, number, seeds()[kind]))
        try:
            return attempt(kind, path, isolated=True) != "accepted"
        except Exception:
            traceback.print_exc()
            return False


def _print(kind: str, outcomes: Counter, failures: list) -> None:
    print(kind, dict(outcomes), flush=True)
    distinct = {}
    for number, outcome, trace in failures:
        distinct.setdefault(trace.strip().splitlines()[-1][:150], (number, outcome, trace))
    for number, outcome, trace in list(distinct.values())[:8]:
        print(f"--- case {number}: {outcome}\n{trace[-1800:]}", flush=True)


COLUMNS = (
    "format", "cases", "accepted", "refused", "refused_as", "contained_crashes",
    "contained_hangs", "failures", "slowest_s", "slowest_case", "seconds", "seed",
)  # fmt: skip


def record(folder: Path, kind: str, result: dict) -> None:
    """Write the row of a format into the table and the page of a run, which keep other rows."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "fuzz.csv"
    rows = {}
    if table.exists():
        with open(table, encoding="utf-8", newline="") as file:
            rows = {row["format"]: list(row.values()) for row in csv.DictReader(file)}
    rows[kind] = _row(kind, result)
    ordered = [rows[name] for name in KINDS if name in rows]
    with open(table, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *ordered])
    lines = [f"| {' | '.join(str(cell) for cell in row)} |" for row in ordered]
    page = [
        "# Hostile files: a recorded run", "",
        "Every case is a valid file that was spoiled: bits, bytes, blocks, words, lines, or its",
        "structure (arrays of other types and sizes, links, JSON and YAML trees, aliases). A row",
        "is repeated, and written here again, by", "",
        "    python tests/fuzz/run.py --importer FORMAT --count CASES --seed SEED \\",
        "        --record results/reference/fuzz", "",
        f"Run with {_versions()}.",
        "The machine was busy with other work: times are upper bounds.", "",
        f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS), *lines, "",
        "`failures` counts tracebacks, messages that are not one printable line, accepted files",
        "that are not finite and consistent, crashes and endless loops. A contained crash or hang",
        "broke the library in a worker that read the file directly; read in its child process, as",
        "`glassmodes` does, the same file ended in one line.", "",
    ]  # fmt: skip
    (folder / "README.md").write_text("\n".join(page), encoding="utf-8")


def _row(kind: str, result: dict) -> list:
    outcomes = result["outcomes"]
    special = {"accepted", "contained crash", "contained hang", *FAILURES}
    refused = {name: n for name, n in sorted(outcomes.items()) if name not in special}
    return [
        kind, sum(outcomes.values()), outcomes["accepted"], sum(refused.values()),
        " ".join(f"{name}:{n}" for name, n in refused.items()), outcomes["contained crash"],
        outcomes["contained hang"], len(result["failures"]), f"{result['slowest'][0]:.3f}",
        result["slowest"][1], f"{result['seconds']:.0f}", result["seed"],
    ]  # fmt: skip


def _versions() -> str:
    import gsd.version
    import h5py
    import yaml

    return (
        f"Python {sys.version.split()[0]}, numpy {np.__version__}, h5py {h5py.__version__} with "
        f"HDF5 {h5py.version.hdf5_version}, GSD {gsd.version.version}, PyYAML {yaml.__version__}"
    )


def main() -> int:
    """Fuzz as the command line says and return 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--importer", default="all", choices=("all", *KINDS))
    parser.add_argument("--count", type=int, default=10_000, help="cases of each format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, help="folder for the table and the page of the run")
    parser.add_argument("--keep", type=int, metavar="CASE", help="write this case to ./case.* only")
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.worker, args.seed, args.first, args.count)
        return 0
    kinds = KINDS if args.importer == "all" else (args.importer,)
    if args.keep is not None:
        for kind in kinds:
            content = case(kind, args.seed, args.keep, seeds()[kind])
            Path(f"case{SUFFIX[kind]}").write_bytes(content)
        return 0
    failed = False
    for kind in kinds:
        result = fuzz(kind, args.seed, args.count)
        failed |= bool(result["failures"])
        if args.record:
            record(args.record, kind, result)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
