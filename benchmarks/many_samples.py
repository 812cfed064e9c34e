"""Campaigns of 10^3 to 10^5 samples with synthetic result files in place of the physics.

    python benchmarks/many_samples.py --folder FOLDER --record benchmarks/results/many_samples

Every batch file is a real one (`records.write_batch`, all columns of the schema), only its numbers
are drawn instead of computed, and positions are left out: nothing after the stage analyse reads
them.  Snakemake takes the files over with ``--touch`` and from then on has its own record of each,
as after a real run.  Measured are wall time, CPU time of the process with its children, and the
largest memory of one process.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
import numpy as np
import yaml

from glassmodes.campaign.config import CampaignConfig, load_config
from glassmodes.campaign.manifest import build_manifest, sample_seed
from glassmodes.campaign.provenance import (
    analysis_settings,
    fingerprint,
    preparation_settings,
    write_resolved,
)
from glassmodes.campaign.record_schema import COMMON, SCHEMAS, RecordColumn
from glassmodes.campaign.records import Header, Row, refused, write_batch

MODES = 20
DIPOLES = 10
REFUSED_EVERY = 997
"""One sample in so many is refused, so that the tables have something to list."""

STEPS = ("dry_run", "status", "rerun", "partial", "tables", "fits", "compare", "figures", "report")
"""What is measured; the words of a command follow in `_command`."""


def write_config(folder: Path, samples: int, batch_size: int) -> Path:
    """Write the configuration of a campaign of `samples` glasses of 1,000 particles."""
    content = {
        "campaign": {"title": f"{samples} synthetic samples", "seed": 1, "results": "results"},
        "ensembles": {
            "many": {
                "model": "ipl_2d",
                "particles": 1000,
                "protocol": {"name": "instantaneous_quench", "temperature": 2.0},
                "samples": samples,
                "batch_size": batch_size,
            }
        },
        "analyses": {"modes": {"count": MODES}, "dipoles": {"count": DIPOLES}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def write_results(config: CampaignConfig) -> None:
    """Write the batch files of all stages; the same configuration gives the same bytes."""
    for batch in build_manifest(config):
        name, results = batch.ensemble, config.results
        settings: dict[str, Any] = {"samples": preparation_settings(config, name)}
        paths = {"samples": batch.samples_path(results)}
        for kind in config.analyses_of(name):
            settings[kind] = analysis_settings(config, name, kind)
            paths[kind] = batch.analysis_path(results, kind)
        ensemble = config.ensembles[name]
        assert ensemble.dimension is not None
        for kind, path in paths.items():
            if path.is_file():
                continue
            header = Header(
                kind,
                ensemble.dimension,
                ensemble.particles,
                fingerprint(settings[kind]),
                {"settings": settings[kind], "versions": {}},
            )
            rows = [
                Row(_record(kind, index, sample_seed(batch.seed, name, index), ensemble))
                for index in batch.indices
            ]
            write_batch(path, header, rows)


def _record(kind: str, index: int, seed: int, ensemble: Any) -> dict[str, Any]:
    """Return numbers of the right size for one sample."""
    if index % REFUSED_EVERY == REFUSED_EVERY - 1:
        more = {"seed": seed} if kind == "samples" else {}
        return {**refused(index, "saddle", "the smallest eigenvalue is negative"), **more}
    rng = np.random.default_rng([seed, len(kind)])
    record: dict[str, Any] = {"index": index, "status": "ok"}
    for column in SCHEMAS[kind][len(COMMON) :]:
        if not column.optional:
            record[column.name] = _value(kind, column, rng, ensemble)
    if kind == "samples":
        record["seed"] = seed
    if kind == "modes":
        # A cubic density of states up to the window, as of a solid in two dimensions.
        record["frequency"] = np.sort(2.0 * rng.random(MODES) ** 0.25)
        record["complete_below"] = float(record["frequency"][-1]) * 1.001
        record["zero_modes"] = ensemble.dimension
    return record


def _value(kind: str, column: RecordColumn, rng: np.random.Generator, ensemble: Any) -> Any:
    if column.kind == "text":
        return "inertia"
    length = MODES if kind == "modes" else DIPOLES
    shape = (length,) * column.ragged + column.sizes(ensemble.dimension, ensemble.particles)
    if column.kind == "flag":
        return True
    if column.kind == "integer":
        return rng.integers(1, ensemble.particles, shape)
    return rng.normal(10.0, 1.0, shape) if shape else float(rng.normal(10.0, 1.0))


def measure(words: list[str], folder: Path) -> dict[str, float]:
    """Run a command in `folder`; return seconds, CPU seconds and the largest memory in GB."""
    code = (
        "import json, resource, subprocess, sys, time\n"
        "begin = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n"
        "seconds = time.perf_counter() - begin\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "sys.stderr.buffer.write(done.stderr[-3000:] if done.returncode else b'')\n"
        "print(json.dumps([done.returncode, seconds, used.ru_utime + used.ru_stime,"
        " used.ru_maxrss * 1024e-9]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    code_, seconds, cpu, memory = json.loads(done.stdout)
    if code_:
        raise SystemExit(f"{' '.join(words)} ended with {code_}")
    return {"seconds": seconds, "cpu_seconds": cpu, "memory_gb": memory}


def _command(step: str) -> list[str]:
    start = [sys.executable, "-m", "glassmodes", "campaign"]
    end = ["--config", "config.yaml"]
    if step == "dry_run":
        return [*start, "run", *end, "analyse", "--", "--dry-run", "--quiet"]
    if step == "rerun":
        return [*start, "run", *end, "analyse"]
    return [*start, step, *end]


def is_up_to_date(folder: Path) -> bool:
    """Tell whether Snakemake has its record of all files and finds nothing to do."""
    metadata = folder / ".snakemake" / "metadata"
    if not metadata.is_dir() or not any(metadata.iterdir()):
        return False
    done = _snakemake(folder, "--dry-run", stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    return b"Nothing to be done" in done.stdout


def adopt(folder: Path) -> None:
    """Let Snakemake take over the files as if it had made them."""
    quiet = subprocess.DEVNULL
    _snakemake(folder, "--touch", "--forceall", stdout=quiet, stderr=quiet)


def _snakemake(folder: Path, *words: str, **options: Any) -> subprocess.CompletedProcess:
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "1", *words, "--", "analyse"]
    return subprocess.run(command, cwd=folder, **options)


def run_size(folder: Path, samples: int, batch_size: int, steps: list[str]) -> list[dict[str, Any]]:
    """Make one campaign and measure all steps in it."""
    path = write_config(folder, samples, batch_size)
    before = os.getcwd()
    os.chdir(folder)
    try:
        config = load_config(path)
        write_results(config)
        write_resolved(config, config.results / "config.json")
        # Other files or other rules than those that Snakemake knows would be made anew.
        if not is_up_to_date(folder):
            adopt(folder)
    finally:
        os.chdir(before)
    rows = []
    for step in steps:
        found = measure(_command(step), folder)
        batches = -(-samples // batch_size)
        row = {"samples": samples, "batch_size": batch_size, "batches": batches, "step": step}
        rows.append(row | {name: float(f"{value:.3g}") for name, value in found.items()})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for the campaigns; kept")
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--batch-size", type=int, nargs="+", default=[100])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--record", type=Path, help="write PATH.csv and PATH.json")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    facts = machine.describe()
    rows = []
    for samples in args.samples:
        for size in args.batch_size:
            folder = args.folder.resolve() / f"{samples}_{size}"
            rows += run_size(folder, samples, size, args.steps)
    facts["load after"] = " ".join(f"{load:.2f}" for load in os.getloadavg())
    if args.record is not None:
        write_record(args.record, rows, facts)


def write_record(path: Path, rows: list[dict[str, Any]], facts: dict[str, str]) -> None:
    """Write the numbers as CSV and as a page with the facts of the machine."""
    with open(path.with_suffix(".csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = ["# Many samples: recorded run", ""]
    lines += ["Made with `python benchmarks/many_samples.py --folder FOLDER --record PATH`."]
    lines += [
        "CPU seconds are those of the command and its children; seconds depend on the load.",
        "",
    ]
    lines += [f"- {name}: {fact}" for name, fact in facts.items() if fact]
    lines += ["", "| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])]
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
