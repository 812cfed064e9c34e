"""A sample: particles in a periodic box, and what is known about how they got there.

Lengths, energies and masses are in the reduced units of the model.  The box is
orthorhombic with its origin at 0; N is the number of particles, d the dimension
(2, 3 or 4), M the number of bonds.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from glassmodes import __version__
from glassmodes.errors import InputError
from glassmodes.files import check_input, located, write_hdf5
from glassmodes.hdf5_structure import read_json, read_text, require_plain, text_of
from glassmodes.parallel import split_range

FORMAT = "glassmodes-sample"
FORMAT_VERSION = 1
DIMENSIONS = (2, 3, 4)
FARTHEST = 1e6
"""Boxes that a particle may be away from the origin: folding then keeps ten digits."""

LARGEST_SPECIES = 10**6

_COMPULSORY = (
    *(f"particles/all/{name}" for name in ("position", "species", "mass", "box/edges")),
    *(f"parameters/{name}" for name in ("model", "provenance")),
)
_STORED = (
    *_COMPULSORY,
    "particles/all/diameter",
    *(f"connectivity/{name}" for name in ("bonds", "stiffness", "rest_lengths")),
)


@dataclass
class Sample:
    """One configuration of N particles in d dimensions.

    Parameters
    ----------
    positions : (N, d) float
        Any real numbers; periodic images are equivalent.
    box : (d,) float
        Edge lengths.
    species : (N,) int, optional
        Labels 0, 1, ...; all 0 if left out.
    diameters : (N,) float, optional
        For models whose lengths follow from the particles' own diameters.
    masses : (N,) float, optional
        All 1 if left out.
    bonds : (M, 2) int, optional
        Pairs of particle indices of a network.
    stiffness, rest_lengths : (M,) float, optional
        Of the bonds; None means 1 and the present lengths.
    model : dict
        Specification of the interactions (``Model.spec()``); empty if none is attached.
    provenance : dict
        Anything JSON can hold: seed, protocol, versions, residual force.

    Raises
    ------
    InputError
        An array cannot be read as numbers.  Shapes and values are the matter of `validate`.
    """

    positions: np.ndarray
    box: np.ndarray
    species: np.ndarray | None = None
    diameters: np.ndarray | None = None
    masses: np.ndarray | None = None
    bonds: np.ndarray | None = None
    stiffness: np.ndarray | None = None
    rest_lengths: np.ndarray | None = None
    model: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.positions = _floats("positions", self.positions)
        self.box = _floats("box", self.box)
        n = len(self.positions) if self.positions.ndim else 0
        self.species = _integers("species", np.zeros(n) if self.species is None else self.species)
        self.masses = _floats("masses", np.ones(n) if self.masses is None else self.masses)
        for name in ("diameters", "stiffness", "rest_lengths"):
            if getattr(self, name) is not None:
                setattr(self, name, _floats(name, getattr(self, name)))
        if self.bonds is not None:
            self.bonds = _integers("bonds", self.bonds)

    @property
    def particles(self) -> int:
        """Number of particles N."""
        return self.positions.shape[0]

    @property
    def dimension(self) -> int:
        """Dimension of space d."""
        return self.positions.shape[1]

    @property
    def volume(self) -> float:
        """Volume of the box (area in 2D)."""
        return float(np.prod(self.box))

    @property
    def density(self) -> float:
        """Number density N / V."""
        return self.particles / self.volume

    @property
    def mass_density(self) -> float:
        """Mass density, the sum of the masses over V."""
        return float(self.masses.sum()) / self.volume

    def wrapped(self) -> np.ndarray:
        """Return the positions folded into [0, edge) along every axis, shape (N, d)."""
        folded = self.positions - self.box * np.floor(self.positions / self.box)
        # A tiny negative coordinate rounds to the edge itself; the second fold sends it to 0.
        return np.where((folded >= self.box) | (folded < 0.0), 0.0, folded)

    def validate(self, particles: int | None = None) -> Sample:
        """Return the sample itself if every array is usable.

        particles : int or None; number of particles of the whole sample, if this is a piece of
        one whose bonds join any of them.

        Raises
        ------
        InputError
            Naming the first array with a wrong shape, a value that is not
            finite, a box edge or mass that is not positive, a negative species,
            or a bond between particles that are not there.
        """
        x = self.positions
        empty = x.shape[0] == 0 and not particles
        if x.ndim != 2 or x.shape[1] not in DIMENSIONS or empty:
            raise InputError(
                f"positions have shape {x.shape}; expected (N, d) with N >= 1 and d = 2, 3 or 4"
            )
        n, d = x.shape
        _expect_shape("box", self.box, (d,), "one edge length per dimension")
        _expect_shape("species", self.species, (n,), "one label per particle")
        _expect_shape("masses", self.masses, (n,), "one mass per particle")
        _expect_finite("positions", x)
        _expect_positive("box", self.box)
        _expect_positive("masses", self.masses)
        self._expect_resolved()
        if self.species.min(initial=0) < 0:
            raise InputError(f"species has the label {self.species.min()}; labels are 0, 1, 2, ...")
        if self.species.max(initial=0) > LARGEST_SPECIES:
            raise InputError(
                f"species has the label {self.species.max()}; at most {LARGEST_SPECIES} works"
            )
        if self.diameters is not None:
            _expect_shape("diameters", self.diameters, (n,), "one diameter per particle")
            _expect_positive("diameters", self.diameters)
        self._validate_bonds(n if particles is None else particles)
        return self

    def _expect_resolved(self) -> None:
        """Raise `InputError` if double precision cannot hold the densities or the folded positions.

        Numbers of 1e300 are finite and still give infinite volumes and differences of 0.
        """
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            volume, mass = np.prod(self.box), self.masses.sum()
            sizes = np.array([volume, 1.0 / volume])
            if self.particles:
                sizes = np.append(sizes, [mass, mass / volume])
            far = np.abs(self.positions) > FARTHEST * self.box
        if not np.all(np.isfinite(sizes) & (sizes > 0)):
            raise InputError(
                f"box and masses give a volume of {volume:g} and a mass of {mass:g}, beyond double "
                "precision; check the units"
            )
        if np.any(far):
            k = int(np.flatnonzero(far.any(axis=1))[0])
            raise InputError(
                f"positions holds a particle ({k}) more than {FARTHEST:g} boxes away, where its "
                "place in the box is lost; fold the positions into the box"
            )

    def _validate_bonds(self, n: int) -> None:
        if self.bonds is None:
            for name in ("stiffness", "rest_lengths"):
                if getattr(self, name) is not None:
                    raise InputError(f"{name} is given but there are no bonds; add the array bonds")
            return
        if self.bonds.ndim != 2 or self.bonds.shape[1] != 2:
            raise InputError(f"bonds have shape {self.bonds.shape}; expected (M, 2)")
        m = len(self.bonds)
        if m and (self.bonds.min() < 0 or self.bonds.max() >= n):
            raise InputError(
                f"bonds join particles {self.bonds.min()} to {self.bonds.max()}; "
                f"indices run from 0 to {n - 1}"
            )
        if m and np.any(self.bonds[:, 0] == self.bonds[:, 1]):
            bad = int(np.flatnonzero(self.bonds[:, 0] == self.bonds[:, 1])[0])
            raise InputError(
                f"bond {bad} joins the particle {self.bonds[bad, 0]} to itself; remove it"
            )
        self._refuse_repeated_bonds()
        for name in ("stiffness", "rest_lengths"):
            values = getattr(self, name)
            if values is not None:
                _expect_shape(name, values, (m,), "one value per bond")
                _expect_finite(name, values)
                if name == "rest_lengths" and np.any(values < 0):
                    raise InputError(f"rest_lengths holds {values.min():g}; lengths are >= 0")

    def _refuse_repeated_bonds(self) -> None:
        """Raise `InputError` if a pair of particles has two bonds, in either order."""
        first, second = self.bonds.T
        low, high = np.minimum(first, second), np.maximum(first, second)
        key = low.astype(np.int64) << 32 | high
        if np.all(key[1:] > key[:-1]):
            return
        key = np.sort(key)
        repeated = key[1:][key[1:] == key[:-1]]
        if len(repeated):
            i, j = int(repeated[0] >> 32), int(repeated[0] & 0xFFFFFFFF)
            raise InputError(
                f"the particles {i} and {j} have more than one bond ({len(repeated)} bond(s) "
                "repeat another one): keep one, with the sum of the stiffnesses"
            )

    def to_group(self, group: h5py.Group) -> None:
        """Store the sample in an (empty) HDF5 group with H5MD's names.

        ``particles/all`` holds position, species, mass, diameter and
        box/edges, ``connectivity`` the bonds, ``parameters`` model and
        provenance as JSON text.  The same sample always gives the same bytes.
        """
        self.validate()
        particles, connectivity = self.to_group_header(group)
        for name, values in self.particle_arrays().items():
            particles[name] = values
        for name, values in self.bond_arrays().items():
            connectivity[name] = values

    def to_group_header(self, group: h5py.Group) -> tuple[h5py.Group, h5py.Group | None]:
        """Store all but the arrays; return the groups for those of particles and of bonds."""
        group.attrs["format"] = np.bytes_(FORMAT)  # fixed length, so that bytes are reproducible
        group.attrs["format_version"] = FORMAT_VERSION
        particles = group.create_group("particles/all")
        box = particles.create_group("box")
        box.attrs["dimension"] = self.dimension
        box.attrs["boundary"] = np.array([b"periodic"] * self.dimension)
        box["edges"] = self.box
        connectivity = None if self.bonds is None else group.create_group("connectivity")
        parameters = group.create_group("parameters")
        parameters["model"] = _json_text("model", self.model)
        parameters["provenance"] = _json_text("provenance", self.provenance)
        return particles, connectivity

    def particle_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays with one row a particle by their names in the file."""
        arrays = {"position": self.positions, "species": self.species, "mass": self.masses}
        return arrays if self.diameters is None else {**arrays, "diameter": self.diameters}

    def bond_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays with one row a bond by their names in the file."""
        names = ("bonds", "stiffness", "rest_lengths")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @classmethod
    def from_group(cls, group: h5py.Group, part: tuple[int, int] | None = None) -> Sample:
        """Read the sample that `to_group` stored; `InputError` if it is not one.

        part : (parts, k) or None; piece k of the particles and of the bonds, cut by
        `parallel.split_range`, with bonds between the particles of the whole sample.
        """
        where = f"{group.file.filename}:{group.name}"
        if text_of(group.attrs.get("format", "")) != FORMAT:
            raise InputError(
                f"{where} holds no glassmodes sample; convert other files with `glassmodes import`"
            )
        if int(group.attrs["format_version"]) > FORMAT_VERSION:
            raise InputError(f"{where} was written by a newer glassmodes; update this one")
        stored = {path: require_plain(group, path) for path in _STORED}
        for path, dataset in stored.items():
            if dataset is None and path in _COMPULSORY:
                raise InputError(f"{where} has no {path}; the file is damaged")
            if dataset is not None and not isinstance(dataset, h5py.Dataset):
                raise InputError(f"{where} has no dataset {path}; the file is damaged")

        def rows(path):
            dataset = stored[path]
            if dataset is None:
                return None
            if not dataset.shape:
                raise InputError(f"{where} has one number for {path}; the file is damaged")
            first, last = split_range(len(dataset), *part) if part else (0, None)
            return dataset[first:last]

        texts = {name: read_text(stored[f"parameters/{name}"]) for name in ("model", "provenance")}
        sample = cls(
            positions=rows("particles/all/position"),
            box=stored["particles/all/box/edges"][()],
            species=rows("particles/all/species"),
            diameters=rows("particles/all/diameter"),
            masses=rows("particles/all/mass"),
            bonds=rows("connectivity/bonds"),
            stiffness=rows("connectivity/stiffness"),
            rest_lengths=rows("connectivity/rest_lengths"),
            **{
                name: read_json(text, f"the text parameters/{name}") for name, text in texts.items()
            },
        )
        return sample.validate(len(stored["particles/all/position"]) if part else None)

    def write(self, path: str | os.PathLike) -> None:
        """Write the sample to an HDF5 file, atomically; `InputError` if that is impossible."""

        def fill(file: h5py.File) -> None:
            write_h5md_header(file)
            self.to_group(file)

        write_hdf5(path, fill)

    @classmethod
    def read(cls, path: str | os.PathLike) -> Sample:
        """Read a sample from an HDF5 file written by `write`.

        Raises
        ------
        InputError
            The file is missing, truncated, foreign, or its arrays are unusable.
        """
        source = check_input(path)
        try:
            with h5py.File(source, "r") as file:
                return cls.from_group(file)
        except InputError as error:
            raise located(source, error) from error
        except Exception as error:  # h5py reports damage with half a dozen exception types
            raise InputError(
                f"cannot read {source} as a glassmodes sample: {first_line(error)}; "
                "the file is damaged or of another kind"
            ) from error


def write_h5md_header(file: h5py.File) -> None:
    """Write what makes a file with our arrays one of H5MD."""
    header = file.create_group("h5md")
    header.attrs["version"] = np.array([1, 1], dtype=np.int32)
    header.create_group("author").attrs["name"] = np.bytes_("unknown")
    creator = header.create_group("creator")
    creator.attrs["name"] = np.bytes_("glassmodes")
    creator.attrs["version"] = np.bytes_(__version__)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _floats(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "iufb":
            raise TypeError(f"its type is {array.dtype}")
        return np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not an array of numbers: {first_line(error)}") from error


def _integers(name: str, values: Any) -> np.ndarray:
    numbers = _floats(name, values)
    if not np.all(np.abs(numbers) < 2**31) or np.any(numbers != np.rint(numbers)):
        raise InputError(f"{name} holds values that are not whole numbers below 2^31")
    return numbers.astype(np.int32)


def _expect_shape(name: str, array: np.ndarray, shape: tuple, meaning: str) -> None:
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; expected {shape}, {meaning}")


def _expect_finite(name: str, array: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise InputError(
            f"{name} holds {len(bad)} value(s) that are NaN or infinite, the first at index "
            f"{bad[0].tolist()}; every value must be finite"
        )


def _expect_positive(name: str, array: np.ndarray) -> None:
    _expect_finite(name, array)
    bad = np.flatnonzero(array <= 0)
    if len(bad):
        raise InputError(
            f"{name} holds the value {array[bad[0]]:g} at index {bad[0]}; every value must be > 0"
        )


def _json_text(name: str, value: dict) -> np.ndarray:
    try:
        text = json.dumps(_plain(value), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} cannot be stored as JSON: {first_line(error)}") from error
    return np.array(text.encode())  # fixed length: no heap, hence reproducible bytes


def _plain(value: Any) -> Any:
    """Return `value` with numpy's types replaced by Python's and non-finite numbers by None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
