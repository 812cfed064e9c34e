"""The frame of the command line: names, help, answers, errors, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_one_line

from glassmodes.cli import answer, failure, launch, petsc
from glassmodes.cli.parser import build_parser, parse, verb_parsers
from glassmodes.errors import InputError, ResourceError, SampleError, SolverError

VERBS = (
    "import", "export", "prepare", "lattice", "minimize", "hessian", "moduli", "modes", "dipoles",
    "info",
)  # fmt: skip


def test_help_imports_nothing_heavy():
    """`glassmodes --help` must answer at once: what it imports decides that, not the load."""
    heavy = ("numpy", "scipy", "h5py", "mpi4py.MPI", "petsc4py", "pandas", "pydantic", "yaml")
    program = (
        "import sys; from glassmodes.cli import main; code = main(['--help']);"
        f"print(code, [m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert all(verb in done.stdout for verb in VERBS)
    assert done.stderr == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_complete_help(verb, call):
    code, out, _ = call(verb, "--help")
    assert code == 0
    parser = verb_parsers(build_parser())[verb]
    assert parser.description and parser.description in out
    for action in parser._actions:
        assert action.help, f"{verb}: {action.dest} has no help"


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["modul", "S.h5"], "'moduli'"),
        (["minimise", "S.h5"], "'minimize'"),
        (["moduli", "S.h5", "--jsn"], "'--json'"),
        (["modes", "S.h5", "--cout", "3", "-o", "M.h5"], "'--count'"),
        (["modes", "S.h5", "--count", "3", "--metod", "dense"], "'--method'"),
        (["modes", "S.h5", "--count", "3", "--method", "densee"], "'dense'"),
        (["--versio"], "'--version'"),
    ],
)
def test_unknown_names_come_with_the_nearest(words, nearest, call):
    assert_one_line(*call(*words), nearest)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["moduli"],
        ["moduli", "S.h5", "T.h5"],
        ["dipoles", "S.h5"],
        ["dipoles", "S.h5", "--all", "--count", "3"],
        ["dipoles", "S.h5", "--count", "-3"],
        ["dipoles", "S.h5", "--count", "0"],
        ["dipoles", "S.h5", "--count", "many"],
        ["modes", "S.h5", "--count", "-3"],
        ["modes", "S.h5", "--below", "-1"],
        ["modes", "S.h5", "--below", "nan"],
        ["modes", "S.h5", "--count", "3", "--below", "1"],
        ["prepare", "--model", "ipl_2d", "--particles", "-4", "--seed", "1", "-o", "S.h5"],
        ["import", "S.xyz", "--type-map", "1=x", "-o", "S.h5"],
        ["import", "S.xyz", "--frame", "-2", "-o", "S.h5"],
    ],
)
def test_wrong_arguments_end_in_one_line(words, call):
    assert_one_line(*call(*words))


def test_options_are_not_abbreviated():
    """A shortened option would change its meaning when a verb gains another option."""
    with pytest.raises(InputError, match="--ver"):
        parse(build_parser(), ["--ver"])


def test_petsc_options_follow_the_bare_dashes():
    words, options = petsc.split_options(["modes", "S.h5", "--", "-log_view", "--", "x"])
    assert words == ["modes", "S.h5"]
    assert options == ["-log_view", "--", "x"]
    petsc.check_options(["-log_view", ":times.txt"])
    for prefix in petsc.PREFIXES:
        petsc.check_options([f"-{prefix}ksp_rtol", "-1e-9"])


@pytest.mark.parametrize("options", [["-nonsense_rtol", "1"], ["1e-9"], ["-log_vew"]])
def test_unknown_petsc_options_are_refused(options, folder, call):
    assert_one_line(*call("info", folder / "good.h5", "--", *options), "PETSc option")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1, 0)),
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"}, (3, 2)),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, (2, 1)),
        ({"SLURM_PROCID": "0"}, (1, 0)),
    ],
)
def test_ranks_are_known_before_mpi_starts(environment, expected):
    assert (launch.launched_size(environment), launch.launched_rank(environment)) == expected


def test_json_has_no_nan_and_no_numpy():
    result = {
        "scalar": np.float64(1.5),
        "count": np.int32(3),
        "flag": np.bool_(True),
        "hole": float("nan"),
        "matrix": np.array([[np.nan, 1.0], [np.inf, 2.0]]),
        "path": Path("a/b"),
        "nested": {"x": (1, None)},
    }
    assert json.loads(answer.render_json(result)) == {
        "scalar": 1.5,
        "count": 3,
        "flag": True,
        "hole": None,
        "matrix": [[None, 1.0], [None, 2.0]],
        "path": "a/b",
        "nested": {"x": [1, None]},
    }
    assert answer.render_json(result).count("\n") == 1


def test_text_answers_summarise_long_lists():
    text = answer.render_text({"omega": np.arange(100.0), "by": {"matrix": np.eye(2)}, "no": None})
    assert text == (
        "omega: 0 1 2 ... 99 (100 values)\n"
        "by:\n  matrix: 2 x 2 values\n    1 0\n    0 1\n"
        "no: none\n"
    )


def test_stdout_is_kept_for_the_answer(capfd):
    """Whatever a library prints on descriptor 1 or through Python ends on stderr."""
    with answer.clean_stdout(permanent=False) as stream:
        os.write(1, b"from C\n")
        print("from Python")
        stream.write("answer\n")
    print("afterwards")
    out, err = capfd.readouterr()
    assert out == "answer\nafterwards\n"
    assert "from C\n" in err and "from Python\n" in err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("two\nlines"), 2, "two; lines"),
        (SampleError("saddle", "3 negative eigenvalues"), 2, "3 negative eigenvalues"),
        (SolverError("did not converge"), 2, "did not converge"),
        (OSError(28, "No space left on device", "x.h5"), 2, "disk full while writing x.h5"),
        (OSError("1024 requested and 512 written"), 2, "disk full"),
        (RuntimeError("write failed: errno = 28, error message = ..."), 2, "disk full"),
        (PermissionError(13, "Permission denied", "x.h5"), 2, "x.h5: Permission denied"),
        (MemoryError(), 4, "out of memory"),
        (ResourceError("8 GB wanted"), 4, "8 GB wanted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("x"), 1, None),
    ],
)
def test_errors_have_one_line_and_a_code(error, code, text):
    found_code, line = failure.describe(error)
    assert found_code == code
    assert line is None if text is None else text in line and "\n" not in line


def test_a_full_disk_is_found_behind_other_errors():
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("cannot close file") from None
    except RuntimeError as error:
        assert failure.is_disk_full(error)


def test_a_bug_shows_its_traceback(folder, call, monkeypatch):
    monkeypatch.setattr("glassmodes.cli.info._describe", lambda path: 1 / 0)
    code, out, err = call("info", folder / "good.h5", "--json")
    assert code == 1 and out == ""
    assert "Traceback" in err and "ZeroDivisionError" in err


def test_a_full_stdout_is_an_error(folder):
    """An answer that could not be written must not end with exit code 0."""
    program = [sys.executable, "-m", "glassmodes", "info", str(folder / "good.h5"), "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True)
    assert_one_line(done.returncode, "", done.stderr, "disk full")
