"""``glassmodes export``: a sample, and modes as vectors, for other programs."""

from __future__ import annotations

from glassmodes.cli.inputs import add_output_option, add_sample_argument
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import add_verb, non_negative_integer
from glassmodes.parallel import on_root

XYZ_SUFFIXES = (".xyz", ".extxyz")
LAMMPS_SUFFIXES = (".data", ".lmp")

DESCRIPTION = """\
Write a sample as extended XYZ (.xyz, .extxyz) or LAMMPS data (.data, .lmp), for OVITO and others.

With --modes the displacement vectors of the modes (eigenvectors over the square root of the
masses) go along: one frame a mode, with the vector column disp, in extended XYZ; one mode as the
velocities in LAMMPS data. Both formats have at most three coordinates: samples in 2D get z = 0,
samples in 4D are refused."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "export",
        run,
        summary="write a sample, with modes as vectors, for OVITO and others",
        description=DESCRIPTION,
        example="glassmodes export glass.h5 --modes modes.h5 -o glass.xyz",
    )
    add_sample_argument(parser)
    parser.add_argument(
        "--modes", metavar="M.h5", help="mode file of the same sample, with its vectors"
    )
    parser.add_argument(
        "--mode",
        type=non_negative_integer,
        metavar="K",
        help="only mode K of the file, counted from 0 (default: all)",
    )
    add_output_option(parser, "FILE", "file to write: .xyz, .extxyz, .data or .lmp")


def run(args, comm) -> dict:
    """Export one sample.  Collective; rank 0 does the work."""
    output = check_output(comm, args.output, XYZ_SUFFIXES + LAMMPS_SUFFIXES, [args.sample])
    return on_root(comm, lambda: _export(args, output))


def _export(args, output) -> dict:
    from glassmodes.errors import InputError
    from glassmodes.formats import read_sample, write_extended_xyz, write_lammps_data

    if args.mode is not None and not args.modes:
        raise InputError("--mode K chooses a mode of a file: name it with --modes M.h5")
    sample = read_sample(args.sample)
    vectors, frequencies = None, None
    if args.modes:
        vectors, frequencies = _displacements(args.modes, args.mode, sample)
    if output.suffix.lower() in LAMMPS_SUFFIXES:
        write_lammps_data(output, sample, modes=vectors)
    else:
        write_extended_xyz(output, sample, modes=vectors, frequencies=frequencies)
    count = 0 if vectors is None else len(vectors)
    return {"output": args.output, "particles": sample.particles, "modes": count}


def _displacements(path: str, chosen: int | None, sample):
    """Return modes of a file as displacements (K, N, d) of `sample`, and frequencies (K,)."""
    import numpy as np

    from glassmodes.errors import InputError
    from glassmodes.formats.mode_file import ModeFile

    modes = ModeFile.read(path)
    if modes.vectors is None:
        raise InputError(f"{path} keeps no vectors: repeat 'glassmodes modes' with --vectors")
    expected = (sample.particles, sample.dimension)
    vectors, frequencies = modes.vectors, modes.frequency
    if vectors.shape[1:] == (sample.particles * sample.dimension, 1):  # of an exported Hessian
        vectors = vectors.reshape(-1, *expected)
    if vectors.shape[1:] != expected:
        raise InputError(
            f"{path} holds modes of {vectors.shape[1]} particles in {vectors.shape[2]} dimensions, "
            f"the sample has {expected[0]} in {expected[1]}: take the modes of this sample"
        )
    if chosen is not None:
        if chosen >= len(vectors):
            raise InputError(f"{path} holds {len(vectors)} modes, counted from 0: no mode {chosen}")
        vectors, frequencies = vectors[chosen : chosen + 1], frequencies[chosen : chosen + 1]
    return vectors / np.sqrt(sample.masses)[:, None], frequencies
