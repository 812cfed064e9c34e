"""The project's run command: Snakemake with a progress line, and a restart that just works.

One run at a time works in a folder.  Its lock is held by the kernel for this process and
for Snakemake, so a Snakemake lock that is found while ours is free has a dead owner and is
cleared.  When this process is killed, Snakemake and its jobs are killed with it.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.locks import Lock, LockedError
from glassmodes.campaign.processes import die_with_parent, snakemakes_in
from glassmodes.campaign.progress import (
    STAGES,
    CampaignProgress,
    Estimate,
    render_duration,
    render_line,
)
from glassmodes.campaign.provenance import COMMAND_VARIABLE, typed_command
from glassmodes.errors import GlassmodesError, InputError

POLL_S = 1.0
PLAIN_LINE_S = 15.0
"""Seconds between two progress lines where the output is no terminal."""

_LOG_TAIL_LINES = 12
_LOGS_SHOWN = 3
_RULES = {
    "write_tables": "writing tables",
    "write_fits": "fitting",
    "write_comparison": "comparing",
    "draw_figures": "drawing figures",
    "write_report": "writing the report",
}


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
    """

    config_path: Path
    targets: list[str] = field(default_factory=list)
    force: str | None = None
    cores: int | None = None
    profile: Path | None = None
    extra: list[str] = field(default_factory=list)


def run_campaign(config: CampaignConfig, request: RunRequest) -> dict[str, Any]:
    """Run or resume a campaign in the working folder.

    Returns
    -------
    dict
        Seconds, samples by stage, and the paths of log and report.

    Raises
    ------
    LockedError
        Another run works in this folder.
    CampaignFailed
        A job failed; the end of its log was printed.
    CampaignInterrupted
        Ctrl-C or SIGTERM ended it.
    """
    command = _command(config, request)
    state = Path(".snakemake")
    with Lock(state / "glassmodes.run.lock", "the campaign in this folder", keep=True) as lock:
        _clear_dead_lock(state)
        if not _only_looks(request.extra):
            return _run(config, command, lock)
        code = _start(command, lock, sys.stderr.fileno()).wait()
    if code:
        raise CampaignFailed(f"snakemake ended with exit code {code}")
    return {}


def _command(config: CampaignConfig, request: RunRequest) -> list[str]:
    folder = workflow_folder()
    profile = request.profile or folder / "workflow" / "profiles" / "local"
    if not profile.is_dir():
        raise InputError(f"no profile folder {profile}; see workflow/profiles for those that exist")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(folder / "Snakefile")]
    command += ["--configfile", str(request.config_path), "--workflow-profile", str(profile)]
    command += ["--cores", "all" if request.cores is None else str(request.cores)]
    if request.force is not None:
        command += ["--forcerun", *stage_rules(config, request.force)]
    return [*command, *request.extra, "--", *request.targets]


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
    living = snakemakes_in(Path.cwd())
    if living:
        raise LockedError(
            f"Snakemake works in this folder already (process {living[0]}); wait for it or end it"
        )
    for path in locks:
        path.unlink(missing_ok=True)
    print("glassmodes: cleared the lock of a run that was killed", file=sys.stderr)


def _environment() -> dict[str, str]:
    beside = os.path.dirname(os.path.abspath(sys.executable))
    return os.environ | {
        "PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        COMMAND_VARIABLE: shlex.join(typed_command()),
    }


def _start(command: list[str], lock: Lock, output: Any) -> subprocess.Popen:
    # The child inherits the lock's descriptor and with it the lock, as long as it lives.
    descriptors = () if lock.descriptor is None else (lock.descriptor,)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_environment(),
        pass_fds=descriptors,
        preexec_fn=die_with_parent,
    )


def _run(config: CampaignConfig, command: list[str], lock: Lock) -> dict[str, Any]:
    log_path = config.results / "logs" / "snakemake.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    progress = CampaignProgress(config, _sampling_stages(command))
    with open(log_path, "wb") as log:
        follower = _Follower(_start(command, lock, log), progress, log_path, sys.stderr)
        code = follower.follow()
    if follower.interrupted:
        raise CampaignInterrupted(
            "stopped; what is finished is kept, run the same command again to go on"
        )
    if code:
        _print_failures(log_path, sys.stderr)
        raise CampaignFailed(
            f"the campaign is not complete (snakemake exit code {code}); its log is {log_path}. "
            "What is finished is kept: run the same command again to go on"
        )
    seconds = time.monotonic() - started
    print(f"glassmodes: done in {render_duration(seconds)}", file=sys.stderr)
    answer: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "samples": {stage: f"{c.done} of {c.total}" for stage, c in progress.count().items()},
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
        progress: CampaignProgress,
        log_path: Path,
        screen: TextIO,
    ) -> None:
        self.child, self.progress = child, progress
        self.log_path, self.screen = log_path, screen
        self.interrupted = False

    def follow(self) -> int:
        """Wait for Snakemake and return its exit code."""
        before = signal.signal(signal.SIGTERM, self._end)
        try:
            return self._loop()
        finally:
            signal.signal(signal.SIGTERM, before)

    def _end(self, number: int, frame: Any) -> None:
        self.interrupted = True
        self.child.send_signal(signal.SIGINT)

    def _loop(self) -> int:
        terminal = self.screen.isatty()
        interval = POLL_S if terminal else PLAIN_LINE_S
        shown, last = "", time.monotonic()
        estimate = Estimate(self.progress.count())
        while True:
            code = self._wait()
            now = time.monotonic()
            if now - last >= interval or code is not None:
                counts, last = self.progress.count(), now
                seconds_left = estimate.seconds_left(counts)
                line = render_line(counts, seconds_left, _current(self.log_path))
                if line != shown:
                    shown = line
                    self.screen.write(f"\r\033[K{line}" if terminal else f"glassmodes: {line}\n")
                    self.screen.flush()
            if code is not None:
                self.screen.write("\n" if terminal else "")
                return code

    def _wait(self) -> int | None:
        while True:
            try:
                return self.child.wait(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                return None
            except KeyboardInterrupt:  # the terminal has told Snakemake and its jobs as well
                self.interrupted = True
                print("\nglassmodes: stopping after the samples in work", file=self.screen)


def _current(log_path: Path) -> str:
    """Return what the newest job of the later stages does, from the end of Snakemake's log."""
    text = _tail(log_path, 4000)
    rules = [rule for rule in re.findall(r"rule (\w+):", text) if rule in _RULES]
    return _RULES[rules[-1]] if rules else ""


def _tail(path: Path, size: int) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read().decode("utf-8", "replace")


def _print_failures(log_path: Path, screen: TextIO) -> None:
    """Print the end of the log of each failed job, or of Snakemake's own."""
    text = _tail(log_path, 200_000)
    logs = re.findall(r"^\s+log: (.+?) \(check log file", text, flags=re.MULTILINE)
    existing = [Path(name) for name in dict.fromkeys(logs) if Path(name).is_file()]
    shown = existing[:_LOGS_SHOWN] or [log_path]
    for path in shown:
        lines = _tail(path, 20_000).rstrip().splitlines()[-_LOG_TAIL_LINES:]
        screen.write(f"\n--- {path}\n" + "".join(f"{line}\n" for line in lines))
    if len(existing) > _LOGS_SHOWN:
        screen.write(f"\n... and {len(existing) - _LOGS_SHOWN} more failed jobs\n")
    screen.flush()
