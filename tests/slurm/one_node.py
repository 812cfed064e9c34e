"""A Slurm of one node for the tests: munged, slurmctld and slurmd, started by hand as root.

It needs no systemd, no cgroups and no accounting database, and lives in one temporary folder.
Only the configuration cannot: jobs lose SLURM_CONF on their way, so the clients must find it
in /etc/slurm, as a link.  Where a configuration exists already, or a slurmctld runs, nothing is
touched and `NoSlurm` says why.  What a killed test run left behind is cleared at the next start.

    python tests/slurm/one_node.py start     (to try a profile by hand; `stop` ends it)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from glassmodes.campaign.processes import Process

SITE_FOLDER = Path("/etc/slurm")
PREFIX = "glassmodes-slurm-"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
PARTITION = "main"
CPUS = 16
"""Cores that the node claims to have, so that the jobs of several campaigns run together."""

MEMORY_MB = 32_000
"""Memory that the node claims; the jobs of the tests use a few hundred MB each."""

LINKED = ("slurm.conf", "cgroup.conf")
"""Files in `SITE_FOLDER` while a Slurm runs."""

_START_S, _STOP_S = 30.0, 10.0
_OWNER = "owner.json"

# Jobs are held to their memory by looking at their processes every second; OverTimeLimit is 0,
# so that a job has KillWait seconds after its wall time.
_CONFIGURATION = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed-jobs.txt
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=1
MinJobAge=600
InactiveLimit=0
KillWait=10
OverTimeLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES MaxTime=INFINITE State=UP DefMemPerCPU=500
"""

# slurmd reads it though no cgroup is used
_CGROUPS = """\
CgroupPlugin=cgroup/v1
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=no
ConstrainDevices=no
"""


class NoSlurm(Exception):
    """Slurm cannot be started here; the message says why in one line."""


class OneNode:
    """A running Slurm of one node; a context manager.

    Attributes
    ----------
    folder : Path
        Holds everything, logs included.
    host : str
        Name of the node.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().partition(".")[0]

    @classmethod
    def start(cls) -> OneNode:
        """Start the daemons and wait until the node is idle.

        Raises
        ------
        NoSlurm
            Something is missing, somebody else's Slurm is here, or a daemon does not start.
        """
        clear_leftovers()
        check_machine()
        node = cls(Path(tempfile.mkdtemp(prefix=PREFIX)))
        try:
            node._configure()
            node._start_daemons()
        except BaseException:
            node.stop()
            raise
        return node

    def __enter__(self) -> OneNode:
        return self

    def __exit__(self, *exc) -> None:
        self.stop()

    def stop(self) -> None:
        """End all jobs and daemons, and leave nothing behind."""
        clear(self.folder)

    def client(self, *words: str, timeout: float = 30.0) -> str:
        """Run a client (``squeue``, ``scontrol``, ...) and return what it prints."""
        result = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
        if result.returncode:
            raise RuntimeError(f"{' '.join(words)}: {result.stderr.strip()}")
        return result.stdout

    def state(self) -> str:
        """Return the state of the node in Slurm's words, such as ``idle`` or ``drained``."""
        return self.client("sinfo", "--noheader", "--format=%T").strip()

    def jobs(self, name: str = "", states: str = "all") -> dict[int, str]:
        """Return the states of jobs by number, of those whose comment contains `name`."""
        lines = self.client("squeue", "--noheader", f"--states={states}", "--format=%A|%T|%k")
        rows = [line.split("|") for line in lines.splitlines()]
        return {int(number): state for number, state, comment in rows if name in comment}

    def details(self, number: int) -> dict[str, str]:
        """Return what ``scontrol show job`` says of a job, by key."""
        words = self.client("scontrol", "--oneliner", "show", "job", str(number)).split(" ")
        return dict(word.partition("=")[::2] for word in words if "=" in word)

    def _configure(self) -> None:
        self.folder.chmod(0o755)
        (self.folder / _OWNER).write_text(Process.current().to_json(), encoding="utf-8")
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        controller_port, node_port = _free_ports(2)
        text = _CONFIGURATION.format(
            folder=self.folder,
            cluster=cluster_name(self.folder),
            host=self.host,
            controller_port=controller_port,
            node_port=node_port,
            cpus=CPUS,
            memory=MEMORY_MB,
            partition=PARTITION,
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")
        (self.folder / "cgroup.conf").write_text(_CGROUPS, encoding="utf-8")
        SITE_FOLDER.mkdir(exist_ok=True)
        for name in LINKED:
            (SITE_FOLDER / name).symlink_to(self.folder / name)

    def _start_daemons(self) -> None:
        munge = self.folder / "munge"
        _call(
            "munged",
            f"--socket={munge}/socket",
            f"--key-file={munge}/key",
            f"--pid-file={munge}/pid",
            f"--log-file={munge}/log",
            f"--seed-file={munge}/seed",
            "--num-threads=2",
            "--force",
        )
        _call("slurmctld", "-i", "-f", str(self.folder / "slurm.conf"))
        _call("slurmd", "-f", str(self.folder / "slurm.conf"), "-N", self.host)
        deadline = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                if self.client("sinfo", "-h", "-o", "%T", timeout=5).strip() == "idle":
                    return
            if time.monotonic() > deadline:
                raise NoSlurm(f"the node did not become idle: {self._last_words()}")
            time.sleep(0.2)

    def _last_words(self) -> str:
        for name in ("slurmctld.log", "slurmd.log"):
            path = self.folder / name
            if path.is_file() and (lines := path.read_text(errors="replace").splitlines()):
                errors = [line for line in lines if "error" in line or "fatal" in line]
                if errors:
                    return errors[-1]
        return "its logs name no error"


def check_machine() -> None:
    """Raise `NoSlurm` unless a Slurm may and can be started here."""
    if sys.platform != "linux":
        raise NoSlurm("the Slurm of the tests needs Linux")
    if os.geteuid() != 0:
        raise NoSlurm("the Slurm of the tests is started as root; this is another user")
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        raise NoSlurm(
            f"{', '.join(missing)} not found; `make test-slurm` installs "
            "envs/debian-packages-slurm.txt"
        )
    found = [name for name in ("slurm.conf", "slurmdbd.conf") if _exists(SITE_FOLDER / name)]
    if found or os.environ.get("SLURM_CONF"):
        where = SITE_FOLDER / found[0] if found else os.environ["SLURM_CONF"]
        raise NoSlurm(f"this machine has a Slurm of its own ({where}); it is not touched")
    if running := processes_with("slurmctld"):
        raise NoSlurm(f"a slurmctld runs here already (process {running[0]}); it is not touched")


def clear_leftovers() -> None:
    """End and remove what a killed run of these tests left: its links name its folder.

    Raises
    ------
    NoSlurm
        Its process lives.
    """
    for name in LINKED:
        link = SITE_FOLDER / name
        if not (link.is_symlink() and Path(os.readlink(link)).parent.name.startswith(PREFIX)):
            continue
        folder = Path(os.readlink(link)).parent
        with contextlib.suppress(OSError):
            owner = Process.from_json((folder / _OWNER).read_text(encoding="utf-8"))
            if owner is not None and owner.alive:
                raise NoSlurm(f"another run of these tests uses Slurm ({owner})")
        clear(folder)


def clear(folder: Path) -> None:
    """End the jobs and daemons of `folder`, remove the links to it and the folder itself."""
    clients = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    if processes_with(str(folder)):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            for state in ("PENDING", "RUNNING", "SUSPENDED"):
                command = ["scancel", "--quiet", f"--state={state}"]
                subprocess.run(command, env=clients, capture_output=True, timeout=5)
            _wait(lambda: not job_processes(folder), _STOP_S)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in job_processes(folder) + processes_with(str(folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if _wait(lambda: not job_processes(folder) + processes_with(str(folder)), _STOP_S):
            break
    for name in LINKED:
        link = SITE_FOLDER / name
        if link.is_symlink() and Path(os.readlink(link)).parent == folder:
            link.unlink()
    with contextlib.suppress(OSError):  # unless the packages of Slurm have filled it
        SITE_FOLDER.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


def processes_with(word: str) -> list[int]:
    """Return the Slurm and munge daemons whose command line contains `word`."""
    found = []
    for pid, words in _command_lines():
        program = os.path.basename(words[0])
        is_daemon = program in ("munged", "slurmctld", "slurmd")
        if is_daemon and any(word in part for part in words):
            found.append(pid)
    return found


def job_processes(folder: Path) -> list[int]:
    """Return the processes of jobs on the node of `folder`, and those that watch over them."""
    mark = f"SLURM_CLUSTER_NAME={cluster_name(folder)}".encode()
    found = []
    for pid, words in _command_lines():
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
            elif words[0].startswith("slurmstepd"):
                opened = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
                if any(name.startswith(str(folder)) for name in opened):
                    found.append(pid)
    return found


def cluster_name(folder: Path) -> str:
    """Return the name of the cluster of `folder`, which all its jobs bear."""
    return "glassmodes" + "".join(c for c in folder.name.lower().split("-")[-1] if c.isalnum())


def _command_lines() -> list[tuple[int, list[str]]]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0]:
                found.append((int(entry.name), words))
    return found


def _call(program: str, *words: str) -> None:
    environment = os.environ | {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    # a daemon keeps the pipe open that it inherits: a file ends when the parent does
    with tempfile.TemporaryFile() as output:
        code = subprocess.call(
            [program, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_START_S,
        )
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines()
    if code:
        raise NoSlurm(f"{program} did not start: {said[-1] if said else f'exit code {code}'}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _wait(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def main(words: list[str]) -> int:
    """Start or stop by hand."""
    if words == ["start"]:
        try:
            node = OneNode.start()
        except NoSlurm as problem:
            print(f"one_node: {problem}", file=sys.stderr)
            return 2
        print(node.folder)
        return 0
    if words == ["stop"]:
        clear_leftovers()
        return 0
    print("usage: python tests/slurm/one_node.py start|stop", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
