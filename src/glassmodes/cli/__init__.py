"""The command line: ``glassmodes <verb>``, one verb per stage of the work.

The only place that touches ``COMM_WORLD``.  A verb module has ``add_parser`` and
``run(args, comm) -> dict | None``; the dictionary is its JSON object.  Errors become
one line on stderr and an exit code: 0 done, 2 bad call or refused sample, 4 not enough
memory, 1 a bug (with a traceback), 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from glassmodes.cli import answer, failure, petsc
from glassmodes.cli.launch import launched_size
from glassmodes.cli.parser import build_parser, parse
from glassmodes.errors import printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code.

    Parameters
    ----------
    argv
        The words after ``glassmodes``; the command line of the process if None.

    Notes
    -----
    Under MPI a collective call: every rank passes the same words.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        words, petsc_options = petsc.split_options(arguments)
        args = parse(build_parser(), words)
        if getattr(args, "passes_on", False):  # what follows '--' is for another program
            args.passed_on, petsc_options = petsc_options, []
        petsc.check_options(petsc_options)
    except SystemExit as finished:  # --help and --version have printed their answer
        return int(finished.code or 0)
    except Exception as error:
        return failure.finish(error, _start_mpi() if launched_size() > 1 else None)
    with answer.clean_stdout(permanent=argv is None) as stdout:
        return _run(args, petsc_options, stdout)


def _run(args, petsc_options: list[str], stdout) -> int:
    if not getattr(args, "starts_mpi", True):
        return _run_without_mpi(args, stdout)
    petsc.keep_signal_handlers()
    comm = _start_mpi()
    guard = comm.Dup()  # collectives of a failed verb must not meet those of its report
    try:
        _start_log(args, comm.rank)
        if petsc_options:
            petsc.initialise(petsc_options, comm)
        result = args.run(args, comm)
        if result is not None and comm.rank == 0:
            _print(result, args.json, stdout)
    except BrokenPipeError:  # the reader of our stdout has seen enough
        return 0
    except (Exception, KeyboardInterrupt) as error:
        return failure.finish(error, guard)
    finally:
        if comm.size == 1:
            guard.Free()
    return 0


def _run_without_mpi(args, stdout) -> int:
    """Run a verb that starts other programs: its MPI would leak into theirs."""
    try:
        _start_log(args, 0)
        result = args.run(args, None)
        if result is not None:
            _print(result, args.json, stdout)
    except BrokenPipeError:
        return 0
    except (Exception, KeyboardInterrupt) as error:
        return failure.finish(error, None)
    return 0


def _start_mpi():
    from mpi4py import MPI

    return MPI.COMM_WORLD


def _start_log(args, rank: int) -> None:
    """Send the package's log to stderr; ranks above 0 report warnings only."""
    logger = logging.getLogger("glassmodes")
    level = logging.DEBUG if args.verbose else logging.WARNING if args.quiet else logging.INFO
    logger.setLevel(level if rank == 0 else max(level, logging.WARNING))
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PlainFormatter("glassmodes: %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False


class _PlainFormatter(logging.Formatter):
    """Lines in which names from elsewhere cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _print(result, as_json: bool, stdout) -> None:
    if stdout is None:
        return
    stdout.write(answer.render_json(result) if as_json else answer.render_text(result))
    stdout.flush()


__all__ = ["main"]
