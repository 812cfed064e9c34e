"""Input files of the verbs: read and checked on rank 0, then shared with every rank."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from glassmodes.errors import InputError
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    from glassmodes.models import Model
    from glassmodes.sample import Sample

MODEL_SUFFIXES = (".yaml", ".yml")


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


def read_model(name: str) -> Model:
    """Return the model of a ``--model`` option: a known name or a YAML file."""
    from glassmodes import models

    if name.lower().endswith(MODEL_SUFFIXES):
        return models.from_yaml(name)
    return models.named(name)


def add_sample_argument(parser: argparse.ArgumentParser, help_text: str | None = None) -> None:
    """Give a verb its positional sample file."""
    parser.add_argument(
        "sample", metavar="S.h5", help=help_text or "sample file, see 'glassmodes import'"
    )


def add_output_option(
    parser: argparse.ArgumentParser, metavar: str, help_text: str, required: bool = True
) -> None:
    """Give a verb its ``-o FILE``."""
    parser.add_argument("-o", "--output", metavar=metavar, required=required, help=help_text)


def type_map(text: str) -> Mapping[int | str, int]:
    """Convert ``1:0,2:1`` or ``A:0,B:1`` to a mapping of file types to species."""
    mapping: dict[int | str, int] = {}
    for entry in text.split(","):
        name, colon, species = entry.strip().rpartition(":")
        if not colon or not name or not species.strip().isdigit():
            raise argparse.ArgumentTypeError(
                f"expected TYPE:SPECIES pairs such as 1:0,2:1, got {text!r}"
            )
        key = int(name) if name.strip().isdigit() else name.strip()
        if key in mapping:
            raise argparse.ArgumentTypeError(f"type {name!r} is mapped twice in {text!r}")
        mapping[key] = int(species)
    return mapping
