"""The lists of dependencies agree with each other, and set-up fails in one clear line."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from glassmodes.campaign.versions import STAGE_VERSIONS

ROOT = Path(__file__).resolve().parents[2]


def name_of(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()


def lines_of(path):
    lines = (ROOT / path).read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("#", "-c"))]


def project_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + project["optional-dependencies"]["dev"]


def documented():
    text = (ROOT / "docs/dependencies.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \|", text, flags=re.MULTILINE)
    return {name.strip().lower() for row in rows for name in re.sub(r"\(.*\)", "", row).split(",")}


def test_pins_cover_exactly_the_declared_dependencies():
    pins = lines_of("envs/requirements.txt")
    assert all("==" in pin for pin in pins)
    assert {name_of(pin) for pin in pins} == {name_of(r) for r in project_requirements()}


def test_every_dependency_has_its_reason_in_the_docs():
    wanted = {name_of(r) for r in project_requirements()}
    wanted |= {package.removeprefix("python3-") for package in lines_of("envs/debian-packages.txt")}
    wanted -= {"venv"}  # documented under its full name
    assert wanted - documented() == set()


def test_conda_asks_for_real_scalars_and_documented_packages():
    names = [
        re.split(r"[=<>]", item)[0].removesuffix("-base")
        for item in yaml.safe_load((ROOT / "envs/conda.yaml").read_text())["dependencies"]
    ]
    assert set(names) - documented() == {"python", "pip", "cxx-compiler"}
    text = (ROOT / "envs/conda.yaml").read_text()
    assert "petsc4py=*=real*" in text and "slepc4py=*=real*" in text


def test_changelog_lists_the_stage_versions_of_this_release():
    release = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    listed = dict(re.findall(r"^\| (\w+) \| (\d+) \|$", release, flags=re.MULTILINE))
    assert {stage: int(version) for stage, version in listed.items()} == STAGE_VERSIONS


@pytest.fixture
def checkout(tmp_path):
    """Copy what set-up reads into a folder without .venv, beside a PATH that has few tools."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "cat", "cksum", "dirname", "grep", "head", "rm", "flock", "env"):
        for folder in os.environ["PATH"].split(os.pathsep):
            if Path(folder, tool).exists():
                (tools / tool).symlink_to(Path(folder, tool))
                break
    root = tmp_path / "checkout"
    (root / "envs").mkdir(parents=True)
    for path in [*(ROOT / "envs").iterdir(), ROOT / "pyproject.toml"]:
        (root / path.relative_to(ROOT)).write_bytes(path.read_bytes())
    return root, tools


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("", "activate an environment"),
        ("active", "the Python on PATH lacks petsc4py"),
        ("conda", "no conda, mamba or micromamba"),
        ("debian", "no Debian or Ubuntu"),
    ],
)
def test_setup_without_any_source_of_petsc_says_what_to_install(checkout, choice, says):
    root, tools = checkout
    done = subprocess.run(
        ["bash", str(root / "envs/setup.sh")],
        env={"PATH": str(tools), "GLASSMODES_SETUP": choice},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and says in done.stderr
    assert not (root / ".venv").exists()
