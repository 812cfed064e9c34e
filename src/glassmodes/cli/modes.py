"""``glassmodes modes``: modes of a sample, or of a sparse matrix from elsewhere.

The lowest ones, all below a frequency, or all in a window of frequencies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from glassmodes import __version__
from glassmodes.cli.answer import jsonable
from glassmodes.cli.inputs import add_output_option, add_sample_argument, read_domain
from glassmodes.cli.matrices import add_matrix_options, matrix_operator, read_matrix_input
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import (
    add_verb,
    non_negative_integer,
    non_negative_number,
    positive_integer,
    positive_number,
    seed,
)
from glassmodes.errors import InputError, SampleError
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    import numpy as np

    from glassmodes.formats.mode_file import ModeFile
    from glassmodes.formats.sparse_matrix import SparseMatrix
    from glassmodes.observables.modes import VibrationalModes
    from glassmodes.observables.windows import VibrationalWindow
    from glassmodes.spectra.eigenmodes import Eigenmodes

METHODS = ("auto", "filtered", "shift-invert", "lowest", "slepc", "dense")
WINDOW_METHODS = ("shift-invert", "lowest")
MOST_SLICES = 10_000
CERTIFICATES = ("auto", "inertia", "count", "none")

DESCRIPTION = """\
Frequencies, participation ratios and residuals of modes: the lowest ones, all below a frequency,
or all in a window of frequencies. Translations and other null vectors are left out.

The input is a sample at a minimum, or a symmetric sparse matrix (scipy .npz or PETSc binary)
whose eigenvalues are squared frequencies. A certificate confirms that no mode is missing, and has
it found otherwise: an inertia count just above the last mode, or at both ends of the window;
where no factor fits in memory, a second start that must find nothing, beside an estimated count.

A window is searched slice by slice. Its slices hold about as many modes each; several jobs that
are given the same --slices K search one slice each with --slice 0 to K-1.

JSON keys: frequencies (ascending), participation_ratios, residuals, certified, certificate
(inertia, second start or none), modes_counted, solver (method, parameters, products, times,
memory). Of the lowest modes: zero_modes, rattlers, complete_below, modes_counted_error. Of a
window: complete_between (both ends; null without a certificate), slices (slice of every mode),
cuts (their ends), modes_expected and modes_expected_error (from the density of states)."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "modes",
        run,
        summary="vibrational modes of a sample or a sparse matrix, the lowest or in a window",
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
    which.add_argument(
        "--between",
        type=non_negative_number,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="all modes between these angular frequencies",
    )
    parser.add_argument(
        "--slices",
        type=positive_integer,
        metavar="K",
        help="cut the window of --between into K slices (default: 300 modes in each)",
    )
    parser.add_argument(
        "--slice",
        dest="only",
        type=non_negative_integer,
        metavar="k",
        help="search this slice only, 0 to K-1",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="filtered: Chebyshev-filtered block Lanczos, low-pass or band-pass; shift-invert and "
        "lowest (by the low-pass filter) are for windows; slepc: SLEPc shift-invert; dense: LAPACK "
        "(default, auto: filtered; in windows the estimated fastest)",
    )
    vouching = parser.add_mutually_exclusive_group()
    vouching.add_argument(
        "--certificate",
        choices=CERTIFICATES,
        default="auto",
        help="inertia: count by a factor; count: second start; none (default, auto: inertia "
        "where its factor fits, else count)",
    )
    vouching.add_argument(
        "--no-certificate",
        dest="certificate",
        action="store_const",
        const="none",
        help="the same as --certificate none",
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
    _check_request(args)
    if args.output:
        check_output(comm, args.output, (".h5", ".hdf5"), [args.sample])
    matrix = on_root(comm, lambda: read_matrix_input(args))
    return _of_sample(args, comm) if matrix is None else _of_matrix(args, comm, matrix)


def _check_request(args) -> None:
    if args.between is None:
        for name, given in (("--slices", args.slices), ("--slice", args.only)):
            if given is not None:
                raise InputError(f"{name} cuts a window: give it with --between LOW HIGH")
        if args.method in WINDOW_METHODS:
            raise InputError(
                f"--method {args.method} is for --between LOW HIGH; the lowest modes have "
                "filtered, slepc and dense"
            )
        return
    low, high = args.between
    if not low < high:
        raise InputError(f"--between needs LOW below HIGH, got {low:g} and {high:g}")
    if args.slices is not None and args.slices > MOST_SLICES:
        raise InputError(f"--slices {args.slices}: at most {MOST_SLICES} slices can be cut")
    if args.only is not None and not (args.slices and args.only < args.slices):
        raise InputError(f"--slice {args.only} needs --slices K with K above {args.only}")


def _of_sample(args, comm) -> dict[str, Any]:
    domain = read_domain(comm, args.sample)
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.modes import vibrational_modes
    from glassmodes.observables.windows import vibrational_window

    system = HarmonicSystem(comm, domain)
    modes: VibrationalModes | VibrationalWindow
    try:
        if args.between is None:
            modes = vibrational_modes(system, **_lowest(args))
        else:
            modes = vibrational_window(system, *args.between, **_window(args))
        if args.output:
            provenance = {"model": domain.sample.model, "sample": domain.sample.provenance}
            content = _mode_file(args, modes, system.operator.nullity, provenance)
            content.stream(comm, args.output, modes.spread_vectors() if args.vectors else None)
    finally:
        system.destroy()
    return modes.to_json()


def _of_matrix(args, comm, content: SparseMatrix) -> dict[str, Any]:
    import numpy as np

    from glassmodes.observables.modes import VibrationalModes, operator_modes
    from glassmodes.observables.participation import participation_ratio
    from glassmodes.observables.windows import VibrationalWindow, operator_window

    operator = matrix_operator(comm, content)
    shape = -1, content.matrix.shape[0] // content.block_size, content.block_size
    modes: VibrationalModes | VibrationalWindow
    if args.between is None:
        found = operator_modes(operator, **_lowest(args))
        _refuse_negative(args, operator, found)
        vectors = _whole(comm, found.vectors).T.reshape(shape)
        modes = VibrationalModes.of(found, participation_ratio(vectors))
    else:
        window = operator_window(operator, *args.between, **_window(args))
        vectors = _whole(comm, window.vectors).T.reshape(shape)
        modes = VibrationalWindow.of(window, participation_ratio(vectors))
    if args.output:
        file = _mode_file(args, modes, operator.nullity, {})
        file.vectors = np.ascontiguousarray(vectors) if args.vectors else None
        on_root(comm, lambda: file.write(args.output))
    return modes.to_json()


def _whole(comm, local: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.vstack(comm.allgather(local)) if comm.size > 1 else local


def _refuse_negative(args, operator, modes: Eigenmodes) -> None:
    from glassmodes.spectra.factorisations import count_below

    count = int((modes.values < 0).sum())
    if not count:
        return
    if modes.certified:
        count, _ = count_below(operator, -1e-10 * modes.solver["spectral_bound"])
    raise SampleError(
        "saddle",
        f"{args.sample} has {count} negative eigenvalue(s): modes need a matrix without, "
        "whose eigenvalues are squared frequencies",
        negative_eigenvalues=int(count),
    )


def _lowest(args) -> dict[str, Any]:
    method = "filtered" if args.method == "auto" else args.method
    names = ("count", "below", "certificate", "seed")
    return {name: getattr(args, name) for name in names} | {"method": method}


def _window(args) -> dict[str, Any]:
    names = ("slices", "only", "method", "certificate", "seed")
    return {name: getattr(args, name) for name in names}


def _mode_file(
    args, modes: VibrationalModes | VibrationalWindow, zero_modes: int, provenance: dict
) -> ModeFile:
    from glassmodes.formats.mode_file import ModeFile

    # Without a certificate nothing says that a window is complete.
    above, below = getattr(modes, "complete_between", None) or (0.0, math.nan)
    provenance = {
        "glassmodes": __version__,
        "source": args.sample,
        **provenance,
        "seed": args.seed,
    }
    return ModeFile(
        frequency=modes.frequencies,
        residual=modes.residuals,
        participation_ratio=modes.participation_ratios,
        vectors=None,
        zero_modes=getattr(modes, "zero_modes", zero_modes),
        certified=modes.certified,
        complete_below=getattr(modes, "complete_below", below),
        complete_above=above,
        solver=jsonable(modes.solver),
        provenance=jsonable(provenance),
    )
