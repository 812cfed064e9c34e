"""Argument parsing with one-line errors that name the nearest verb, option or choice.

Only the standard library is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from glassmodes import __version__
from glassmodes.cli.launch import launched_rank
from glassmodes.errors import InputError, nearest

#: Modules of this package that register verbs, in the order of ``glassmodes --help``.
VERB_MODULES = (
    "import_sample",
    "export",
    "prepare",
    "lattice",
    "minimize",
    "hessian",
    "moduli",
    "modes",
    "dipoles",
    "dos",
    "correlator",
    "viscoelastic",
    "info",
    "campaign",
    "archive",
)

#: Points that a grid may have: the answer is one JSON object.
MAX_POINTS = 100_000
MAX_VECTORS = 10_000
SMALLEST, LARGEST = 1e-100, 1e100  # of rates, frequencies and times: squares are numbers

_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)

PETSC_HELP = (
    "PETSc and SLEPc options follow a bare '--', for instance: "
    "glassmodes modes S.h5 --count 100 -o M.h5 -- -gm_mumps_mat_mumps_icntl_14 100"
)


class Parser(argparse.ArgumentParser):
    """Parser that raises `InputError` instead of printing its usage and leaving."""

    def __init__(self, *args, **options) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)

    def error(self, message: str):
        raise InputError(f"{message}; see '{self.prog} --help'")

    def _check_value(self, action, value) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action,
                f"unknown value {str(value)!r}, expected one of {', '.join(known)}"
                f"{nearest(value, known)}",
            )

    def _print_message(self, message, file=None) -> None:
        if launched_rank() == 0:
            super()._print_message(message, file)


def positive_integer(text: str) -> int:
    """Convert an option's value to a whole number above zero."""
    return _whole_number(text, 1, "a whole number above zero")


def non_negative_integer(text: str) -> int:
    """Convert an option's value to a whole number, zero included."""
    return _whole_number(text, 0, "a whole number of at least zero")


def seed(text: str) -> int:
    """Convert an option's value to a seed: a whole number from 0 to 2^63 - 1."""
    return _whole_number(text, 0, "a whole number from 0 to 2^63 - 1", 2**63 - 1)


def several(text: str) -> int:
    """Convert an option's value to a number of random vectors."""
    return _whole_number(text, 2, f"a whole number from 2 to {MAX_VECTORS}", MAX_VECTORS)


def positive_number(text: str) -> float:
    """Convert an option's value to a finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a number above zero, got {text!r}")
    return value


def non_negative_number(text: str) -> float:
    """Convert an option's value to a finite number of at least zero."""
    return 0.0 if text.strip() in ("0", "0.0") else positive_number(text)


def rate(text: str) -> float:
    """Convert an option's value to a rate whose square is a number too."""
    value = positive_number(text)
    if not SMALLEST <= value <= LARGEST:
        raise argparse.ArgumentTypeError(
            f"expected a number from {SMALLEST:g} to {LARGEST:g}, got {text!r}"
        )
    return value


def _whole_number(text: str, least: int, expected: str, most: int | None = None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least or (most is not None and value > most):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


class Grid(NamedTuple):
    """A logarithmic grid, both ends included."""

    minimum: float
    maximum: float
    points: int

    def values(self):
        """Return the points as a numpy array, ascending, the ends exact."""
        import numpy as np

        grid = np.geomspace(self.minimum, self.maximum, self.points)
        grid[0], grid[-1] = self.minimum, self.maximum
        return grid


def grid(text: str) -> Grid:
    """Convert ``MIN,MAX,POINTS`` to a logarithmic grid."""
    expected = (
        f"expected MIN,MAX,POINTS with {SMALLEST:g} <= MIN < MAX <= {LARGEST:g} and 2 to "
        f"{MAX_POINTS} points, got {text!r}"
    )
    try:
        minimum, maximum, points = text.split(",")
        found = Grid(float(minimum), float(maximum), int(points))
    except ValueError:
        raise argparse.ArgumentTypeError(expected) from None
    in_order = SMALLEST <= found.minimum < found.maximum <= LARGEST
    if not (in_order and 2 <= found.points <= MAX_POINTS):
        raise argparse.ArgumentTypeError(expected)
    return found


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Give a verb the options that all verbs share: ``--json``, ``--quiet``, ``--verbose``."""
    group = parser.add_argument_group("answer and log")
    group.add_argument(
        "--json", action="store_true", help="print exactly one JSON object on stdout"
    )
    group.add_argument("--quiet", action="store_true", help="log warnings only")
    group.add_argument("--verbose", action="store_true", help="log details too")


def add_verb(
    subparsers, name: str, run: Callable, *, summary: str, description: str, example: str
) -> Parser:
    """Register verb `name` and return its parser, ready for the verb's own options.

    Parameters
    ----------
    subparsers
        The action that `build_parser` made.
    run
        ``run(args, comm) -> dict | None``; the dictionary is the verb's JSON object.
    summary
        One line for ``glassmodes --help``.
    description
        What the verb does, for ``glassmodes <verb> --help``.
    example
        A command that works.
    """
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"Example: {example}\n{PETSC_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def build_parser() -> Parser:
    """Return the parser of the program with every verb registered."""
    parser = Parser(
        prog="glassmodes",
        description="Vibrations and mechanics of glasses and disordered lattices.",
        epilog="Every verb runs under 'mpiexec -n K'. Logs go to stderr, answers to stdout. "
        + PETSC_HELP,
    )
    parser.add_argument("--version", action="version", version=f"glassmodes {__version__}")
    subparsers = parser.add_subparsers(
        title="verbs", dest="verb", metavar="<verb>", required=True, parser_class=Parser
    )
    for name in VERB_MODULES:
        _register(import_module(f"glassmodes.cli.{name}"), subparsers)
    return parser


def _register(module: ModuleType, subparsers) -> None:
    """Add the verbs of `module` and give each (or each of its sub-verbs) the common options."""
    before = set(subparsers.choices)
    module.add_parser(subparsers)
    for verb in set(subparsers.choices) - before:
        for parser in _leaves(subparsers.choices[verb]):
            if "--json" not in parser._option_string_actions:
                add_common_options(parser)


def _leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    verbs = verb_parsers(parser)
    return [leaf for verb in verbs.values() for leaf in _leaves(verb)] or [parser]


def verb_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each verb (or sub-verb) below `parser`, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def parse(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse `arguments`; unknown verbs and options are named before anything else.

    Raises
    ------
    InputError
        One line that names what is wrong and the nearest thing that exists.
    """
    _check_names(parser, list(arguments))
    namespace, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        raise InputError(
            f"argument {unknown[0]!r} is not expected here; see '{parser.prog} --help'"
        )
    return namespace


def _check_names(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Refuse unknown verbs and options of `parser` and of the verb that follows."""
    verbs = verb_parsers(parser)
    for position, token in enumerate(arguments):
        if token.startswith("-") and len(token) > 1:
            _check_option(parser, token)
        elif verbs:
            if token not in verbs:
                raise InputError(
                    f"unknown verb {token!r}{nearest(token, verbs)} (see '{parser.prog} --help')"
                )
            return _check_names(verbs[token], arguments[position + 1 :])
    return None


def _check_option(parser: argparse.ArgumentParser, token: str) -> None:
    if _NUMBER.match(token):
        return
    known = parser._option_string_actions
    name = token.split("=", 1)[0]
    bundled = not name.startswith("--") and name[:2] in known
    if name not in known and not bundled:
        raise InputError(
            f"unknown option {name!r} of '{parser.prog}'{nearest(name, known)}"
            f" (see '{parser.prog} --help')"
        )
