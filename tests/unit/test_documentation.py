"""What README and docs tell people to type works, and generated pages are up to date."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glassmodes import cli
from glassmodes.cli import reference
from glassmodes.cli.parser import build_parser, parse, verb_parsers
from glassmodes.formats import write_extended_xyz, write_lammps_data

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
RUN = (
    "README.md",
    "docs/getting-started.md",
    "docs/howto-bring-your-own-sample.md",
    "docs/howto-foreign-matrix.md",
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(text):
    """Return every glassmodes command of a page, in code blocks, examples and tables."""
    code = "\n".join(block for _, block in BLOCK.findall(text)) + "\n"
    code += "".join(f"{line}\n" for line in text.splitlines() if line.startswith("    "))
    found = re.findall(r"^ *(?:mpiexec -n \d+ )?(glassmodes .*)$", code, re.MULTILINE)
    found += re.findall(r"`(?:mpiexec -n \d+ )?(glassmodes [^`]*)`", text)
    # leave out synopses and sentences: "glassmodes <verb>", "modes ... -o M.h5", "(a | b)"
    return [command for command in found if not re.search(r"\.\.\.|[<|\[]", command)]


def test_the_command_line_page_is_generated_from_the_parsers():
    page = ROOT / "docs" / "command-line.md"
    assert page.read_text(encoding="utf-8") == reference.render_reference(), (
        "run: python -m glassmodes.cli.reference > docs/command-line.md"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documentation_exist(page):
    """Every command parses: verbs, options, and required arguments."""
    for command in commands(page.read_text(encoding="utf-8")):
        words = shlex.split(command, comments=True)[1:]
        bare = len(words) == 1 and words[0] in verb_parsers(build_parser())
        if words and not bare and not {"--help", "--version"} & set(words):
            words = words[: words.index("--")] if "--" in words else words
            parse(build_parser(), words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_in_the_documentation_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", RUN)
def test_examples_in_the_documentation_run(page, glass_3d, tmp_path, monkeypatch, capfd):
    """Shell, Python and YAML blocks of a page are carried out in order, in an empty folder."""
    write_extended_xyz(tmp_path / "glass.xyz", glass_3d)
    one_mass_a_type = replace(glass_3d, masses=np.ones(glass_3d.particles))
    write_lammps_data(tmp_path / "glass.data", one_mass_a_type)
    glass_3d.write(tmp_path / "glass.h5")
    monkeypatch.chdir(tmp_path)
    ran = 0
    for language, block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if language == "yaml":
            (tmp_path / "mine.yaml").write_text(block)
        elif language == "python":
            exec(compile(block, page, "exec"), {"__name__": "example"})
            ran += 1
        elif language == "sh":
            for line in block.splitlines():
                if line.startswith("glassmodes "):
                    code = cli.main(shlex.split(line, comments=True)[1:])
                    assert code == 0, f"{line}\n{capfd.readouterr().err}"
                    ran += 1
    assert ran >= 2
