"""``glassmodes minimize``: bring a sample to the nearest minimum of its energy."""

from __future__ import annotations

from glassmodes.cli.inputs import add_output_option, add_sample_argument, read_sample
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import add_verb, positive_number
from glassmodes.parallel import on_root

DESCRIPTION = """\
Minimise the energy at fixed box: FIRE into the basin, then Newton steps with the exact Hessian.

The answer carries the residual force, its ratio to the typical contact force and the effort; they
are stored in the provenance of the new sample."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "minimize",
        run,
        summary="bring a sample to the nearest minimum of its energy",
        description=DESCRIPTION,
        example="glassmodes minimize liquid.h5 -o glass.h5",
    )
    add_sample_argument(parser)
    parser.add_argument(
        "--tolerance",
        type=positive_number,
        default=1e-10,
        metavar="RATIO",
        help="largest force component over typical contact force to reach (default: 1e-10)",
    )
    add_output_option(parser, "T.h5", "sample file to write")


def run(args, comm) -> dict:
    """Minimise one sample.  Collective; rank 0 does the work."""
    check_output(comm, args.output, (".h5", ".hdf5"))
    sample = read_sample(comm, args.sample)
    return on_root(comm, lambda: _minimise(args, sample))


def _minimise(args, sample) -> dict:
    from glassmodes.cli.description import describe_sample
    from glassmodes.mechanics.interactions import find_interactions
    from glassmodes.preparation.minimise import minimise

    relaxed, info = minimise(sample, tolerance=args.tolerance)
    relaxed.write(args.output)
    answer = describe_sample(relaxed, find_interactions(relaxed))
    return {"output": args.output, **answer, "minimisation": info}
