"""The project's run command: Snakemake with a progress line, and a restart that just works.

One run at a time works in a folder, and one in a folder of results.  These locks are held by the
kernel for this process and for Snakemake, so a Snakemake lock that is found while ours is free
has a dead owner and is cleared.  When this process is killed, Snakemake and its jobs are killed
with it.  Damaged results are set aside, before the run or by the job that meets them, and
Snakemake starts once more to make them again.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from glassmodes import memory
from glassmodes.campaign.benchmark_files import EXTENDED
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.damage import damaged_files, pull_back, set_aside_broken
from glassmodes.campaign.locks import HELD, Lock, LockedError, results_lock
from glassmodes.campaign.processes import (
    descendants,
    die_with_parent,
    runs_module,
    snakemakes_in,
)
from glassmodes.campaign.progress import STAGES, render_duration, snakemake_log
from glassmodes.campaign.provenance import COMMAND_VARIABLE, typed_command
from glassmodes.campaign.retry import retry_refused
from glassmodes.campaign.site_profile import executor_of, jobs_at_a_time
from glassmodes.campaign.slurm_jobs import end_left_jobs, require_answer
from glassmodes.campaign.stale import announce
from glassmodes.campaign.stopping import SAME_REQUEST_S, SIGNALS
from glassmodes.campaign.watching import Watch
from glassmodes.errors import GlassmodesError, InputError, printable

POLL_S = 1.0
PLAIN_LINE_S = 15.0
"""Seconds between two progress lines where the output is no terminal."""
MOST_STARTS = 5
"""Starts of Snakemake in one run, each after damaged files were found and set aside."""


_DYING_S = 5.0
"""How long the Snakemake of a run that was killed a moment ago may live on."""


class CampaignFailed(GlassmodesError):
    """Some job failed; what is finished is kept."""

    exit_code = 1


class CampaignInterrupted(GlassmodesError):
    """The user ended the run; what is finished is kept."""

    exit_code = 130


def workflow_folder() -> Path:
    """Return the folder that holds the Snakefile: the working folder or the source tree."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[3]):
        if (folder / "Snakefile").is_file() and (folder / "workflow" / "rules").is_dir():
            return folder
    raise InputError(
        "no Snakefile here and none beside the installed package; run the campaign from a "
        "checkout of glassmodes"
    )


@dataclass(frozen=True)
class RunRequest:
    """What a run shall do.

    Attributes
    ----------
    config_path
        The configuration file.
    targets
        Stages or files; none means everything.
    force
        Stage to repeat, with what follows from it.
    cores
        Cores for local jobs; None means all.
    profile
        Folder of a Snakemake profile; None means the program's profile for one machine.
    extra
        More arguments for Snakemake.
    retry_refused
        Reason of refused samples to try again, empty for any; None tries none again.
    """

    config_path: Path
    targets: list[str] = field(default_factory=list)
    force: str | None = None
    cores: int | None = None
    profile: Path | None = None
    extra: list[str] = field(default_factory=list)
    retry_refused: str | None = None


def run_campaign(config: CampaignConfig, request: RunRequest) -> dict[str, Any]:
    """Run or resume a campaign in the working folder.

    Returns
    -------
    dict
        Seconds, samples by stage, and the paths of log and report.

    Raises
    ------
    LockedError
        Another run works in this folder, or in the folder of the results.
    CampaignFailed
        A job failed; the end of its log was printed.
    CampaignInterrupted
        Ctrl-C or SIGTERM ended it.
    """
    command = _command(config, request)
    if _only_looks(request.extra):
        announce(config, sys.stderr, only_looks=True)
        if code := _start(command, (), sys.stderr.fileno()).wait():
            raise CampaignFailed(f"snakemake ended with exit code {code}")
        return {}
    state = Path(".snakemake")
    here = Lock(state / "glassmodes.run.lock", "the campaign in this folder", keep=True)
    with here, results_lock(config.results) as there:
        if executor_of(request.profile) == "slurm":
            require_answer()
        _end_left_jobs(config)
        _clear_dead_lock(state)
        _make_ready(config, request)
        at_a_time = jobs_at_a_time(request.cores, request.profile)
        return _run(config, command, (here, there), at_a_time)


def _make_ready(config: CampaignConfig, request: RunRequest) -> None:
    """Clear away what a run must not find: leftovers of kills, damage, work to be repeated."""
    for folder in (".", "tables", "fits", "figures", "checksums"):
        for leftover in (config.results / folder).glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    if broken := set_aside_broken(config):
        _say_damaged(broken)
    if ahead := pull_back(config):
        print(
            f"glassmodes: {ahead} files were dated in the future and have the time of now; "
            "the clock of some machine is wrong",
            file=sys.stderr,
        )
    announce(config, sys.stderr, force=request.force)
    if request.retry_refused is not None:
        count = retry_refused(config, request.retry_refused)
        print(f"glassmodes: {count} refused samples will be tried again", file=sys.stderr)


def _say_damaged(paths: Iterable[Path]) -> None:
    for path in paths:
        print(f"glassmodes: {printable(str(path))} is damaged and was set aside", file=sys.stderr)


def _command(config: CampaignConfig, request: RunRequest) -> list[str]:
    folder = workflow_folder()
    local = folder / "workflow" / "profiles" / "local"
    profile = request.profile or local
    if not profile.is_dir():
        raise InputError(f"no profile folder {profile}; see workflow/profiles for those that exist")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(folder / "Snakefile")]
    command += ["--configfile", str(request.config_path), "--workflow-profile", str(profile)]
    command += ["--cores", "all" if request.cores is None else str(request.cores), EXTENDED]
    if profile.resolve() == local.resolve():
        command += _memory_here(request.extra)
    if request.force is not None:
        command += ["--forcerun", *stage_rules(config, request.force)]
    return [*command, *request.extra, "--", *request.targets]


def _memory_here(extra: list[str]) -> list[str]:
    """Return the option that keeps the jobs of one machine within its free memory.

    None if the user gives resources, or a limit of each rank.
    """
    given = any(word.split("=")[0] in ("--resources", "--res") for word in extra)
    if given or os.environ.get(memory.OVERRIDE):
        return []
    return ["--resources", f"mem_mb={max(1, memory.available() // 10**6)}"]


def stage_rules(config: CampaignConfig, stage: str) -> list[str]:
    """Return the rules of a stage that a configuration uses."""
    parallel = {name: e.ranks > 1 for name, e in config.ensembles.items()}
    if stage == "prepare":
        return sorted({f"prepare_batch{'_mpi' * mpi}" for mpi in parallel.values()})
    if stage == "analyse":
        together = {
            f"analyse_batch{'_mpi' * mpi}_{'_'.join(config.analyses_of(name))}"
            for name, mpi in parallel.items()
            if config.analyses_of(name)
        }
        sliced = {
            f"search_slice{'_mpi' * mpi}"
            for name, mpi in parallel.items()
            if config.slices_of(name)
        }
        return sorted(together | sliced)
    return {
        "tables": ["write_tables"],
        "fits": ["write_fits", "write_comparison"],
        "figures": ["draw_figures"],
        "report": ["write_report"],
    }[stage]


def _only_looks(extra: list[str]) -> bool:
    looks = {"-n", "--dry-run", "--dryrun", "--lint", "--dag", "--rulegraph", "--summary", "--list"}
    return any(word.split("=")[0] in looks for word in extra)


def _clear_dead_lock(state: Path) -> None:
    """Remove Snakemake's own lock files; our lock says that no run of ours lives."""
    locks = [path for path in (state / "locks").glob("*") if path.is_file()]
    if not locks:
        return
    deadline = time.monotonic() + _DYING_S
    while (living := snakemakes_in(Path.cwd())) and time.monotonic() < deadline:
        time.sleep(POLL_S / 10)
    if living:
        raise LockedError(
            f"Snakemake works in this folder already (process {living[0]}); wait for it or end it"
        )
    for path in locks:
        path.unlink(missing_ok=True)
    print("glassmodes: cleared the lock of a run that was killed", file=sys.stderr)


def _end_left_jobs(config: CampaignConfig) -> None:
    if left := end_left_jobs(snakemake_log(config.results)):
        print(
            f"glassmodes: took jobs of a run that was killed out of the queue: {' '.join(left)}",
            file=sys.stderr,
        )


def _environment() -> dict[str, str]:
    beside = os.path.dirname(os.path.abspath(sys.executable))
    return os.environ | {
        "PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        COMMAND_VARIABLE: shlex.join(typed_command()),
    }


def _start(command: list[str], locks: tuple[Lock, ...], output: Any) -> subprocess.Popen:
    # The child inherits the locks' descriptors and with them the locks, as long as it lives.
    held = {HELD: str(locks[-1].path.resolve())} if locks else {}
    me = os.getpid()
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_environment() | held,
        pass_fds=[lock.descriptor for lock in locks if lock.descriptor is not None],
        preexec_fn=lambda: _prepare_child(me, bool(locks)),
    )


def _prepare_child(parent: int, alone: bool) -> None:
    if alone:  # out of the terminal's group: a Ctrl-C comes to us, and once from here
        os.setpgid(0, 0)
    # Scripts start what they put into the background deaf to Ctrl-C; Snakemake has to hear ours.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent(parent=parent)


def _run(
    config: CampaignConfig, command: list[str], locks: tuple[Lock, ...], at_a_time: int
) -> dict[str, Any]:
    log_path = snakemake_log(config.results)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    watch = Watch(config, _sampling_stages(command), at_a_time, sys.stderr)
    damaged = damaged_files(config.results)
    for _ in range(MOST_STARTS):
        with open(log_path, "wb") as log:
            follower = _Follower(_start(command, locks, log), watch, sys.stderr)
            code = follower.follow()
        before, damaged = damaged, damaged_files(config.results)
        if follower.interrupted or not code or damaged == before:
            break
        _say_damaged(path.with_suffix("") for path in damaged if damaged[path] != before.get(path))
        print("glassmodes: starting once more to make them again", file=sys.stderr)
    if follower.interrupted:
        watch.end("stopped")
        raise CampaignInterrupted(
            "stopped; what is finished is kept, run the same command again to go on"
        )
    if code:
        watch.end("failed")
        raise CampaignFailed(
            f"the campaign is not complete (snakemake exit code {code}); its log is {log_path}. "
            "What is finished is kept: run the same command again to go on"
        )
    seconds = time.monotonic() - started
    watch.end("done")
    print(f"glassmodes: done in {render_duration(seconds)}", file=sys.stderr)
    answer: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "samples": {stage: f"{c.done} of {c.total}" for stage, c in watch.progress.count().items()},
        "log": log_path,
    }
    report = config.results / "report.html"
    return answer | {"report": report} if report.is_file() else answer


def _sampling_stages(command: list[str]) -> tuple[str, ...]:
    """Return the stages whose samples a command works on."""
    targets = command[command.index("--") + 1 :]
    return STAGES[:1] if targets == ["prepare"] else STAGES


class _Follower:
    """Shows how far Snakemake is, until it ends.

    Attributes
    ----------
    interrupted
        Whether the user asked to stop.
    """

    def __init__(
        self,
        child: subprocess.Popen,
        watch: Watch,
        screen: TextIO,
    ) -> None:
        self.child, self.watch, self.screen = child, watch, screen
        watch.begin()
        self.interrupted = False
        self._asked = 0.0

    def follow(self) -> int:
        """Wait for Snakemake and return its exit code."""
        before = {number: signal.signal(number, self._end) for number in SIGNALS}
        try:
            return self._loop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: Any) -> None:
        if not self._is_repeated():
            self.child.send_signal(signal.SIGINT)  # submits nothing more, waits for its jobs
            for pid in descendants(self.child.pid):
                if runs_module(pid, "glassmodes.campaign.supervise"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)

    def _is_repeated(self) -> bool:
        """Note a request to stop; a second one ends Snakemake, and with it all jobs, at once."""
        now = time.monotonic()
        if not self.interrupted:
            self.interrupted, self._asked = True, now
            return False
        if now - self._asked >= SAME_REQUEST_S:
            self.child.kill()
        return True

    def _loop(self) -> int:
        terminal = self.screen.isatty()
        interval = POLL_S if terminal else PLAIN_LINE_S
        last, said = time.monotonic(), False
        while True:
            code = self._wait()
            now = time.monotonic()
            if self.interrupted and not said and code is None:
                said = True
                self.screen.write(
                    "\nglassmodes: stopping after the samples in work; once more ends them now\n"
                )
            if now - last >= interval or code is not None:
                last = now
                self.watch.show(now)
            if code is not None:
                self.screen.write("\n" if terminal else "")
                return code

    def _wait(self) -> int | None:
        try:
            return self.child.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            return None
