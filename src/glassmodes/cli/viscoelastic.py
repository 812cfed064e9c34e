"""``glassmodes viscoelastic``: moduli against frequency and time of a damped sample."""

from __future__ import annotations

from glassmodes.cli.inputs import (
    add_output_option,
    add_sample_argument,
    add_strain_option,
    add_tolerance_option,
    read_domain,
)
from glassmodes.cli.outputs import check_output, write_table
from glassmodes.cli.parser import add_verb, grid, rate
from glassmodes.errors import InputError

DESCRIPTION = """\
Storage and loss modulus G'(W) and G''(W) and relaxation modulus G(t) of a sample whose particles
obey m (x'' + NU x') + H x = Xi gamma(t), for one strain x_a += gamma x_b. From one Lanczos run
started from the non-affine force Xi: no eigenvectors, any number of decades at once.

JSON keys: frequency, storage_modulus, loss_modulus, time, relaxation_modulus,
overdamped_relaxation (its limit without inertia), affine_modulus, static_modulus,
non_affine_force_squared_mean, max_frequency, error (estimated, of the moduli), steps (of
Lanczos), damping, strain. The error is absolute: a G'' far below tolerance x affine_modulus has few
digits."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "viscoelastic",
        run,
        summary="storage, loss and relaxation modulus of a damped sample",
        description=DESCRIPTION,
        example="glassmodes viscoelastic network.h5 --damping 1e4 --frequencies 1e-9,1e3,121 "
        "--times 1,1e11,111 -o moduli.csv",
    )
    add_sample_argument(parser)
    parser.add_argument(
        "--damping",
        type=rate,
        required=True,
        metavar="NU",
        help="damping rate per unit mass, above zero",
    )
    for name, what in (("frequencies", "angular frequencies W"), ("times", "times t")):
        parser.add_argument(
            f"--{name}",
            type=grid,
            metavar="MIN,MAX,POINTS",
            help=f"logarithmic grid of {what}, both ends included",
        )
    add_strain_option(parser)
    add_tolerance_option(parser, "the moduli")
    add_output_option(
        parser,
        "G.csv",
        "table to write: frequency, storage_modulus, loss_modulus, time, relaxation_modulus, "
        "overdamped_relaxation; the shorter grid ends in empty cells",
        required=False,
    )


def run(args, comm) -> dict:
    """Measure the moduli.  Collective."""
    if args.frequencies is None and args.times is None:
        raise InputError("nothing to measure: give --frequencies or --times, or both")
    if args.output:
        check_output(comm, args.output, (".csv",), [args.sample])
    domain = read_domain(comm, args.sample)
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.strains import strain_axes
    from glassmodes.observables.viscoelasticity import viscoelastic_response

    strain_axes(args.strain, domain.dimension)
    frequencies, times = (
        () if chosen is None else chosen.values() for chosen in (args.frequencies, args.times)
    )
    system = HarmonicSystem(comm, domain)
    try:
        found = viscoelastic_response(
            system, [args.strain], args.damping, frequencies, times, args.tolerance
        )
    finally:
        system.destroy()
    table = {
        "frequency": found.frequency,
        "storage_modulus": found.storage_modulus[0],
        "loss_modulus": found.loss_modulus[0],
        "time": found.time,
        "relaxation_modulus": found.relaxation_modulus[0],
        "overdamped_relaxation": found.overdamped_relaxation[0],
    }
    if args.output:
        write_table(comm, args.output, table)
    scalars = (
        *("affine_modulus", "static_modulus", "non_affine_force_squared_mean"),
        *("error", "steps"),
    )
    return {
        **table,
        **{name: getattr(found, name)[0] for name in scalars},
        "max_frequency": found.max_frequency,
        "damping": args.damping,
        "strain": args.strain,
    }
