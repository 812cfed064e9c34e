"""Input files of the verbs: read and checked on rank 0, then shared with every rank."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from glassmodes.cli.parser import positive_number
from glassmodes.errors import InputError
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    from glassmodes.sample import Sample


def read_sample(comm, path: str) -> Sample:
    """Read a sample that has interactions.  Collective.

    Raises
    ------
    InputError
        The file is missing, truncated or foreign, its arrays are unusable, or nothing
        says how the particles interact.
    """

    def read() -> Sample:
        from glassmodes.formats import read_sample as read_file

        sample = read_file(path)
        if not sample.model and sample.bonds is None:
            raise InputError(
                f"{path} says nothing about interactions: attach a model with "
                f"'glassmodes import {path} --model NAME -o S.h5'"
            )
        return sample

    return on_root(comm, read)


def add_sample_argument(parser: argparse.ArgumentParser, help_text: str | None = None) -> None:
    """Give a verb its positional sample file."""
    parser.add_argument(
        "sample", metavar="S.h5", help=help_text or "sample file, see 'glassmodes import'"
    )


def add_strain_option(parser: argparse.ArgumentParser) -> None:
    """Give a verb its ``--strain ab``."""
    parser.add_argument(
        "--strain",
        default="xy",
        metavar="AB",
        help="the deformation x_a += gamma x_b, two of the axes x, y, z, w, or one of "
        "them twice for a stretch (default: xy)",
    )


def add_tolerance_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Give a verb the ``--tolerance`` of its Lanczos run."""
    parser.add_argument(
        "--tolerance",
        type=positive_number,
        default=1e-6,
        metavar="EPS",
        help=f"error of {what} over the affine modulus at which Lanczos stops (default: 1e-6)",
    )


def add_output_option(
    parser: argparse.ArgumentParser, metavar: str, help_text: str, required: bool = True
) -> None:
    """Give a verb its ``-o FILE``."""
    parser.add_argument("-o", "--output", metavar=metavar, required=required, help=help_text)
