"""``glassmodes lattice``: a network of springs at rest, from a lattice or from a glass."""

from __future__ import annotations

import logging

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

#: Name and fixed parameters of the protocol behind each type.
_TYPES = {
    "fcc": ("bond_depleted_lattice", {"lattice": "fcc"}),
    "fcc-vacancies": ("lattice_vacancies", {"lattice": "fcc"}),
    "triangular": ("bond_depleted_lattice", {"lattice": "triangular"}),
    "triangular-vacancies": ("lattice_vacancies", {"lattice": "triangular"}),
    "random-network": ("random_network", {}),
}

#: Options that only some protocols know.
_OWN = {
    "cut": ("bond_depleted_lattice", "random_network"),
    "starting_coordination": ("random_network",),
    "parent_model": ("random_network",),
    "density": ("random_network",),
    "temperature": ("random_network",),
    "equilibration_time": ("random_network",),
    "time_step": ("random_network",),
    "descent_steps": ("random_network",),
}

DESCRIPTION = """\
Make a periodic network of harmonic springs, every spring at its rest length.

fcc and triangular are the perfect lattices, with bonds cut down to the mean coordination if one
is given; the -vacancies types leave out sites instead. random-network takes a Lennard-Jones
glass, puts springs on its shortest pairs and cuts them. Lattices fill a box of whole cells: the
number of atoms is the nearest to N that gives. Lengths are in units of the spring, masses are 1.

JSON keys: output, coordination and coordination_deviation (over atoms), unbonded_atoms,
spring_length and spring_length_deviation, non_affine_force_squared_mean (inversion asymmetry,
over all planes), bond_order (F6, the mean bond-order correlation of geometric neighbours) and
bond_order_fraction (of them above 0.7), largest_cluster (fraction of atoms), for random-network
parent_... (what is known of the glass), and what 'info' says of the sample. Floppy parts stay
unless --prune-floppy takes them out. The same seed gives the same network."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "lattice",
        run,
        summary="make a spring network from a lattice or a glass",
        description=DESCRIPTION,
        example="glassmodes lattice --type fcc --particles 4000 --coordination 6.1 -o lattice.h5",
    )
    parser.add_argument("--type", required=True, choices=tuple(_TYPES), help="kind of network")
    parser.add_argument(
        "--particles",
        required=True,
        type=positive_integer,
        metavar="N",
        help="number of atoms wanted",
    )
    parser.add_argument(
        "--coordination",
        type=positive_number,
        metavar="Z",
        help="mean number of springs per atom (default: the perfect lattice)",
    )
    parser.add_argument(
        "--cut",
        choices=("narrow", "independent"),
        help="cut bonds between the atoms that have most, or any (default: narrow)",
    )
    parser.add_argument(
        "--stiffness",
        type=positive_number,
        default=1.0,
        metavar="K",
        help="of every spring (default: 1)",
    )
    parser.add_argument(
        "--prune-floppy",
        action="store_true",
        help="take out atoms with d or fewer springs, again and again",
    )
    parser.add_argument(
        "--seed", type=non_negative_integer, default=0, metavar="S", help="random seed (default: 0)"
    )
    add_output_option(parser, "S.h5", "sample file to write")
    group = parser.add_argument_group("random-network")
    for name, kind, metavar, help_text in (
        ("dimension", positive_integer, "D", "2 or 3 (default: 3)"),
        ("starting-coordination", positive_number, "Z", "before cutting (default: 9, in 2D 5.5)"),
        ("parent-model", str, "NAME|FILE.yaml", "of the glass (default: Lennard-Jones)"),
        ("density", positive_number, "RHO", "(default: mean spring 1, within 3 %% in 2D)"),
        ("temperature", positive_number, "T", "of the liquid (default: 2)"),
        ("equilibration-time", non_negative_number, "TIME", "in the liquid (default: 3.5)"),
        ("time-step", positive_number, "DT", "of the molecular dynamics (default: 0.005)"),
        ("descent-steps", positive_integer, "K", "of FIRE towards the minimum (default: 1000)"),
    ):
        group.add_argument(f"--{name}", type=kind, metavar=metavar, help=help_text)


def run(args, comm) -> dict:
    """Make one network.  Collective; rank 0 does the work."""
    check_output(comm, args.output, (".h5", ".hdf5"))
    return on_root(comm, lambda: _make(args))


def _make(args) -> dict:
    from glassmodes.cli.description import describe_sample
    from glassmodes.preparation import make_network

    protocol = _protocol(args)
    tell = log.info if protocol["name"] == "random_network" else log.debug  # seconds or minutes
    network = make_network(protocol, args.particles, args.seed, args.dimension, tell)
    network.write(args.output)
    evidence = network.provenance["evidence"]
    return {"output": args.output, **evidence, **describe_sample(network)}


def _protocol(args) -> dict:
    """Return name and parameters of the protocol, those that were given."""
    name, settings = _TYPES[args.type]
    if args.coordination is None and name != "bond_depleted_lattice":
        raise InputError(f"say how many springs an atom has with --coordination Z: {args.type}")
    settings = settings | {"stiffness": args.stiffness, "prune_floppy": args.prune_floppy}
    for option in ("coordination", *_OWN):
        value = getattr(args, option)
        if value is None:
            continue
        if name not in _OWN.get(option, (name,)):
            raise InputError(f"--{option.replace('_', '-')} has no meaning for --type {args.type}")
        settings[option] = value
    return {"name": name, **settings}
