"""``glassmodes moduli``: elastic moduli of one sample."""

from __future__ import annotations

from glassmodes.cli.inputs import add_sample_argument, add_solver_option, read_domain
from glassmodes.cli.parser import add_verb

DESCRIPTION = """\
Shear modulus of every ordered pair of directions, bulk modulus and the full elastic tensor.

JSON keys: energy_per_particle, pressure, born_shear_modulus, shear_modulus,
non_affine_force_squared_mean (means over all ordered pairs of directions), by_direction (a d x d
list of lists of each, diagonal null), bulk_modulus, elastic_tensor (d x d x d x d),
debye_frequency, mass_density, max_force, typical_contact_force, residual, rattlers (particles
without contacts that bear a load), solver (how the responses were solved for: method, why,
iterations, residual, estimated and the factor's entries, flops and bytes). The direction ab is the
strain x_a += gamma x_b. The sample must be at a minimum."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "moduli",
        run,
        summary="shear moduli, bulk modulus and elastic tensor of a sample",
        description=DESCRIPTION,
        example="glassmodes moduli glass.h5 --json",
    )
    add_sample_argument(parser)
    add_solver_option(parser)


def run(args, comm) -> dict:
    """Measure the moduli.  Collective."""
    domain = read_domain(comm, args.sample)
    from glassmodes.observables.elasticity import moduli
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.stability import require_stable

    system = HarmonicSystem(comm, domain, solver=args.solver)
    try:
        require_stable(system)
        return {**moduli(system), "solver": system.describe_solves()}
    finally:
        system.destroy()
