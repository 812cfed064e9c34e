"""``glassmodes prepare``: one glass from nothing."""

from __future__ import annotations

import logging
from typing import Any

from glassmodes.cli.inputs import add_output_option
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import (
    add_verb,
    non_negative_integer,
    non_negative_number,
    positive_integer,
    positive_number,
)
from glassmodes.errors import InputError
from glassmodes.parallel import on_root

log = logging.getLogger(__name__)

PROTOCOLS = ("instantaneous_quench", "slow_cooling", "random_start")

#: Temperatures of the liquid where none is given, by class of model: far above the onset of
#: slow dynamics, where inherent structures no longer depend on the temperature.
_TEMPERATURES = {"InversePowerLaw": 2.0, "LennardJones": 2.0}

DESCRIPTION = """\
Make one glass: particles at random, a liquid in equilibrium by molecular dynamics, the thermal
history of the protocol, then the nearest minimum of the energy.

instantaneous_quench goes straight from the liquid to the minimum, slow_cooling cools it at a
constant rate first, random_start leaves the liquid out. Temperatures are in units of energy/k_B,
times in those of the model. Dimension, density and composition come with the model.

Under mpiexec one glass is spread over all ranks, from its first random number to the file: for
samples of 10^5 particles and more. The start then follows from the seed on any number of ranks, the
minimum also depends on their number.

JSON keys: output, the evidence of the preparation (drift of the energy before the quench, energy
and pressure of the inherent structure, largest remaining force, crystal order, effort) and what
'info' says of the sample. The same seed gives the same sample."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "prepare",
        run,
        summary="make a glass from nothing",
        description=DESCRIPTION,
        example="glassmodes prepare --model ipl_3d --particles 1000 --seed 1 -o glass.h5",
    )
    parser.add_argument(
        "--model", required=True, metavar="NAME|FILE.yaml", help="interaction model"
    )
    parser.add_argument(
        "--particles", required=True, type=positive_integer, metavar="N", help="number of particles"
    )
    parser.add_argument(
        "--seed", required=True, type=non_negative_integer, metavar="S", help="random seed"
    )
    parser.add_argument(
        "--density",
        type=positive_number,
        metavar="RHO",
        help="number density N/V (default: that of the model)",
    )
    parser.add_argument(
        "--dimension",
        type=positive_integer,
        metavar="D",
        help="2, 3 or 4 (default: that of the model)",
    )
    add_output_option(parser, "S.h5", "sample file to write")
    group = parser.add_argument_group("protocol")
    group.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="instantaneous_quench",
        help="thermal history (default: instantaneous_quench)",
    )
    for name, kind, help_text in (
        ("temperature", positive_number, "of the liquid (default: 2 for ipl and Lennard-Jones)"),
        ("final-temperature", positive_number, "where slow_cooling ends"),
        ("rate", positive_number, "of slow_cooling: temperature lost per time"),
        ("equilibration-time", non_negative_number, "time in the liquid (default: 50)"),
        ("time-step", positive_number, "of the molecular dynamics (default: by temperature)"),
        ("thermostat-time", positive_number, "of the Nose-Hoover chain (default: 0.2)"),
    ):
        group.add_argument(f"--{name}", type=kind, metavar="X", help=help_text)
    group.add_argument(
        "--force-tolerance",
        type=positive_number,
        default=1e-10,
        metavar="RATIO",
        help="largest force component over typical contact force to reach (default: 1e-10)",
    )


def run(args, comm) -> dict:
    """Prepare one sample.  Collective."""
    check_output(comm, args.output, (".h5", ".hdf5"))
    from glassmodes.cli.description import describe_domain
    from glassmodes.domain import Domain
    from glassmodes.models import PairPotential, resolve
    from glassmodes.preparation import prepare_domain, prepare_sample

    model = on_root(comm, lambda: resolve(args.model))
    if not isinstance(model, PairPotential):
        raise InputError(f"the model {args.model} is no pair potential: it cannot be prepared")
    request = (model, args.particles, _protocol(args, type(model).__name__), args.seed)
    options: dict[str, Any] = {
        "dimension": args.dimension,
        "density": args.density,
        "force_tolerance": args.force_tolerance,
        "progress": log.info,
    }
    if comm.size > 1:
        domain = prepare_domain(comm, *request, **options)
        domain.write(args.output)
    else:
        sample = prepare_sample(*request, **options)
        sample.write(args.output)
        domain = Domain.of(comm, sample)
    evidence = domain.sample.provenance["evidence"]
    return {"output": args.output, **evidence, **describe_domain(domain)}


def _protocol(args, model_class: str) -> dict:
    """Return name and parameters of the protocol, those that were given and the temperature."""
    names = ("temperature", "final_temperature", "rate", "equilibration_time", "time_step")
    given = {name: getattr(args, name) for name in (*names, "thermostat_time")}
    settings = {name: value for name, value in given.items() if value is not None}
    if args.protocol != "random_start" and "temperature" not in settings:
        if model_class not in _TEMPERATURES:
            raise InputError(
                f"say how hot the liquid is with --temperature T: {model_class} has no usual one"
            )
        settings["temperature"] = _TEMPERATURES[model_class]
    return {"name": args.protocol, **settings}
