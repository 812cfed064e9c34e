"""A scheduler of one machine that speaks enough PBS, SGE or LSF for a campaign.

Links named qsub, qstat, qdel, bsub, bjobs and bkill lead here.  The folder STUB_QUEUE holds the
queue; ``dialect`` names the scheduler, ``delay`` the seconds that a job waits, ``vanish`` the
submissions (from 1) that leave the queue without having run.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

QUEUE = Path(os.environ["STUB_QUEUE"])
TAKES_VALUE = {"-N", "-j", "-o", "-r", "-l", "-q", "-A", "-P", "-S", "-pe", "-J", "-W"}
TAKES_VALUE |= {"-wa", "-wt", "-n", "-M", "-R"}


def fact(name, default):
    path = QUEUE / name
    return path.read_text() if path.exists() else default


def main(program, words):
    dialect = fact("dialect", "pbs")
    if program in ("qsub", "bsub"):
        return submit(dialect, words)
    if program in ("qstat", "bjobs"):
        if fact("silent", ""):
            print("cannot connect to server", file=sys.stderr)
            return 1
        return show(dialect)
    if program in ("qdel", "bkill"):
        for word in words:
            end(word.split(".")[0])
        return 0
    return run(words[0])


def submit(dialect, words):
    rest, log = [], None
    while words:
        word = words.pop(0)
        if word == "-pe":
            words.pop(0)
        if word == "-o":
            log = words[0]
        if word in TAKES_VALUE:
            words.pop(0)
        elif word not in ("-terse", "-cwd"):
            rest.append(word)
    script = sys.stdin.read() if dialect == "lsf" else Path(rest[0]).read_text()
    number = len(list(QUEUE.glob("*.script"))) + 1
    (QUEUE / f"{number}.script").write_text(script)
    if str(number) not in fact("vanish", "").split():
        (QUEUE / f"{number}.state").write_text("Q")
        subprocess.Popen(
            [sys.executable, __file__, "run", str(number)],
            stdin=subprocess.DEVNULL,
            stdout=open(log, "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "STUB_QUEUE": str(QUEUE), "HOME": os.environ["HOME"]},
        )
    answers = {
        "pbs": f"{number}.server-1",
        "sge": f"{number}",
        "lsf": f"Job <{number}> is submitted to queue <normal>.",
    }
    print(answers[dialect])
    return 0


def run(number):
    (QUEUE / f"{number}.pid").write_text(str(os.getpid()))
    time.sleep(float(fact("delay", "0")))
    state = QUEUE / f"{number}.state"
    if state.exists():
        state.write_text("R")
        subprocess.run(["sh", str(QUEUE / f"{number}.script")])
        state.unlink(missing_ok=True)
    return 0


def show(dialect):
    names = {"pbs": ("Q", "R"), "sge": ("qw", "r"), "lsf": ("PEND", "RUN")}[dialect]
    rows = []
    for path in sorted(QUEUE.glob("*.state")):
        text = names[path.read_text() == "R"]
        rows.append(
            {
                "pbs": f"{path.stem}.server-* me workq gm1 -- 1 1 1gb 00:10 {text} --",
                "sge": f"{path.stem} 0.5 gm1 me {text} 11/21/2026 10:00:00 all.q@n 1",
                "lsf": f"{path.stem} {text}",
            }[dialect]
        )
    if dialect == "lsf" and not rows:
        print("No unfinished job found", file=sys.stderr)
        return 255
    if rows and dialect != "lsf":
        print("Job ID  Username Queue Jobname SessID NDS TSK Memory Time S Time\n----- ----")
    print("\n".join(rows))
    return 0


def end(number):
    (QUEUE / f"{number}.state").unlink(missing_ok=True)
    with open(QUEUE / "ended", "a") as file:
        file.write(json.dumps(number) + "\n")
    try:
        os.killpg(int((QUEUE / f"{number}.pid").read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        pass


if __name__ == "__main__":
    name = Path(sys.argv[0]).name
    if name.endswith(".py"):
        name, *sys.argv[1:] = sys.argv[1:]
    sys.exit(main(name, sys.argv[1:]))
