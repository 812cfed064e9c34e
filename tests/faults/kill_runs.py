"""Kill a campaign at random moments, rerun it once, and record what happened.

    python tests/faults/kill_runs.py --kills 50 --seed 1 --out results/reference/faults

A fresh campaign (serial batches and an ensemble on two ranks) runs; at a random moment the run
command, Snakemake, a job, its worker, an MPI launcher or one rank gets SIGKILL; once the run
command has ended, the same command starts again, once and at once.  That rerun is the next to be
killed, up to five times a campaign, and the last one runs to the end, where tables, samples
computed and processes are compared with what an undisturbed run leaves.  OUT gets ``kills.csv``,
one line a kill, and ``summary.json``.  The exit code is 1 if a rerun did not go on, a finished
sample was computed again, tables differ, or a process of a killed run lived on for ten seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from campaign_tree import (
    CONTENT,
    LONGER,
    ROLES,
    Found,
    Ledger,
    differences,
    processes_in,
    start,
    write_config,
)

ORPHAN_S = 10.0
"""A process of a killed run that lives longer than this is an orphan."""
CHAIN = 5
"""Kills that one campaign lives through."""
GOES_ON = ("finished", "went on until the next kill")
ENDED, LIVED = "seconds_until_it_had_ended", "seconds_until_all_had_ended"
COLUMNS = (
    "kill",
    "campaign",
    "seconds_after_start",
    "target",
    "pid",
    "work_at_the_moment",
    "parts_before",
    "exit_code_of_the_killed_run",
    "seconds_until_it_had_ended",
    "seconds_until_all_had_ended",
    "orphans",
    "rerun",
    "samples_computed_twice",
    "tables_that_differ",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of targets and moments")
    parser.add_argument("--out", type=Path, required=True, help="folder for kills.csv and summary")
    parser.add_argument("--work", type=Path, help="folder to work in (default: a temporary one)")
    parser.add_argument(
        "--merge",
        type=Path,
        nargs="+",
        metavar="RECORD",
        help="join records of several runs in OUT",
    )
    arguments = parser.parse_args()
    if arguments.merge:
        return 0 if all(is_well(kill) for kill in merge(arguments.merge, arguments.out)) else 1
    work = arguments.work or Path(tempfile.mkdtemp(prefix="kill-runs-"))
    try:
        kills = record_kills(
            work.resolve(), arguments.kills, arguments.seed, arguments.out, content=LONGER
        )
    finally:
        if arguments.work is None:
            shutil.rmtree(work, ignore_errors=True)
    return 0 if all(is_well(kill) for kill in kills) else 1


def record_kills(
    work: Path, kills: int, seed: int, out: Path, chain: int = CHAIN, content: dict = CONTENT
) -> list[dict]:
    """Do all kills and return their records; `out` is rewritten after each campaign."""
    rng = random.Random(seed)
    reference = work / "undisturbed"
    write_config(reference, content)
    began = time.monotonic()
    if start(reference).wait() != 0:
        raise SystemExit((reference / "said").read_text())
    length = time.monotonic() - began
    targets = [ROLES[k % len(ROLES)] for k in range(kills)]
    rng.shuffle(targets)
    records: list[dict] = []
    campaign = 0
    while targets:
        campaign += 1
        folder = work / f"campaign-{campaign:03d}"
        write_config(folder, content)
        found = one_campaign(folder, reference, targets, rng, length, chain)
        for record in found:
            records.append({"kill": len(records) + 1, "campaign": campaign, **record})
            print(records[-1], flush=True)
        if records:
            write_record(out, records, length, [seed])
        if all(is_well(record) for record in found):
            shutil.rmtree(folder)
    return records


def is_well(kill: dict) -> bool:
    """Tell whether a kill cost nothing but the samples in flight."""
    bad = ("samples_computed_twice", "orphans", "tables_that_differ")
    return kill["rerun"] in GOES_ON and not any(kill[name] for name in bad)


def one_campaign(
    folder: Path,
    reference: Path,
    targets: list[str],
    rng: random.Random,
    length: float,
    chain: int,
) -> list[dict]:
    """Run a fresh campaign to its end through at most `chain` kills, taken from `targets`."""
    ledger, records = Ledger(), []
    run, began = start(folder), time.monotonic()
    while targets and len(records) < chain:
        target = targets[0]
        delay = rng.uniform(0, length / 2) if target in ROLES[:2] else rng.uniform(0, length / 10)
        victim = wait_for_victim(folder, run, target, delay)
        tree = processes_in(folder)
        if victim is None or not kill(victim):
            break  # the campaign was faster; the next one gets this kill
        targets.pop(0)
        if records:
            records[-1]["rerun"] = "went on until the next kill"
        work = sorted({p.work for p in tree if p.role in ("worker", "rank")})
        parts = len(list((folder / "results" / "parts").rglob("[0-9]*.h5")))
        at, killed = time.monotonic() - began, time.monotonic()
        code = run.wait()
        ended = time.monotonic()
        ledger.collect(folder)
        old = [p for p in dict.fromkeys([*tree, *processes_in(folder)]) if p.alive]
        run, began = start(folder), time.monotonic()  # at once, while ranks may be dying
        while any(p.alive for p in old) and time.monotonic() - ended < ORPHAN_S:
            time.sleep(0.05)
        records.append(
            {
                "seconds_after_start": round(at, 2),
                "target": target,
                "pid": victim.pid,
                "work_at_the_moment": " + ".join(work) or "none",
                "parts_before": parts,
                "exit_code_of_the_killed_run": code,
                "seconds_until_it_had_ended": round(ended - killed, 2),
                "seconds_until_all_had_ended": round(time.monotonic() - killed, 2),
                "orphans": sum(p.alive for p in old),
                "rerun": "",
                "samples_computed_twice": 0,
                "tables_that_differ": "",
            }
        )
    code = run.wait()
    ledger.collect(folder)
    if records:
        records[-1]["rerun"] = "finished" if code == 0 else f"exit code {code}"
        records[-1]["samples_computed_twice"] = ledger.computed_twice()
        records[-1]["tables_that_differ"] = " ".join(differences(folder, reference))
    return records


def kill(victim: Found) -> bool:
    """Kill a process; tell whether it was there."""
    try:
        os.kill(victim.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for_victim(folder: Path, run, target: str, delay: float) -> Found | None:
    """Return a living process of the role after a delay from the first one; None if none came."""

    def living() -> list[Found]:
        return [p for p in processes_in(folder) if p.role == target]

    def wait(condition: Callable[[], bool]) -> bool:
        while run.poll() is None:
            if condition():
                return True
            time.sleep(0.05)  # a look at all processes costs milliseconds
        return False

    if not wait(lambda: bool(living())):
        return None
    until = time.monotonic() + delay
    wait(lambda: time.monotonic() >= until)
    found: list[Found] = []

    def take() -> bool:
        found[:] = living()
        return bool(found)

    return found[int(delay * 1e6) % len(found)] if wait(take) else None


def merge(folders: list[Path], out: Path) -> list[dict]:
    """Join the records of runs with different seeds, numbered anew."""
    records: list[dict] = []
    seeds, length = [], 0.0
    for folder in folders:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        seeds += summary["seeds"] if "seeds" in summary else [summary["seed"]]
        length = max(length, summary["undisturbed_run_s"])
        before = records[-1]["campaign"] if records else 0
        with open(folder / "kills.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = {name: int(row[name]) for name in ("orphans", "samples_computed_twice")}
                numbers |= {"kill": len(records) + 1, "campaign": int(row["campaign"]) + before}
                times = {name: float(row[name]) for name in (ENDED, LIVED)}
                records.append({**row, **numbers, **times})
    write_record(out, records, length, seeds)
    return records


def write_record(out: Path, records: list[dict], length: float, seeds: list[int]) -> None:
    """Write kills.csv and summary.json."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "kills.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    summary = {
        "kills": len(records),
        "campaigns": records[-1]["campaign"],
        "seeds": seeds,
        "by_target": count(r["target"] for r in records),
        "by_stage": count(stage_of(r["work_at_the_moment"]) for r in records),
        "reruns_that_did_not_go_on": sum(r["rerun"] not in GOES_ON for r in records),
        "samples_computed_twice": sum(r["samples_computed_twice"] for r in records),
        "orphans": sum(r["orphans"] for r in records),
        "campaigns_with_other_tables": sum(bool(r["tables_that_differ"]) for r in records),
        "longest_between_both_ends_s": round(max(r[LIVED] - r[ENDED] for r in records), 2),
        "kills_with_finished_samples_in_a_batch": sum(int(r["parts_before"]) > 0 for r in records),
        "undisturbed_run_s": round(length, 1),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def count(words) -> dict[str, int]:
    """Return how often each word occurs, in alphabetical order."""
    return dict(sorted(Counter(words).items()))


def stage_of(work: str) -> str:
    """Return the stages at work: ``analyse flat/000000-000001`` is one of ``analyse``."""
    return " and ".join(sorted({job.split()[0] for job in work.split(" + ")}))


if __name__ == "__main__":
    sys.exit(main())
