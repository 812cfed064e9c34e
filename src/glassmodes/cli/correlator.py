"""``glassmodes correlator``: how vibrations couple to a strain, without eigenvectors."""

from __future__ import annotations

from glassmodes.cli.dos import add_density_options, density_request
from glassmodes.cli.inputs import (
    add_output_option,
    add_sample_argument,
    add_strain_option,
    add_tolerance_option,
    read_domain,
)
from glassmodes.cli.outputs import check_output, write_table
from glassmodes.cli.parser import add_verb

DESCRIPTION = """\
Density of states D, its product with the correlator of the non-affine forces, D Gamma =
(1/n) sum_p (Xi.psi_p)^2 delta(omega - omega_p), and Gamma, over angular frequency and for one
strain. Both densities are broadened alike; neither needs an eigenvector. With unequal masses Xi
and H are mass-weighted, except in Xi.H^-1.Xi, which has no masses.

JSON keys: frequency, density_times_correlator, correlator (null where the density is not above
its error or a thousandth of its peak, and above the band edge), moments (an object with keys
"-1", "0", "1": Xi.H^-1.Xi, Xi.Xi, Xi.H.Xi, extensive), density, density_error, vibrations (n),
max_frequency, non_affine_force_squared_mean, zero_modes, zero_modes_error, zero_modes_method,
resolution, vectors, products (for each vector), strain."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "correlator",
        run,
        summary="coupling of the vibrations to a strain over frequency, and its moments",
        description=DESCRIPTION,
        example="glassmodes correlator glass.h5 --strain xy --resolution 0.05 -o gamma.csv",
    )
    add_sample_argument(parser)
    add_strain_option(parser)
    add_density_options(parser)
    add_tolerance_option(parser, "moment -1 over the volume")
    add_output_option(
        parser,
        "C.csv",
        "table to write: frequency, density, density_error, density_times_correlator, correlator",
        required=False,
    )


def run(args, comm) -> dict:
    """Measure the correlator.  Collective."""
    if args.output:
        check_output(comm, args.output, (".csv",), [args.sample])
    domain = read_domain(comm, args.sample)
    import numpy as np

    from glassmodes.observables.correlator import non_affine_correlator
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.strains import strain_axes

    strain_axes(args.strain, domain.dimension)
    system = HarmonicSystem(comm, domain)
    try:
        found = non_affine_correlator(
            system, [args.strain], **density_request(args), tolerance=args.tolerance
        )
    finally:
        system.destroy()
    table = {
        "frequency": found.frequency,
        "density": found.density,
        "density_error": found.density_error,
        "density_times_correlator": found.density_times_correlator[:, 0],
        "correlator": np.where(found.resolved, found.correlator[:, 0], np.nan),
    }
    if args.output:
        write_table(comm, args.output, table)
    scalars = (
        *("vibrations", "max_frequency", "non_affine_force_squared_mean"),
        *("zero_modes", "zero_modes_error", "zero_modes_method"),
        *("resolution", "vectors", "products"),
    )
    return {
        **table,
        "moments": {power: values[0] for power, values in found.moments.items()},
        **{name: getattr(found, name) for name in scalars},
        "strain": args.strain,
    }
