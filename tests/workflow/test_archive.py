"""Archives of a tiny campaign: complete, the same each time, checkable, and safe to open."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import pyarrow.parquet as pq
import pytest
import yaml
from mpi4py import MPI

from glassmodes.campaign.archive import Request, pack_campaign
from glassmodes.campaign.archive_check import ArchiveDiffers, verify_archive
from glassmodes.campaign.archive_files import render_checksums, unpack
from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.compare import write_comparison
from glassmodes.campaign.config import load_config
from glassmodes.campaign.fits import write_fits
from glassmodes.campaign.manifest import build_manifest
from glassmodes.campaign.products import figures_of, tables_of
from glassmodes.campaign.records import read_sample
from glassmodes.campaign.table_schema import TABLES
from glassmodes.campaign.tables import write_tables
from glassmodes.cli import main
from glassmodes.errors import InputError

CONTENT = {
    "campaign": {"title": "tiny | <b>", "seed": 1},
    "ensembles": {
        "flat": {
            "model": "models/mine.yaml",
            "particles": 100,
            "protocol": {"name": "random_start"},
            "samples": 3,
            "batch_size": 2,
            "analyses": ["modes", "moduli"],
        }
    },
    "analyses": {"modes": {"count": 8, "keep_vectors": True}},
    "statistics": {"bootstrap_resamples": 20},
}
MODEL = {
    "class": "InversePowerLaw",
    "constants": {"exponent": 12, "smoothing": 3, "cutoffs": 1.25, "non_additivity": 0.2},
    "defaults": {
        "dimension": 2,
        "density": 1.0,
        "composition": [1.0],
        "diameters": {"minimum": 0.7253, "maximum": 1.6095, "exponent": 3},
    },
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a finished tiny campaign; figures and report stand in for real ones."""
    folder = tmp_path_factory.mktemp("campaign")
    before = os.getcwd()
    os.chdir(folder)
    try:
        (folder / "models").mkdir()
        (folder / "models" / "mine.yaml").write_text(yaml.safe_dump(MODEL))
        (folder / "my config.yaml").write_text(yaml.safe_dump(CONTENT))
        config = load_config("my config.yaml")
        for batch in build_manifest(config):
            prepare_batch(MPI.COMM_SELF, config, batch)
            analyse_batch(MPI.COMM_SELF, config, batch)
        for write in (write_tables, write_fits, write_comparison):
            write(config)
        (folder / "results" / "figures").mkdir()
        for name in figures_of(config):
            for kind in ("pdf", "png"):
                (folder / "results" / "figures" / f"{name}.{kind}").write_text(name)
        (folder / "results" / "report.html").write_text("<html></html>")
        run = {"command": ["glassmodes", "campaign", "run"], "started": "2026-01-02T03:04:05+00:00"}
        (folder / "results" / "run.json").write_text(json.dumps(run))
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def campaign(finished, tmp_path, monkeypatch):
    """Work in a copy of the finished campaign."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def pack(name="out.tar.gz", **options):
    path = Path("my config.yaml")
    config = load_config(path)
    return pack_campaign(config, Request(path, Path(name), **options))


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory):
    """Return an archive of the finished campaign; not to be changed."""
    target = tmp_path_factory.mktemp("packed") / "out.tar.gz"
    before = os.getcwd()
    os.chdir(finished)
    try:
        answer = pack(target)
    finally:
        os.chdir(before)
    tables = len(tables_of(load_config_of(finished))) + 1
    assert answer["tables"] == {"identical": tables, "equal_numbers": 0}
    return target


def load_config_of(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        return load_config("my config.yaml")
    finally:
        os.chdir(before)


@pytest.fixture
def unpacked(packed, tmp_path):
    """Return the folder of an unpacked archive, to change."""
    return unpack(packed, tmp_path)


def seal(folder):
    """Renew the checksums of a changed folder, as a forger would."""
    import hashlib

    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    digests = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    (folder / "SHA256SUMS").write_bytes(render_checksums(digests))


def test_the_archive_reproduces_its_tables_far_from_the_campaign(packed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # neither the model file nor the configuration lies here
    answer = verify_archive(packed)
    assert answer["complete"] and answer["tables"]["equal_numbers"] == 0


def test_standard_tools_check_it_and_its_script_reproduces_it(unpacked):
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=unpacked, check=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "reproduce.sh"],
        cwd=unpacked,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "identical" in done.stdout, done.stderr


def test_records_are_packed_without_positions_and_vectors(campaign, packed, unpacked):
    for path in (unpacked / "results").rglob("*.h5"):
        with h5py.File(path) as file:
            assert "samples" not in file and "vectors" not in file["records"]
    pack("whole.zip", samples=True, check=False)
    whole = unpack(Path("whole.zip"), campaign)
    for path in sorted((campaign / "results" / "samples").rglob("*.h5")):
        assert (whole / path.relative_to(campaign)).read_bytes() == path.read_bytes()
    first = whole / "results" / "samples" / "flat" / "000000-000001.h5"
    assert read_sample(first, 1).positions.shape == (100, 2)
    assert packed.stat().st_size < Path("whole.zip").stat().st_size


@pytest.mark.parametrize("name", ["out.tar.gz", "out.zip"])
def test_the_same_results_give_the_same_bytes(campaign, name):
    pack(name, check=False)
    first = Path(name).read_bytes()
    for path in campaign.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    pack(name, check=False)
    assert Path(name).read_bytes() == first


def test_zip_archives_verify_like_tar(campaign):
    pack("out.zip", check=False)
    assert verify_archive(Path("out.zip"))["tables"]["equal_numbers"] == 0


def test_metadata_name_every_file_and_the_unit_of_every_column(unpacked):
    package = json.loads((unpacked / "datapackage.json").read_text())
    assert package["name"] == "out" and package["title"] == "tiny | <b>"
    files = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*") if p.is_file()}
    listed = {r["path"]: r for r in package["resources"]}
    about = {"README.md", "TABLES.md", "SHA256SUMS", "datapackage.json", "reproduce.sh"}
    assert files - set(listed) == about | {"CITATION.cff", "LICENSE"}
    sums = (unpacked / "SHA256SUMS").read_text()
    for path, resource in listed.items():
        assert resource["bytes"] == (unpacked / path).stat().st_size
        assert f"{resource['hash'].removeprefix('sha256:')}  {path}\n" in sums
    moduli = listed["results/tables/moduli.csv"]["schema"]["fields"]
    assert [(f["name"], f.get("unit", "")) for f in moduli] == [
        (c.name, c.unit) for c in TABLES["moduli"].columns
    ]
    readme = (unpacked / "README.md").read_text()
    assert readme.startswith("# tiny b\n") and "no licence was stated" in readme
    assert "| `shear_modulus` | energy/length^d |" in (unpacked / "TABLES.md").read_text()
    assert (unpacked / "config" / "my_config.yaml").read_text() == yaml.safe_dump(CONTENT)
    model = json.loads((unpacked / "models" / "index.json").read_text())["models/mine.yaml"]
    assert (unpacked / model).is_file()


def test_an_incomplete_campaign_is_refused_or_marked(campaign):
    Path("results/analyses/flat/000002-000002/moduli.h5").unlink()
    with pytest.raises(InputError, match=r"not complete: .*000002/moduli\.h5 is missing; run"):
        pack()
    assert not Path("out.tar.gz").exists()
    assert pack(partial=True)["complete"] is False
    folder = unpack(Path("out.tar.gz"), campaign)
    assert (folder / "PARTIAL.txt").read_text() == "5 of 6 result files\n"
    assert "**PARTIAL: 5 of 6 result files.**" in (folder / "README.md").read_text()
    assert not (folder / "results" / "tables").exists(), "whole tables would be taken for its own"
    assert "partial" in verify_archive(Path("out.tar.gz"))["tables"]


def test_results_of_other_settings_are_refused(campaign):
    content = json.loads(json.dumps(CONTENT))
    content["analyses"]["modes"]["count"] = 9
    Path("my config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"modes\.h5 was made with other settings"):
        pack()


def test_damaged_results_are_refused(campaign):
    path = Path("results/samples/flat/000000-000001.h5")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"not complete: .*000000-000001\.h5"):
        pack()


def test_tables_that_are_not_those_of_the_records_are_refused(campaign):
    path = Path("results/tables/moduli_means.csv")
    path.write_text(path.read_text().replace(",3,", ",4,", 1))
    with pytest.raises(ArchiveDiffers, match=r"1 tables are not .*: tables/moduli_means\.csv"):
        pack()
    assert sorted(p.name for p in campaign.iterdir()) == ["models", "my config.yaml", "results"]


# --- archives of others ----------------------------------------------------------------------


def test_a_changed_file_is_found_by_its_checksum(unpacked):
    with open(unpacked / "results" / "tables" / "moduli.csv", "a") as file:
        file.write("flat\n")
    with pytest.raises(InputError, match=r"results/tables/moduli\.csv does not match its checksum"):
        verify_archive(unpacked)


@pytest.mark.parametrize("name", ["results/tables/malware.csv", "results/.hidden", "new/sub/x"])
@pytest.mark.parametrize("link", [False, True])
def test_a_file_without_a_checksum_is_refused(unpacked, name, link):
    path = unpacked / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/tmp") if link else path.write_text("x\n")
    with pytest.raises(InputError, match=f"^{name} has no checksum in SHA256SUMS"):
        verify_archive(unpacked)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_a_packed_file_without_a_checksum_is_refused(unpacked, tmp_path, suffix):
    (unpacked / "results" / "tables" / "malware.csv").write_text("x\n")
    (unpacked / "zeros.csv").write_text("x\n")
    kind = "zip" if suffix == ".zip" else "gztar"
    path = shutil.make_archive(str(tmp_path / "evil"), kind, unpacked.parent, unpacked.name)
    with pytest.raises(InputError, match=r"^results/tables/malware\.csv has no checksum"):
        verify_archive(Path(path))


def test_forged_tables_are_found_by_the_records(unpacked):
    path = unpacked / "results" / "tables" / "samples.csv"
    path.write_text(path.read_text().replace("ok", "refused", 1))
    seal(unpacked)
    with pytest.raises(ArchiveDiffers, match=r"tables/samples\.csv"):
        verify_archive(unpacked)


def test_numbers_may_differ_in_round_off_only(unpacked):
    path = unpacked / "results" / "tables" / "moduli_by_direction.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    number = next(k for k, cell in enumerate(cells) if "." in cell)
    cells[number] = f"{float(cells[number]) * (1 + 1e-9):.12g}"
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    modes = unpacked / "results" / "tables" / "modes.parquet"  # as another pyarrow would write it
    pq.write_table(pq.read_table(modes), modes, compression="snappy")
    seal(unpacked)
    assert verify_archive(unpacked)["tables"]["equal_numbers"] == 2
    cells[number] = f"{float(cells[number]) * 1.001:.12g}"
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    seal(unpacked)
    with pytest.raises(ArchiveDiffers, match=r"moduli_by_direction\.csv"):
        verify_archive(unpacked)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["ensembles"]["flat"].update(samples=10**7), "does not belong to the records"),
        (lambda c: c["ensembles"]["flat"].update(nonsense=1), "is no configuration"),
        (lambda c: c["ensembles"].update({"../x": c["ensembles"]["flat"]}), "is no configuration"),
        (lambda c: c["ensembles"]["flat"].update(samples=30), "cannot be made from the records"),
    ],
)
def test_a_forged_configuration_ends_in_one_line(unpacked, change, says):
    path = unpacked / "results" / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    seal(unpacked)
    with pytest.raises(InputError, match=says) as caught:
        verify_archive(unpacked)
    assert len(str(caught.value).splitlines()) == 1


def test_no_model_of_an_archive_is_loaded(unpacked, tmp_path, monkeypatch):
    """A model file may name a class, and so any code."""
    (tmp_path / "evil.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT / 'src'}")
    monkeypatch.chdir(tmp_path)
    Path("evil.yaml").write_text("class: evil:Potential\n")
    path = unpacked / "results" / "config.json"
    content = json.loads(path.read_text())
    content["ensembles"]["flat"]["model"] = "evil.yaml"
    path.write_text(json.dumps(content))
    seal(unpacked)
    with pytest.raises(InputError, match="made with other settings"):
        verify_archive(unpacked)
    assert not list(tmp_path.rglob("ran"))


def test_records_that_are_no_records_end_in_one_line(unpacked):
    path = next((unpacked / "results" / "samples").rglob("*.h5"))
    path.write_bytes(os.urandom(5000))
    seal(unpacked)
    with pytest.raises(InputError, match="cannot be made from the records") as caught:
        verify_archive(unpacked)
    assert len(str(caught.value).splitlines()) == 1


def tar_of(path, *members):
    """Write a tar of (name, type, content or target)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.linkname = content
                tar.addfile(member)


FILE = tarfile.REGTYPE
HOSTILE = {
    "above": [("../evil", FILE, b"x")],
    "above below": [("a/b/../../../evil", FILE, b"x")],
    "absolute": [("/tmp/evil", FILE, b"x")],
    "symbolic link": [("a/link", tarfile.SYMTYPE, "/etc"), ("a/link/evil", FILE, b"x")],
    "hard link": [("a/link", tarfile.LNKTYPE, "/etc/passwd")],
    "device": [("a/null", tarfile.CHRTYPE, "")],
    "pipe": [("a/pipe", tarfile.FIFOTYPE, "")],
    "twice": [("a/x", FILE, b"x"), ("a/X", FILE, b"y")],
    "hidden": [("a/.bashrc", FILE, b"x")],
    "line break": [("a/x\ny", FILE, b"x")],
    "backslash": [("a/..\\evil", FILE, b"x")],
    "two folders": [("a/x", FILE, b"x"), ("b/x", FILE, b"x")],
    "file below a file": [("a/x", FILE, b"x"), ("a/x/y", FILE, b"x")],
    "nothing": [],
    "no checksums": [("a/x", FILE, b"x")],
}


NOT_IN_ZIP = ("hard link", "device", "pipe")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("tar", name) for name in HOSTILE] + [("zip", n) for n in HOSTILE if n not in NOT_IN_ZIP],
)
def test_hostile_archives_end_in_one_line_and_write_nothing_elsewhere(kind, name, tmp_path):
    (tmp_path / "deep" / "inside").mkdir(parents=True)
    path = tmp_path / "deep" / f"evil.{kind}"
    if kind == "tar":
        tar_of(path, *HOSTILE[name])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for inner, type_, content in HOSTILE[name]:
                member = zipfile.ZipInfo(inner)
                if type_ == tarfile.SYMTYPE:
                    member.external_attr = 0o120777 << 16
                archive.writestr(member, content)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        unpack(path, tmp_path / "deep" / "inside")
        verify_archive(path)
    assert len(str(caught.value).splitlines()) == 1
    written = set(tmp_path.rglob("*")) - before
    assert all(tmp_path / "deep" / "inside" in p.parents for p in written)
    assert not any(p.is_symlink() for p in written)


def test_an_archive_that_unpacks_to_more_than_the_disk_is_refused(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    header = tarfile.TarInfo("a/x")
    header.size = 2**50
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10**6)))
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack(path, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_that_would_fill_the_memory_are_refused(tmp_path, kind):
    path = tmp_path / "bomb.tar.gz"
    header = tarfile.TarInfo("a/x")
    header.type, header.size = kind, 10**11
    path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10**6)))
    with pytest.raises(InputError, match="header of more than"):
        unpack(path, tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("fill", ["cut", "noise"])
def test_broken_archives_end_in_one_line(packed, tmp_path, part, fill):
    content = packed.read_bytes()
    keep = int(part * len(content))
    rest = b"" if fill == "cut" else bytes(len(content) - keep)
    (tmp_path / "broken.tar.gz").write_bytes(content[:keep] + rest)
    with pytest.raises(InputError) as caught:
        verify_archive(tmp_path / "broken.tar.gz")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give --config FILE and -o FILE"),
        (["--config", "my config.yaml", "-o", "out.rar"], "an archive ends in .tar.gz"),
        (["--config", "my config.yaml", "-o", "no/out.zip"], "folder no does not exist"),
        (["--config", "my config.yaml", "-o", "o.zip", "--samples", "--no-records"], "contradict"),
        (["verify"], "expected: glassmodes archive verify FILE"),
        (["verify", "nothing.zip"], "no such file"),
        (["verify", "my config.yaml"], "neither .tar.gz nor .zip"),
        (["verify", "."], "SHA256SUMS is missing"),
        (["check", "x"], "unknown words 'check x'"),
    ],
)
def test_bad_calls_end_in_one_line(campaign, capfd, words, says):
    assert main(["archive", *words]) == 2
    error = capfd.readouterr().err
    assert says in error and len(error.splitlines()) == 1
