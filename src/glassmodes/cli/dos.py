"""``glassmodes dos``: density of states of a sample, or of a sparse matrix from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassmodes.cli.inputs import add_output_option, add_sample_argument, read_domain
from glassmodes.cli.matrices import add_matrix_options, matrix_operator, read_matrix_input
from glassmodes.cli.outputs import check_output, write_table
from glassmodes.cli.parser import (
    MAX_VECTORS,
    add_verb,
    grid,
    positive_number,
    seed,
    several,
)
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    import argparse

    from glassmodes.observables.zero_modes import ZeroModes
    from glassmodes.spectra.kernel_polynomial import DensityOfStates

DESCRIPTION = """\
Density of states over angular frequency by Chebyshev moments of random vectors: no eigenvectors,
time linear in the size. It integrates to 1 over the n vibrations; zero modes are counted and left
out.

The input is a sample at a minimum, or a symmetric sparse matrix (scipy .npz or PETSc binary)
whose eigenvalues are squared frequencies.

JSON keys: frequency, density, error (standard error over the random vectors), vibrations (n),
max_frequency, zero_modes, zero_modes_error, zero_modes_method, rattlers (particles without contacts
that bear a load, null for a matrix), resolution, vectors, products (for each random vector),
exact_modes."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "dos",
        run,
        summary="density of states of a sample or a sparse matrix",
        description=DESCRIPTION,
        example="glassmodes dos glass.h5 --resolution 0.05 -o dos.csv",
    )
    add_sample_argument(parser, "sample file, or a sparse matrix (.npz, PETSc binary)")
    add_density_options(parser)
    parser.add_argument(
        "--exact-below",
        type=positive_number,
        metavar="OMEGA",
        help="find the modes below this frequency one by one and splice them in: broadening "
        "hides how few they are",
    )
    add_matrix_options(parser, blocks=False)
    add_output_option(parser, "D.csv", "table to write: frequency, density, error", required=False)


def add_density_options(parser: argparse.ArgumentParser) -> None:
    """Give a verb the options of a density by moments: its resolution, grid and vectors."""
    parser.add_argument(
        "--resolution",
        type=positive_number,
        metavar="DW",
        help="full width at half maximum of the broadening, an angular frequency (default: 1 %% "
        "of the highest)",
    )
    parser.add_argument(
        "--frequencies",
        type=grid,
        metavar="MIN,MAX,POINTS",
        help="logarithmic grid, both ends included (default: even steps of a quarter of the "
        "resolution from 0 to the top of the kernel, some 13 %% above the highest frequency)",
    )
    parser.add_argument(
        "--vectors",
        type=several,
        default=16,
        metavar="K",
        help=f"random vectors, 2 to {MAX_VECTORS}; the error falls as the root of their number "
        "(default: 16)",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="S",
        help="seed of the random vectors (default: 0)",
    )


def density_request(args) -> dict[str, Any]:
    """Return what `add_density_options` asked for, as arguments of the observables."""
    return {
        "resolution": args.resolution,
        "frequency": None if args.frequencies is None else args.frequencies.values(),
        "vectors": args.vectors,
        "seed": args.seed,
    }


def run(args, comm) -> dict:
    """Measure the density.  Collective."""
    if args.output:
        check_output(comm, args.output, (".csv",), [args.sample])
    matrix = on_root(comm, lambda: read_matrix_input(args))
    request = {**density_request(args), "exact_below": args.exact_below}
    if matrix is None:
        states, zero, rattlers = _of_sample(args, comm, request)
    else:
        states, zero = _of_matrix(args, comm, matrix, request)
        rattlers = None
    answer: dict[str, Any] = {
        "frequency": states.frequency,
        "density": states.density,
        "error": states.error,
        "vibrations": states.vibrations,
        "max_frequency": states.max_frequency,
        "zero_modes": zero.count,
        "zero_modes_error": zero.error,
        "zero_modes_method": zero.method,
        "rattlers": rattlers,
        "resolution": states.resolution,
        "vectors": states.vectors,
        "products": states.products,
        "exact_modes": states.exact_modes,
    }
    if args.output:
        columns = ("frequency", "density", "error")
        write_table(comm, args.output, {name: answer[name] for name in columns})
    return answer


def _of_sample(args, comm, request) -> tuple[DensityOfStates, ZeroModes, int]:
    domain = read_domain(comm, args.sample)
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.vibrational_density import counted_density
    from glassmodes.observables.zero_modes import count_zero_modes

    system = HarmonicSystem(comm, domain)
    try:
        states, zero = counted_density(system.operator, count_zero_modes(system), **request)
        return states, zero, system.rattler_count
    finally:
        system.destroy()


def _of_matrix(args, comm, matrix, request) -> tuple[DensityOfStates, ZeroModes]:
    from glassmodes.observables.vibrational_density import counted_density
    from glassmodes.observables.zero_modes import count_matrix_zero_modes

    operator = matrix_operator(comm, matrix)
    return counted_density(operator, count_matrix_zero_modes(operator, args.sample), **request)
