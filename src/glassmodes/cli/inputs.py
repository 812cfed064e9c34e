"""Input files of the verbs: what they hold is checked, and a sample is spread over the ranks."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from glassmodes.cli.parser import positive_number
from glassmodes.errors import InputError
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    from glassmodes.domain import Domain
    from glassmodes.sample import Sample

#: Choices of ``--solver``, those of `glassmodes.spectra.linear_solver`.
SOLVERS = ("auto", "factor", "cg", "ksp")


def read_domain(comm, path: str) -> Domain:
    """Read this rank's part of a sample that has interactions.  Collective.

    Every rank reads its piece of a file of ours.  Files of other programs cannot be read in
    pieces: rank 0 reads them and sends the whole sample to every rank, which keeps its part.

    Raises
    ------
    InputError
        On every rank: the file is missing, truncated or foreign, its arrays are unusable, or
        nothing says how the particles interact.
    """
    from glassmodes.domain import Domain
    from glassmodes.formats import read_sample as read_file
    from glassmodes.formats import sample_group

    group = on_root(comm, lambda: sample_group(path))
    if group is None:
        domain = Domain.of(comm, on_root(comm, lambda: read_file(path)))
    else:
        domain = Domain.read(comm, path, group)
    _require_interactions(domain.sample, path)
    return domain


def load_sample(path: str) -> Sample:
    """Read a whole sample that has interactions; `InputError` as in `read_domain`."""
    from glassmodes.formats import read_sample as read_file

    sample = read_file(path)
    _require_interactions(sample, path)
    return sample


def _require_interactions(sample: Sample, path: str) -> None:
    if not sample.model and sample.bonds is None:
        raise InputError(
            f"{path} says nothing about interactions: attach a model with "
            f"'glassmodes import {path} --model NAME -o S.h5'"
        )


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


def add_solver_option(parser: argparse.ArgumentParser) -> None:
    """Give a verb the ``--solver`` of its static responses."""
    parser.add_argument(
        "--solver",
        choices=SOLVERS,
        default="auto",
        help="how responses are solved for: what is estimated faster and fits in memory "
        "(default), a sparse factor, conjugate gradients, or PETSc's -gm_ksp_ and -gm_pc_ options",
    )


def add_output_option(
    parser: argparse.ArgumentParser, metavar: str, help_text: str, required: bool = True
) -> None:
    """Give a verb its ``-o FILE``."""
    parser.add_argument("-o", "--output", metavar=metavar, required=required, help=help_text)
