"""``glassmodes minimize``: bring a sample to the nearest minimum of its energy."""

from __future__ import annotations

import time

from glassmodes.cli.inputs import (
    add_output_option,
    add_sample_argument,
    load_sample,
    read_domain,
)
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import add_verb, positive_number
from glassmodes.parallel import on_root

DESCRIPTION = """\
Minimise the energy at fixed box: FIRE into the basin, then Newton steps with the exact Hessian.

The answer carries the residual force, its ratio to the typical contact force and the effort; they
are stored in the provenance of the new sample. Under mpiexec a sample without bonds is spread over
all ranks. JSON keys: output, those of 'info', minimisation, seconds (of the descent)."""


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
    parser.add_argument(
        "--method",
        choices=("newton", "fire"),
        default="newton",
        help="how the last digits are won; fire is for comparison (default: newton)",
    )
    add_output_option(parser, "T.h5", "sample file to write")


def run(args, comm) -> dict:
    """Minimise one sample.  Collective."""
    check_output(comm, args.output, (".h5", ".hdf5"))
    if comm.size == 1:
        return _minimise(args)
    domain = read_domain(comm, args.sample)
    if domain.sample.bonds is not None:
        return on_root(comm, lambda: _minimise(args))
    from glassmodes.cli.description import describe_domain
    from glassmodes.mechanics.interactions import domain_interactions
    from glassmodes.preparation.domain_minimise import minimise_domain

    began = time.perf_counter()
    domain, info, _ = minimise_domain(domain, tolerance=args.tolerance, method=args.method)
    seconds = time.perf_counter() - began
    domain.write(args.output)
    answer = describe_domain(domain, domain_interactions(domain))
    return {"output": args.output, **answer, "minimisation": info, "seconds": seconds}


def _minimise(args) -> dict:
    from glassmodes.cli.description import describe_sample
    from glassmodes.mechanics.interactions import find_interactions
    from glassmodes.preparation.minimise import minimise

    sample = load_sample(args.sample)
    began = time.perf_counter()
    relaxed, info = minimise(sample, tolerance=args.tolerance, method=args.method)
    seconds = time.perf_counter() - began
    relaxed.write(args.output)
    answer = describe_sample(relaxed, find_interactions(relaxed))
    return {"output": args.output, **answer, "minimisation": info, "seconds": seconds}
