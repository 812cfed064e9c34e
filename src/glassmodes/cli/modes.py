"""``glassmodes modes``: the lowest modes of a sample, or of a sparse matrix from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassmodes import __version__
from glassmodes.cli.answer import jsonable
from glassmodes.cli.inputs import add_output_option, add_sample_argument, read_sample
from glassmodes.cli.matrices import add_matrix_options, matrix_operator, read_matrix_input
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import (
    add_verb,
    positive_integer,
    positive_number,
    seed,
)
from glassmodes.errors import SampleError
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    from glassmodes.formats.mode_file import ModeFile
    from glassmodes.formats.sparse_matrix import SparseMatrix

METHODS = ("filtered", "slepc", "dense")

DESCRIPTION = """\
Frequencies, participation ratios and residuals of the lowest modes: a given number of them, or
all below a frequency. Translations and other null vectors are left out and counted.

The input is a sample at a minimum, or a symmetric sparse matrix (scipy .npz or PETSc binary)
whose eigenvalues are squared frequencies. A certificate, an inertia count just above the last
mode, confirms that none is missing, and has it found otherwise.

JSON keys: frequencies (ascending), participation_ratios, residuals, zero_modes, certified,
complete_below, solver (method, parameters, products, times, memory)."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "modes",
        run,
        summary="the lowest vibrational modes of a sample or a sparse matrix",
        description=DESCRIPTION,
        example="glassmodes modes glass.h5 --count 100 -o modes.h5",
    )
    add_sample_argument(parser, "sample file, or a sparse matrix (.npz, PETSc binary)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--count", type=positive_integer, metavar="K", help="the lowest K modes")
    which.add_argument(
        "--below",
        type=positive_number,
        metavar="OMEGA",
        help="all modes below this angular frequency",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="filtered",
        help="Chebyshev-filtered block Lanczos (default), SLEPc shift-invert or dense LAPACK",
    )
    parser.add_argument(
        "--no-certificate",
        dest="certificate",
        action="store_false",
        help="leave out the count that confirms that no mode is missing",
    )
    parser.add_argument(
        "--vectors", action="store_true", default=True, help="keep the eigenvectors (default)"
    )
    parser.add_argument(
        "--no-vectors",
        dest="vectors",
        action="store_false",
        help="leave the eigenvectors out of the mode file",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="S",
        help="seed of the start vectors (default: 0)",
    )
    add_matrix_options(parser)
    add_output_option(parser, "M.h5", "mode file to write", required=False)


def run(args, comm) -> dict:
    """Find the modes.  Collective."""
    if args.output:
        check_output(comm, args.output, (".h5", ".hdf5"), [args.sample])
    matrix = on_root(comm, lambda: read_matrix_input(args))
    modes = _of_sample(args, comm) if matrix is None else _of_matrix(args, comm, matrix)
    if args.output:
        on_root(comm, lambda: modes.write(args.output))
    return {
        "frequencies": modes.frequency,
        "participation_ratios": modes.participation_ratio,
        "residuals": modes.residual,
        "zero_modes": modes.zero_modes,
        "certified": modes.certified,
        "complete_below": modes.complete_below,
        "solver": modes.solver,
    }


def _of_sample(args, comm) -> ModeFile:
    sample = read_sample(comm, args.sample)
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.modes import vibrational_modes

    system = HarmonicSystem(comm, sample)
    try:
        modes = vibrational_modes(system, **_request(args))
        vectors = modes.vectors() if args.output and args.vectors else None
    finally:
        system.destroy()
    return _mode_file(
        frequency=modes.frequencies,
        residual=modes.residuals,
        participation_ratio=modes.participation_ratios,
        vectors=vectors,
        zero_modes=modes.zero_modes,
        certified=modes.certified,
        complete_below=modes.complete_below,
        solver=modes.solver,
        provenance={
            "source": args.sample,
            "model": sample.model,
            "sample": sample.provenance,
            "seed": args.seed,
        },
    )


def _of_matrix(args, comm, content: SparseMatrix) -> ModeFile:
    import numpy as np

    from glassmodes.observables.modes import operator_modes
    from glassmodes.observables.participation import participation_ratio
    from glassmodes.spectra.factorisations import count_below

    operator = matrix_operator(comm, content)
    modes = operator_modes(operator, **_request(args))
    negative = modes.values[modes.values < 0]
    if len(negative):
        count = len(negative)
        if args.certificate:
            count, _ = count_below(operator, -1e-10 * modes.solver["spectral_bound"])
        raise SampleError(
            "saddle",
            f"{args.sample} has {count} negative eigenvalue(s): modes need a matrix without, "
            "whose eigenvalues are squared frequencies",
            negative_eigenvalues=int(count),
        )
    rows = np.vstack(comm.allgather(modes.vectors)) if comm.size > 1 else modes.vectors
    particles = content.matrix.shape[0] // content.block_size
    vectors = rows.T.reshape(-1, particles, content.block_size)
    return _mode_file(
        frequency=np.sqrt(modes.values),
        residual=modes.residuals,
        participation_ratio=participation_ratio(vectors),
        vectors=vectors if args.vectors else None,
        zero_modes=modes.zero_modes,
        certified=modes.certified,
        complete_below=float(np.sqrt(max(modes.complete_below, 0.0))),
        solver=modes.solver,
        provenance={"source": args.sample, "seed": args.seed},
    )


def _request(args) -> dict[str, Any]:
    names = ("count", "below", "certificate", "method", "seed")
    return {name: getattr(args, name) for name in names}


def _mode_file(solver: dict, provenance: dict, **content) -> ModeFile:
    from glassmodes.formats.mode_file import ModeFile

    provenance = {"glassmodes": __version__, **provenance}
    return ModeFile(solver=jsonable(solver), provenance=jsonable(provenance), **content)
