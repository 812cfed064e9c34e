"""Run the tests of this folder on every rank of mpiexec, without hangs and with one report.

Every phase of a test (set-up, call, teardown) ends with an exchange of outcomes on a
communicator of its own: a failure on one rank is a failure on all, with that rank's
traceback in the report of rank 0.  A failure can leave the other ranks inside a collective
call that never completes; the failing rank then waits `GRACE` seconds and aborts the run.
A phase longer than `LIMIT` seconds prints every thread's stack and ends the run.
"""

import faulthandler
import os
import time
import traceback
from pathlib import Path

import pytest
from _pytest.config import create_terminal_writer
from mpi4py import MPI

GRACE = float(os.environ.get("GLASSMODES_TEST_GRACE", 20))
LIMIT = float(os.environ.get("GLASSMODES_TEST_LIMIT", 180))

WORLD = MPI.COMM_WORLD
OUTCOMES = WORLD.Dup()  # never mixed up with a collective call that a failed test left open
stderr = None  # the real one, opened before pytest captures it


def abort(message):
    print(f"\nrank {WORLD.rank}: {message}", file=stderr, flush=True)
    time.sleep(0.5)  # let mpiexec forward it before everything is killed
    WORLD.Abort(1)


def exchange(value, seconds, message):
    """Return every rank's `value`; abort with `message` if one is not here after `seconds`."""
    request = OUTCOMES.Ibarrier()
    deadline = time.monotonic() + seconds
    while not request.Test():
        if time.monotonic() > deadline:
            abort(message)
        time.sleep(0.001)
    return OUTCOMES.allgather(value)


def describe(problem):
    """Return the traceback of `problem` without the frames of pytest itself."""
    frames = [
        frame
        for frame in traceback.extract_tb(problem.__traceback__)
        if not {"_pytest", "pluggy"} & set(Path(frame.filename).parts)
        and frame.filename != __file__
    ]
    return "".join(traceback.format_list(frames) + traceback.format_exception_only(problem))


def run_phase(item, phase):
    """Run one phase of `item`; every rank leaves with the same outcome."""
    problem = None
    result = None
    faulthandler.dump_traceback_later(LIMIT, exit=True, file=stderr)
    try:
        result = yield
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as exc:
        problem = exc
    if isinstance(problem, pytest.skip.Exception):
        outcome = ("skipped", str(problem))
    elif problem is not None:
        outcome = ("failed", describe(problem))
    else:
        outcome = ("passed", "")
    faulthandler.cancel_dump_traceback_later()  # a rank that waits for others is not the culprit
    outcomes = exchange(
        outcome,
        GRACE if outcome[0] == "failed" else 2 * LIMIT,
        f"{phase} of {item.nodeid} {outcome[0]} here, the other ranks do not answer\n{outcome[1]}",
    )
    if outcome[0] != "failed" and len({kind for kind, _ in outcomes}) > 1:
        reports = [f"rank {rank} {kind}: {text}" for rank, (kind, text) in enumerate(outcomes)]
        pytest.fail(f"the ranks disagree in {phase}\n" + "\n".join(reports), pytrace=False)
    if problem is not None:
        raise problem
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    return (yield from run_phase(item, "setup"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    return (yield from run_phase(item, "call"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    return (yield from run_phase(item, "teardown"))


def pytest_configure(config):
    global stderr
    with config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        stderr = os.fdopen(os.dup(2), "w")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if WORLD.rank != 0 and reporter is not None:
        reporter._tw = create_terminal_writer(session.config, Path(os.devnull).open("w"))


def pytest_report_header():
    return f"ranks: {WORLD.size}"


def pytest_collection_finish(session):
    """Stop if the ranks are about to run different tests."""
    collected = ([item.nodeid for item in session.items], session.testsfailed)
    everywhere = exchange(collected, LIMIT, "the other ranks did not finish collecting tests")
    if any(other != everywhere[0] for other in everywhere):
        abort(f"collected other tests than rank 0: {len(collected[0])} tests here")


@pytest.fixture
def shared_path(tmp_path):
    """Return a temporary folder that is the same on every rank."""
    return Path(WORLD.bcast(str(tmp_path), root=0))
