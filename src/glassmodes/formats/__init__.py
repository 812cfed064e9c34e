"""Samples from and to the formats of other programs."""

from glassmodes.formats.arrays import write_npz
from glassmodes.formats.assembly import parse_type_map
from glassmodes.formats.extended_xyz import write_extended_xyz
from glassmodes.formats.lammps import write_lammps_data
from glassmodes.formats.reading import read_sample, sample_group

__all__ = [
    "parse_type_map",
    "read_sample",
    "sample_group",
    "write_extended_xyz",
    "write_lammps_data",
    "write_npz",
]
