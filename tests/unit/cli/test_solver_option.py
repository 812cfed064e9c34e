"""``--solver`` and PETSc's options choose how responses are solved for, not what comes out."""

import json
import subprocess
import sys

import pytest
from command_line import assert_one_line

from glassmodes.cli.inputs import SOLVERS
from glassmodes.spectra.linear_solver import METHODS


def glassmodes(*words):
    """Run a process of its own: PETSc keeps its options until the end."""
    command = [sys.executable, "-m", "glassmodes", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_choices_are_those_of_the_library():
    assert SOLVERS == METHODS


@pytest.mark.parametrize("verb", ("moduli", "dipoles"))
def test_every_solver_gives_the_same_answer(folder, call, verb):
    words = [verb, folder / "good.h5", *(["--count", 4] if verb == "dipoles" else [])]
    key = "stiffness" if verb == "dipoles" else "bulk_modulus"
    answers = {name: json.loads(call(*words, "--solver", name, "--json")[1]) for name in SOLVERS}
    for name, answer in answers.items():
        # Quadratic forms of solves whose residuals are below 1e-9.
        assert answer[key] == pytest.approx(answers["factor"][key], rel=1e-9)
        assert name in ("auto", answer["solver"]["method"])
    assert answers["factor"]["solver"]["factor"]["entries"] > 0


def test_options_of_petsc_reach_the_solver(folder):
    words = ["dipoles", folder / "good.h5", "--count", 2, "--solver", "ksp", "--json", "--"]
    done = glassmodes(*words, "-gm_ksp_type", "minres", "-gm_pc_type", "jacobi")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["solver"]["ksp"] == {
        "matrix_type": "aij",
        "ksp_type": "minres",
        "pc_type": "jacobi",
    }


def test_what_petsc_lacks_is_said_in_one_line(folder):
    words = ["dipoles", folder / "good.h5", "--count", 2, "--solver", "ksp", "--quiet", "--"]
    done = glassmodes(*words, "-gm_mat_type", "nonsense")
    assert_one_line(done.returncode, done.stdout, done.stderr, "PETSc: .*nonsense")
