"""The common base of everything that gives particles an energy.

A model is rebuilt exactly from its specification, a small dictionary that every
sample carries::

    {"name": "ipl_3d", "class": "InversePowerLaw", "constants": {...}}

The class is one of the package's own or ``"module:Class"`` for a user's own,
which Python must be able to import.  A sample file cannot make us import anything:
its ``module:Class`` is used if the module has been named by the user, in a model file
or in ``GLASSMODES_TRUSTED_MODELS``, or if the program has imported it already.
The constants are the keyword arguments of
the constructor; every constructor argument is kept as an attribute of the same
name, and that is all a class has to do to be stored and found again.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.sample import first_line

if TYPE_CHECKING:
    from glassmodes.models.defaults import ModelDefaults
    from glassmodes.sample import Sample

TRUSTED_MODELS = "GLASSMODES_TRUSTED_MODELS"
"""Environment variable: modules whose model classes sample files may name, with commas."""

_CLASSES: dict[str, type[Model]] = {}
_TRUSTED: set[str] = set()


class Model(ABC):
    """Interactions between particles.

    Attributes
    ----------
    kind : str
        Which machinery evaluates the model: ``"pair"`` for `PairPotential`.
    name : str
        Name in the library or in the user's file.
    defaults : ModelDefaults or None
        Dimension, density and composition that preparations use if not told otherwise.
    """

    kind: ClassVar[str]
    name: str = ""
    defaults: ModelDefaults | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith("glassmodes.") and not inspect.isabstract(cls):
            _CLASSES[cls.__name__] = cls

    @abstractmethod
    def check(self, sample: Sample) -> None:
        """Raise `InputError` if the model cannot describe the sample."""

    @abstractmethod
    def interaction_range(self, sample: Sample) -> float:
        """Return the largest distance at which two particles of the sample interact."""

    def require_finite(self) -> None:  # noqa: B027, models without constants have nothing to check
        """Raise `InputError` if the constants make energies that are no numbers."""

    @classmethod
    def load_files(cls, constants: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the constants with the files they name (relative to `folder`) read in.

        A specification must stand by itself; classes that take tables override this.
        """
        return dict(constants)

    def spec(self) -> dict[str, Any]:
        """Return the specification from which `from_spec` rebuilds this model exactly."""
        constants = {}
        for argument in _arguments(type(self)):
            value = getattr(self, argument)
            if value is not None:
                constants[argument] = value.tolist() if isinstance(value, np.ndarray) else value
        return {"name": self.name, "class": _class_name(type(self)), "constants": constants}


def from_spec(spec: Mapping[str, Any]) -> Model:
    """Build the model that a specification describes.

    Raises
    ------
    InputError
        An unknown class or constant (the nearest known name is given), or
        constants that the class refuses.
    """
    if not isinstance(spec, Mapping) or not spec:
        raise InputError("the sample carries no model; attach one with --model NAME or FILE.yaml")
    for key in spec:
        if key not in ("name", "class", "constants"):
            raise InputError(
                f"unknown key {key!r} in a model; known are name, class, constants"
                + nearest(key, ("name", "class", "constants"))
            )
    if "class" not in spec:
        raise InputError(f"the model names no class; known are {', '.join(sorted(_CLASSES))}")
    cls = find_class(spec["class"])
    constants = spec.get("constants") or {}
    if not isinstance(constants, Mapping):
        raise InputError(f"the constants of a model are a mapping, not {constants!r}")
    known = _arguments(cls)
    for key in constants:
        if key not in known:
            raise InputError(
                f"unknown constant {key!r} of {spec['class']}; known are {', '.join(known)}"
                + nearest(key, known)
            )
    missing = [k for k, required in known.items() if required and k not in constants]
    if missing:
        raise InputError(f"{spec['class']} needs the constant(s) {', '.join(missing)}")
    try:
        model = cls(**constants)
        model.require_finite()
    except InputError:
        raise
    except Exception as error:  # a user's own class may fail in any way
        raise InputError(f"{spec['class']} refuses its constants: {first_line(error)}") from error
    model.name = str(spec.get("name") or "")
    return model


def _arguments(cls: type[Model]) -> dict[str, bool]:
    """Return the constructor's argument names, each with whether it is required."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return {p.name: p.default is p.empty for p in parameters if p.kind is not p.VAR_KEYWORD}


def _class_name(cls: type[Model]) -> str:
    return cls.__name__ if _CLASSES.get(cls.__name__) is cls else f"{cls.__module__}:{cls.__name__}"


def trust(module_name: str) -> None:
    """Let samples of this process use the model classes of a module that the user has named."""
    _TRUSTED.add(module_name)


def trusted_modules() -> list[str]:
    """Return the modules that `trust` was told, for other ranks to be told too."""
    return sorted(_TRUSTED)


def _is_trusted(module_name: str) -> bool:
    listed = os.environ.get(TRUSTED_MODELS, "").replace(",", " ").split()
    return module_name in _TRUSTED or module_name in listed


def find_class(name: Any) -> type[Model]:
    """Return the model class of a name, or of ``"module:Class"`` of a trusted module.

    Raises
    ------
    InputError
        An unknown name, a module that nobody has named, one that cannot be imported, or
        something in it that is no model class.
    """
    if isinstance(name, str) and name in _CLASSES:
        return _CLASSES[name]
    module_name, colon, class_name = name.partition(":") if isinstance(name, str) else ("",) * 3
    if not colon:
        raise InputError(
            f"unknown model class {str(name)[:80]!r}; known are {', '.join(sorted(_CLASSES))}, or "
            f"module:Class for your own{nearest(str(name)[:80], _CLASSES)}"
        )
    loaded = sys.modules.get(module_name)
    if _is_trusted(module_name):
        try:
            loaded = importlib.import_module(module_name)
        except Exception as error:  # importing a user's module may fail in any way
            raise InputError(
                f"cannot import the model class {name!r}: {first_line(error)}; "
                "put its folder on PYTHONPATH"
            ) from error
    # What is loaded already runs no new code by being looked up, but only a model may be called.
    cls = None if loaded is None else vars(loaded).get(class_name)
    if isinstance(cls, type) and issubclass(cls, Model) and not inspect.isabstract(cls):
        return cls
    if not _is_trusted(module_name):
        raise InputError(
            f"the sample asks for the model class {name[:80]!r}, and a sample file may not load "
            f"code by itself: if you know the module, set {TRUSTED_MODELS}={module_name[:80]}, or "
            "attach a model with --model"
        )
    raise InputError(f"{name!r} is not a complete model class; derive it from PairPotential")
