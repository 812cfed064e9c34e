"""``glassmodes import``: a sample from elsewhere, with its model, as our own file."""

from __future__ import annotations

from glassmodes.cli.inputs import add_output_option
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import add_verb, non_negative_integer
from glassmodes.parallel import on_root

DESCRIPTION = """\
Read a sample, attach its interaction model and write it as a sample file.

Formats: extended XYZ (.xyz, .extxyz), LAMMPS data and dump (sorted by id), GSD, .npz or plain HDF5
(arrays positions, box, species, optional diameters, masses, bonds, stiffness, rest_lengths; a
network needs positions, box and bonds only) and our own HDF5. Boxes are orthorhombic and periodic.
LAMMPS types 1, 2, ... become species 0, 1, ...

The sample must fit its model: known species, no overlapping particles, edges of at least twice
the cutoff. It need not be at a minimum; 'minimize' brings it there."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "import",
        run,
        summary="read a sample of another program and attach its model",
        description=DESCRIPTION,
        example="glassmodes import glass.xyz --model ipl_3d -o glass.h5",
    )
    parser.add_argument("file", metavar="FILE", help="file to read")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE.yaml",
        help="interaction model: a known name, or a file with class and constants; may be left "
        "out if the file carries one or has bonds, which are then all (harmonic_network)",
    )
    parser.add_argument(
        "--type-map",
        metavar="LABEL=SPECIES,...",
        help="species of each label in the file, for instance 1=1,2=0 or B=0,A=1",
    )
    parser.add_argument(
        "--frame",
        type=non_negative_integer,
        metavar="K",
        help="frame of a trajectory, counted from 0 (default: the last one)",
    )
    add_output_option(parser, "S.h5", "sample file to write")


def run(args, comm) -> dict:
    """Import one file.  Collective; rank 0 does the work."""
    check_output(comm, args.output, (".h5", ".hdf5"), [args.file])
    return on_root(comm, lambda: _import(args))


def _import(args) -> dict:
    from glassmodes.cli.description import describe_sample
    from glassmodes.errors import InputError
    from glassmodes.formats import parse_type_map, read_sample
    from glassmodes.mechanics.interactions import find_interactions
    from glassmodes.models import resolve

    model = None if args.model is None else resolve(args.model)
    types = None if args.type_map is None else parse_type_map(args.type_map.replace(":", "="))
    sample = read_sample(args.file, type_map=types, frame=args.frame)
    sample.validate()
    if model is not None:
        sample.model = model.spec()
    if not sample.model:
        if sample.bonds is None:
            raise InputError(
                f"{args.file} carries no model: say which with --model NAME or FILE.yaml"
            )
        sample.model = resolve("harmonic_network").spec()
    interactions = find_interactions(sample)
    answer = describe_sample(sample, interactions)
    sample.provenance["import"] = {
        "file": str(args.file),
        "max_force": answer["max_force"],
        "force_ratio": answer["force_ratio"],
    }
    sample.write(args.output)
    return {"output": args.output, **answer}
