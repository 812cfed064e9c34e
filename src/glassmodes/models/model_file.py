"""Models from files: a class, its constants and, optionally, a state point."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from glassmodes.errors import InputError, nearest
from glassmodes.files import check_input, located
from glassmodes.models.defaults import ModelDefaults, PowerLawDiameters
from glassmodes.models.library import named
from glassmodes.models.model import Model, find_class, from_spec, trust
from glassmodes.sample import first_line
from glassmodes.yaml_files import read_yaml

_KEYS = ("name", "class", "constants", "defaults")
_DEFAULTS = ("dimension", "density", "composition", "diameters", "source")
_DIAMETERS = ("minimum", "maximum", "exponent")


def resolve(text: str | os.PathLike) -> Model:
    """Return the model of a name, or of a path that ends in .yaml or .yml."""
    if os.fspath(text).lower().endswith((".yaml", ".yml")):
        return from_yaml(text)
    return named(os.fspath(text))


def from_yaml(path: str | os.PathLike) -> Model:
    """Read a model file.

    Its keys are ``class`` (one of the package's classes, or ``module:Class``),
    ``constants``, and optionally ``name`` and ``defaults`` (dimension, density,
    composition, diameters).

    Raises
    ------
    InputError
        Missing or unreadable file; unknown keys, with the nearest known one.
    """
    source = check_input(path)
    content = read_yaml(source, "the model")
    if not isinstance(content, Mapping):
        raise InputError(f"{source} holds no model; expected the keys {', '.join(_KEYS)}")
    try:
        return _build(content, source)
    except InputError as error:
        raise located(source, error) from error


def _build(content: Mapping[str, Any], source) -> Model:
    _refuse_unknown("the model file", content, _KEYS)
    spec = {key: content[key] for key in ("class", "constants") if key in content}
    if isinstance(spec.get("class"), str) and ":" in spec["class"]:
        trust(spec["class"].partition(":")[0])  # the user names this file, and with it the module
    if "class" in spec and isinstance(spec.get("constants"), Mapping):
        spec["constants"] = find_class(spec["class"]).load_files(spec["constants"], source.parent)
    model = from_spec({"name": content.get("name", source.stem)} | spec)
    if "defaults" in content:
        model.defaults = _read_defaults(content["defaults"])
        fractions = len(model.defaults.composition)
        if fractions > getattr(model, "n_species", fractions):
            raise InputError(f"composition is for {fractions} species, the model for fewer")
    return model


def _read_defaults(values: Any) -> ModelDefaults:
    _refuse_unknown("defaults", values, _DEFAULTS)
    for key in ("dimension", "density"):
        if key not in values:
            raise InputError(f"defaults lacks the key {key!r}")
    arguments = dict(values)
    try:
        if "composition" in values:
            arguments["composition"] = tuple(float(f) for f in values["composition"])
        if values.get("diameters") is not None:
            _refuse_unknown("diameters", values["diameters"], _DIAMETERS)
            arguments["diameters"] = PowerLawDiameters(**values["diameters"])
        return ModelDefaults(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"defaults cannot be used: {first_line(error)}") from error


def _refuse_unknown(where: str, mapping: Any, known: Iterable[str]) -> None:
    if not isinstance(mapping, Mapping):
        raise InputError(f"{where} is {mapping!r}; expected the keys {', '.join(known)}")
    for key in mapping:
        if key not in known:
            raise InputError(
                f"unknown key {key!r} in {where}; known are {', '.join(known)}"
                + nearest(key, known)
            )
