"""Build and load the compiled kernels: one shared library from the C++ files beside this module.

The library is compiled once per source and processor into a cache folder
(``GLASSMODES_CACHE``, else the package folder if writable, else ``~/.cache/glassmodes``)
under a unique temporary name and renamed, so ranks that start together never see
half a file.  ``GLASSMODES_KERNELS=numpy`` switches the compiled kernels off; without
a compiler they are off too, with one warning.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from glassmodes.errors import InputError

_HERE = Path(__file__).resolve().parent
# Not -ffast-math: linked into a shared library it switches denormals off for the whole process.
_FLAGS = [
    *("-std=c++17", "-O3", "-march=native", "-fPIC", "-shared"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros"),
    *("-fassociative-math", "-freciprocal-math", "-ffp-contract=fast"),
]


def _processor() -> str:
    """Name the instruction set that ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor() + platform.machine()


def _sources() -> list[Path]:
    return sorted(_HERE.glob("*.cpp"))


def _cache_folders() -> list[Path]:
    chosen = os.environ.get("GLASSMODES_CACHE")
    if chosen:
        return [Path(chosen)]
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return [_HERE / "_build", Path(home) / "glassmodes"]


def _compiler() -> str | None:
    own = str(Path(sys.executable).with_name("c++"))  # set-up puts conda's compiler there
    for name in (os.environ.get("CXX"), own, "g++", "c++", "clang++"):
        if name and shutil.which(name):
            return name
    return None


def _digest() -> str:
    """Identify sources, flags and processor; a compiler need not be there to find the result."""
    h = hashlib.sha256()
    for path in sorted([*_sources(), *_HERE.glob("*.hpp")]):
        h.update(path.name.encode() + path.read_bytes())
    h.update("|".join([*_FLAGS, _processor()]).encode())
    return h.hexdigest()[:16]


def build() -> Path:
    """Compile the kernels unless the cache holds them; return the library's path.

    Raises
    ------
    InputError
        If there is no compiler, the sources do not compile or no cache folder is writable.
    """
    name = f"kernels-{_digest()}.so"
    for folder in _cache_folders():
        if (folder / name).exists():
            return folder / name
    compiler = _compiler()
    if compiler is None:
        raise InputError("no C++ compiler found: install g++ or set CXX")
    for folder in _cache_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(suffix=".so", dir=folder)
            os.close(handle)
        except OSError:
            continue
        try:
            command = [compiler, *_FLAGS, "-o", temporary, *map(str, _sources())]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                first = (done.stderr.strip().splitlines() or ["no message"])[0]
                raise InputError(f"{compiler} cannot compile the kernels: {first}")
            os.chmod(temporary, 0o755)
            os.replace(temporary, folder / name)
        finally:
            Path(temporary).unlink(missing_ok=True)
        return folder / name
    raise InputError("no writable cache folder for the kernels: set GLASSMODES_CACHE")


@functools.cache
def load() -> ctypes.CDLL | None:
    """Return the compiled library, or None where the numpy twins must serve."""
    if os.environ.get("GLASSMODES_KERNELS", "compiled") == "numpy":
        return None
    try:
        return ctypes.CDLL(str(build()))
    except (InputError, OSError) as problem:
        warnings.warn(f"running on the slow numpy kernels: {problem}", stacklevel=2)
        return None


if __name__ == "__main__":
    print(build())
