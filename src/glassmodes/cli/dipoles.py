"""``glassmodes dipoles``: stiffness of force dipoles on pairs of particles."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from glassmodes.cli.inputs import (
    add_output_option,
    add_sample_argument,
    add_solver_option,
    read_domain,
)
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import add_verb, non_negative_integer, positive_integer
from glassmodes.errors import InputError
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = """\
Stiffness of the response to two opposite unit forces on a pair of particles (units of a squared
angular frequency), for given pairs, random contacts or all contacts.

JSON keys: pairs, stiffness, residuals, solver (how the responses were solved for: method, why,
iterations, residual, estimated and the factor's entries, flops and bytes). A pairs file is CSV
with the header i,j; indices start at 0 and further columns are ignored. The sample must be at a
minimum."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "dipoles",
        run,
        summary="stiffness of force dipoles on pairs of particles",
        description=DESCRIPTION,
        example="glassmodes dipoles glass.h5 --count 200 --seed 1 -o dipoles.csv",
    )
    add_sample_argument(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--pairs", metavar="FILE.csv", help="pairs to take, header i,j")
    which.add_argument(
        "--count", type=positive_integer, metavar="K", help="K different random contacts"
    )
    which.add_argument("--all", action="store_true", help="all contacts")
    parser.add_argument(
        "--seed",
        type=non_negative_integer,
        default=0,
        metavar="S",
        help="seed of the random contacts (default: 0)",
    )
    add_solver_option(parser)
    add_output_option(parser, "D.csv", "table to write: i, j, stiffness, residual", required=False)


def run(args, comm) -> dict:
    """Measure the stiffnesses.  Collective."""
    if args.output:
        check_output(comm, args.output, (".csv",), [args.pairs])
    pairs = on_root(comm, lambda: _read_pairs(args.pairs)) if args.pairs else None
    domain = read_domain(comm, args.sample)
    from glassmodes.observables import dipoles
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.stability import find_floppy_modes, require_stable

    system = HarmonicSystem(comm, domain, solver=args.solver)
    try:
        system.require_minimum()
        if args.count:
            pairs = dipoles.random_contacts(system.interactions, args.count, args.seed)
        elif pairs is None:
            pairs = dipoles.all_contacts(system.interactions)
        pairs = dipoles.check_pairs(pairs, domain.particles)
        require_stable(system)
        if system.interactions.unstressed:
            find_floppy_modes(system)
        response = dipoles.dipole_stiffness(system, pairs)
        solver = system.describe_solves()
    finally:
        system.destroy()
    if args.output:
        on_root(comm, lambda: _write(args.output, response))
    return {**response.to_json(), "solver": solver}


def _read_pairs(path: str) -> np.ndarray:
    """Return the columns i and j of a CSV file, (K, 2) int64."""
    import numpy as np

    from glassmodes.files import check_input

    try:
        with open(check_input(path), newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV text file: expected the header i,j") from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    if header.count("i") != 1 or header.count("j") != 1:
        raise InputError(f"{path} has the header {','.join(header)!r}, expected i,j")
    columns = header.index("i"), header.index("j")
    pairs = []
    for number, row in enumerate(rows[1:], start=1):
        try:
            pairs.append(np.array([int(row[column]) for column in columns], np.int64))
        except (ValueError, IndexError, OverflowError) as error:
            raise InputError(
                f"{path}, pair {number}: expected two whole numbers, found {','.join(row)!r}"
            ) from error
    if not pairs:
        raise InputError(f"{path} holds no pairs: add rows below the header i,j")
    return np.array(pairs)


def _write(path: str, response) -> None:
    from glassmodes.files import write_bytes

    lines = ["i,j,stiffness,residual"]
    columns = zip(response.pairs, response.stiffness, response.residuals, strict=True)
    lines += [f"{i},{j},{float(k)!r},{float(r)!r}" for (i, j), k, r in columns]
    write_bytes(path, ("\n".join(lines) + "\n").encode())
