#!/usr/bin/env bash
# Makes .venv with PETSc, SLEPc, MPI, the pinned requirements, glassmodes and its compiled kernels.
#
# Where PETSc comes from, first match wins (GLASSMODES_SETUP=active|conda|debian overrides):
#   active   the Python on PATH already has petsc4py, slepc4py and mpi4py
#   conda    conda, mamba or micromamba makes .conda from envs/conda.yaml
#   debian   Debian/Ubuntu packages of envs/debian-packages.txt, installed as root or with sudo
# In each case .venv is a virtual environment on top, so nothing is installed into yours.
# A second call does nothing until a file that it reads has changed.
# `envs/setup.sh slurm` installs the packages of envs/debian-packages-slurm.txt, if it can.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
venv=$root/.venv
python=$venv/bin/python
stamp=$venv/.setup-stamp

say() { printf 'setup: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }

fingerprint() {
    { printf '%s\n' "$root"; cat envs/*.* pyproject.toml; } | cksum
}

# --- which Python carries PETSc -------------------------------------------------------------

python_has_petsc() {
    "$1" - 2>/dev/null <<'PY'
import importlib.util, sys
sys.exit(any(importlib.util.find_spec(m) is None for m in ("petsc4py", "slepc4py", "mpi4py")))
PY
}

active_python() {  # skips our own .venv and the distribution's Python, which has its own way
    local name path prefix
    for name in python python3; do
        path=$(command -v "$name") || continue
        prefix=$("$path" -c 'import os, sys; print(os.path.realpath(sys.prefix))' 2>/dev/null) || continue
        [ "$prefix" != "$venv" ] || continue
        if [ "$prefix" = /usr ] && on_debian; then continue; fi
        python_has_petsc "$path" || continue
        printf '%s\n' "$path"
        return 0
    done
    return 1
}

conda_tool() {
    local name
    for name in micromamba mamba conda; do
        command -v "$name" >/dev/null && { printf '%s\n' "$name"; return 0; }
    done
    return 1
}

on_debian() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

choose_source() {
    if [ -n "${GLASSMODES_SETUP:-}" ]; then printf '%s\n' "$GLASSMODES_SETUP"
    elif active_python >/dev/null; then echo active
    elif conda_tool >/dev/null; then echo conda
    elif on_debian; then echo debian
    else echo none
    fi
}

# --- the three sources: each sets $base (Python), $launcher (mpiexec), $compiler if it brings one

use_active() {
    base=$(active_python) || stop "the Python on PATH lacks petsc4py, slepc4py or mpi4py"
    launcher=$(dirname "$base")/mpiexec
    [ -x "$launcher" ] || launcher=$(launcher_on_path)
}

use_conda() {
    local tool
    tool=$(conda_tool) || stop "no conda, mamba or micromamba on PATH"
    if ! cmp -s envs/conda.yaml "$root/.conda/made-from.yaml"; then
        say "making .conda with $tool (several minutes)"
        rm -rf "$root/.conda"
        case $tool in
            micromamba) micromamba create --yes --quiet -p "$root/.conda" -f envs/conda.yaml ;;
            *) "$tool" env create --quiet -p "$root/.conda" -f envs/conda.yaml ;;
        esac
        cp envs/conda.yaml "$root/.conda/made-from.yaml"
    fi
    base=$root/.conda/bin/python
    launcher=$root/.conda/bin/mpiexec
    compiler=$(find "$root/.conda/bin" -name '*-c++' | head -1)
}

use_debian() {
    on_debian || stop "apt-get not found: this is no Debian or Ubuntu"
    install_debian_packages envs/debian-packages.txt || stop "the packages are not complete"
    base=/usr/bin/python3
    launcher=/usr/bin/mpiexec
}

install_debian_packages() {  # of a list, those that are missing
    local missing=() package sudo=
    while read -r package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done < <(grep -v '^#' "$1")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { say "run as root, or first install: ${missing[*]}"; return 1; }
        sudo=sudo
    fi
    say "installing ${missing[*]}"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
        $sudo env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

launcher_on_path() {
    type -aP mpiexec | grep -vxF "$venv/bin/mpiexec" | head -1
}

# --- the virtual environment on top ----------------------------------------------------------

make_venv() {
    local identity='import sys; print(sys.base_prefix, sys.version_info[:2])'
    if [ -x "$python" ] && "$python" -m pip --version >/dev/null 2>&1 &&
        [ "$("$python" -c "$identity")" = "$("$base" -c "$identity")" ]; then
        return 0
    fi
    say "making .venv on $("$base" --version) at $base"
    "$base" -m venv --clear --system-site-packages "$venv"
}

show_petsc_to_venv() {  # a .pth file with the folders that the interpreter would not look into
    local site
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    if [ "$base" = /usr/bin/python3 ]; then
        # The distribution's usual links need the -dev packages, so the real folders are named;
        # real scalars, 32-bit indices, the newest version that both have.
        "$base" - >"$site/glassmodes_petsc.pth" <<'PY'
import glob, re, sys
found = {}
for path in glob.glob("/usr/lib/*dir/*/*-real/lib/python3/dist-packages"):
    match = re.match(r"/usr/lib/(petsc|slepc)dir/[a-z]+([0-9.]+)/", path)
    if match and glob.glob(f"{path}/{match[1]}4py"):
        version = tuple(map(int, match[2].split(".")))
        found.setdefault(version, {})[match[1]] = path
both = [found[version] for version in sorted(found) if len(found[version]) == 2]
if not both:
    sys.exit("setup: no matching petsc4py and slepc4py below /usr/lib/petscdir, /usr/lib/slepcdir")
print(both[-1]["petsc"], both[-1]["slepc"], sep="\n")
PY
    else
        "$base" - >"$site/glassmodes_petsc.pth" <<'PY'
import os, sys, sysconfig
standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
for path in sys.path:
    if os.path.isdir(path) and path not in standard and not path.endswith("lib-dynload"):
        print(path)
PY
    fi
}

install_requirements() {
    local numpy held
    numpy=$("$base" -c 'import numpy; print(numpy.__version__)' 2>/dev/null) ||
        stop "$base has no numpy, so its petsc4py cannot work"
    say "installing the Python requirements (numpy $numpy beside petsc4py)"
    if [ "$base" = /usr/bin/python3 ] && [ "${numpy%%.*}" = 1 ]; then
        "$python" -m pip install --quiet --use-pep517 -r envs/requirements.txt
        "$python" -m pip install --quiet --no-deps -e .
        return
    fi
    # Pins would fight with an environment that is not ours: hold the numpy that petsc4py was
    # compiled against, and let the ranges of pyproject.toml decide the rest.
    held=$(mktemp)
    echo "numpy==$numpy" >"$held"
    [ "${numpy%%.*}" != 1 ] || echo "pyarrow<26" >>"$held"
    "$python" -m pip install --quiet -c "$held" -e '.[dev]'
    rm -f "$held"
}

write_launcher() {
    if [ -z "$launcher" ] || [ ! -x "$launcher" ]; then
        say "no mpiexec found: serial runs work, parallel ones need your site's launcher"
        rm -f "$venv/bin/mpiexec"
        return
    fi
    printf '#!/bin/sh\n. "%s/envs/mpi.sh"\nexec "%s" "$@"\n' "$root" "$launcher" >"$venv/bin/mpiexec"
    chmod +x "$venv/bin/mpiexec"
}

write_compiler() {  # conda names its compiler after the platform; the kernels look for c++
    rm -f "$venv/bin/c++"
    [ -n "$compiler" ] || return 0
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$compiler" >"$venv/bin/c++"
    chmod +x "$venv/bin/c++"
}

check_result() {
    "$python" - <<'PY'
import sys
import numpy, scipy, h5py, pyarrow
from mpi4py import MPI
from petsc4py import PETSc
from slepc4py import SLEPc
if PETSc.ScalarType is not numpy.float64:
    sys.exit(f"setup: PETSc has {PETSc.ScalarType.__name__} scalars; a build with real doubles is needed")
versions = [".".join(map(str, m.Sys.getVersion())) for m in (PETSc, SLEPc)]
print(f"setup: PETSc {versions[0]}, SLEPc {versions[1]}, numpy {numpy.__version__}, "
      f"{MPI.Get_library_version().split(',')[0].strip()}", file=sys.stderr)
PY
    say "kernels at $("$python" -m glassmodes.kernels.library)"
    "$venv/bin/glassmodes" --help >/dev/null
}

# --- what only make test-slurm needs: its tests say why they are skipped where it is missing ---

install_slurm() {
    if ! on_debian; then
        say "no Debian or Ubuntu: Slurm is not installed"
    elif [ -e /etc/slurm/slurm.conf ] && [ ! -L /etc/slurm/slurm.conf ]; then
        say "this machine has a Slurm of its own: nothing is installed"
    elif ! install_debian_packages envs/debian-packages-slurm.txt; then
        say "Slurm could not be installed"
    fi
}

if [ "${1:-}" = slurm ]; then
    install_slurm
    exit 0
fi

# --- run --------------------------------------------------------------------------------------

current=$(fingerprint)
if [ -x "$venv/bin/glassmodes" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$current" ]; then
    exit 0
fi
if command -v flock >/dev/null; then  # two calls at once: the second waits and finds it done
    exec 9>"$root/.setup-lock"
    flock 9
    [ "$(cat "$stamp" 2>/dev/null)" != "$current" ] || exit 0
fi

rm -f "$stamp"
base='' launcher='' compiler=''
case $(choose_source) in
    active) use_active ;;
    conda) use_conda ;;
    debian) use_debian ;;
    *) stop "needs PETSc, SLEPc and MPI with their Python packages: activate an environment that" \
        "has petsc4py, slepc4py and mpi4py, or install conda (or mamba, micromamba)," \
        "or use Debian 12 / Ubuntu 24.04; then call make setup again" ;;
esac
"$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$base is $("$base" --version); Python 3.11 or newer is needed"
make_venv
show_petsc_to_venv
install_requirements
write_launcher
write_compiler
check_result
printf '%s\n' "$current" >"$stamp"
say "done: .venv/bin/glassmodes --help"
