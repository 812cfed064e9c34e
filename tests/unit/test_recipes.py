"""Recipes for clusters that cannot be run here: what can be checked without conda and Apptainer."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = (ROOT / "envs" / "glassmodes.def").read_text()


def section(name):
    """Return the lines of a section of the definition."""
    return re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", DEFINITION, re.MULTILINE | re.DOTALL)[1]


def test_scripts_of_the_image_are_shell():
    for name in ("post", "environment", "runscript", "test"):
        subprocess.run(["sh", "-n", "-c", section(name)], check=True)
    for path in (ROOT / "envs" / "apptainer.sh", ROOT / "envs" / "mpi.sh"):
        subprocess.run(["sh", "-n", path], check=True)
    subprocess.run(["bash", "-n", ROOT / "envs" / "setup.sh"], check=True)


def test_the_image_holds_what_its_setup_reads_and_installs_nothing_else():
    pairs = [shlex.split(line) for line in section("files").splitlines() if line.strip()]
    for source, target in pairs:
        assert (ROOT / source).exists() and target == f"/opt/glassmodes/{source}"
    held = {source for source, _ in pairs}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"], "src", "envs"} <= held
    # Packages come from the lists of the project, by its own set-up, and from nowhere else.
    post = section("post")
    assert "GLASSMODES_SETUP=debian bash /opt/glassmodes/envs/setup.sh" in post
    assert "apt-get install" not in post and "pip" not in post
    assert re.search(r"^From: debian:12$", DEFINITION, re.MULTILINE)
    listed = (ROOT / "envs" / "debian-packages.txt").read_text()
    assert listed.startswith("# Debian 12")


def test_the_stand_in_runs_glassmodes_of_the_image(tmp_path):
    """A stub stands in for Apptainer and shows the words that it was given."""
    checkout = tmp_path / "my checkout"
    shim = checkout / ".venv" / "bin" / "glassmodes"
    shim.parent.mkdir(parents=True)
    shim.write_bytes((ROOT / "envs" / "apptainer.sh").read_bytes())
    shim.chmod(0o755)
    stub = tmp_path / "bin" / "apptainer"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 75\n')
    stub.chmod(0o755)
    environment = {"PATH": f"{stub.parent}:{os.environ['PATH']}"}
    words = [str(shim), "campaign", "prepare", "--batch", "a b/0-1"]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "GLASSMODES_IMAGE" in done.stderr
    (checkout / "glassmodes.sif").touch()
    environment["GLASSMODES_APPTAINER"] = "--bind /opt/mpi"
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 75, "signals and refusals keep their exit codes"
    image = str(checkout / "glassmodes.sif")
    start = ["exec", "--bind", str(tmp_path), "--bind", "/opt/mpi", image, "glassmodes"]
    assert done.stdout.splitlines() == [*start, *words[1:]]


def test_the_workflow_itself_needs_no_petsc_and_no_mpi(tmp_path):
    """Outside an image Snakemake plans and submits with what pip installs."""
    for name in ("petsc4py", "slepc4py", "mpi4py"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not here')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}
    start = [sys.executable, "-m", "glassmodes", "campaign"]
    config = ["--config", str(ROOT / "config" / "config.yaml")]
    for words in (["plan", *config], ["run", *config, "--cores", "2", "--", "--dry-run"]):
        done = subprocess.run(
            [*start, *words], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_conda_and_pip_together_bring_every_dependency():
    """What conda.yaml leaves out is what set-up adds with pip: Snakemake and its plugins."""
    entries = yaml.safe_load((ROOT / "envs" / "conda.yaml").read_text())["dependencies"]
    conda = {re.split(r"[=<>]", item)[0].removesuffix("-base").lower() for item in entries}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.match(r"[\w.-]+", text)[0].lower() for text in project["dependencies"]}
    assert {name for name in wanted - conda if not name.startswith("snakemake")} == set()
    setup = (ROOT / "envs" / "setup.sh").read_text()
    assert "-e '.[dev]'" in setup and "pip" in conda
