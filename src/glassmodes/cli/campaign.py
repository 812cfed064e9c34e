"""``glassmodes campaign``: run a campaign, or one stage or job of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassmodes.cli.parser import (
    Parser,
    add_common_options,
    non_negative_integer,
    positive_integer,
)
from glassmodes.errors import InputError
from glassmodes.parallel import on_root

if TYPE_CHECKING:
    from glassmodes.campaign.config import CampaignConfig

DESCRIPTION = """\
A campaign is a configuration file: ensembles of samples, what is measured in them, and the tables,
fits, figures and report that follow. Its keys are explained in config/README.md."""

STAGES = ("prepare", "analyse", "tables", "fits", "figures", "report", "all")


def add_parser(subparsers) -> None:
    """Register the verb and its own verbs."""
    parser = subparsers.add_parser(
        "campaign",
        help="run a campaign of many samples, or one stage of it",
        description=DESCRIPTION,
        epilog="Example: glassmodes campaign run --config config/config.yaml --cores 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(
        title="verbs", dest="action", metavar="<verb>", required=True, parser_class=Parser
    )
    _add_run(verbs)
    _add(verbs, "plan", plan, "show batches, jobs and estimated core-hours; computes nothing")
    _add(verbs, "status", status, "show how many samples each stage has finished")
    for name, action, summary in (
        ("prepare", prepare, "prepare the samples of one batch, or go on with them"),
        ("analyse", analyse, "analyse the samples of one batch, or go on with them"),
    ):
        batch = _add(verbs, name, action, summary, starts_mpi=True)
        _add_batch(batch)
    window = _add(
        verbs, "windows", search, "find the modes of one slice in one batch", starts_mpi=True
    )
    _add_batch(window)
    window.add_argument(
        "--slice",
        type=non_negative_integer,
        required=True,
        metavar="k",
        help="slice of the window, from 0",
    )
    _add(verbs, "tables", tables, "write the tables from the records of all batches")
    _add(verbs, "fits", fits, "fit exponents, tails, size scalings and cubic forms to the tables")
    _add(verbs, "compare", compare, "compare tables and fits with published values")
    _add(verbs, "figures", draw_all, "draw all figures from tables and fits")
    figure = _add(verbs, "figure", draw, "draw one figure from tables and fits")
    figure.add_argument("name", metavar="NAME", help="name of the figure, such as participation")
    _add(verbs, "report", report, "put figures, tables and verdicts into one page")


def _add(verbs, name: str, action, summary: str, starts_mpi: bool = False) -> Parser:
    parser = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])
    parser.set_defaults(action_function=action, starts_mpi=starts_mpi)
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration (default: config/config.yaml here, else the one of the program)",
    )
    add_common_options(parser)
    return parser


def _add_batch(parser: Parser) -> None:
    parser.add_argument(
        "--batch", required=True, metavar="ID", help="ENSEMBLE/FIRST-LAST, as `plan` lists them"
    )


def _add_run(verbs) -> None:
    parser = _add(verbs, "run", start, "run a campaign, or go on with it after whatever ended it")
    parser.set_defaults(passes_on=True)
    parser.epilog = "What follows a bare '--' is passed to Snakemake, for instance: -- --dry-run"
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"stages or files: {', '.join(STAGES)}"
    )
    parser.add_argument(
        "--force",
        choices=STAGES[:-1],
        metavar="STAGE",
        help="repeat this stage and what follows from it, though nothing has changed",
    )
    parser.add_argument(
        "--cores", type=positive_integer, metavar="K", help="cores to use (default: all)"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="profile of the site (default: the program's workflow/profiles/local)",
    )


def run(args, comm) -> dict[str, Any] | None:
    """Run the chosen verb."""
    return args.action_function(args, comm)


def start(args, comm) -> dict[str, Any]:
    """Run the campaign through Snakemake."""
    from glassmodes.campaign.run import RunRequest, run_campaign

    path = _config_path(args)
    request = RunRequest(
        config_path=path,
        targets=args.targets,
        force=args.force,
        cores=args.cores,
        profile=args.profile,
        extra=getattr(args, "passed_on", []),
    )
    return run_campaign(_load(path), request)


def plan(args, comm) -> dict[str, Any]:
    """Describe the work of a campaign."""
    from glassmodes.campaign.progress import describe_plan

    return describe_plan(_load(_config_path(args)))


def status(args, comm) -> dict[str, Any]:
    """Count finished samples."""
    from glassmodes.campaign.progress import describe_status

    return describe_status(_load(_config_path(args)))


def prepare(args, comm) -> dict[str, Any]:
    """Prepare one batch.  Collective."""
    config = on_root(comm, lambda: _load(_config_path(args)))
    from glassmodes.campaign.batches import prepare_batch
    from glassmodes.campaign.manifest import find_batch

    return prepare_batch(comm, config, find_batch(config, args.batch))


def analyse(args, comm) -> dict[str, Any]:
    """Analyse one batch.  Collective."""
    config = on_root(comm, lambda: _load(_config_path(args)))
    from glassmodes.campaign.batches import analyse_batch
    from glassmodes.campaign.manifest import find_batch

    return analyse_batch(comm, config, find_batch(config, args.batch))


def search(args, comm) -> dict[str, Any]:
    """Search one slice of one batch.  Collective."""
    config = on_root(comm, lambda: _load(_config_path(args)))
    from glassmodes.campaign.manifest import find_batch
    from glassmodes.campaign.window_jobs import search_slice

    return search_slice(comm, config, find_batch(config, args.batch), args.slice)


def tables(args, comm) -> dict[str, Any]:
    """Write the tables."""
    from glassmodes.campaign.tables import write_tables

    config = _load(_config_path(args))
    write_tables(config)
    return {"tables": config.results / "tables"}


def fits(args, comm) -> dict[str, Any]:
    """Write the fits."""
    from glassmodes.campaign.fits import write_fits

    config = _load(_config_path(args))
    write_fits(config)
    return {"fits": config.results / "fits"}


def compare(args, comm) -> dict[str, Any]:
    """Write the comparison."""
    from glassmodes.campaign.compare import write_comparison

    config = _load(_config_path(args))
    write_comparison(config)
    return {"comparison": config.results / "tables" / "comparison.csv"}


def draw(args, comm) -> dict[str, Any]:
    """Draw one figure."""
    from glassmodes.campaign.figures import write_figure

    return {"figure": write_figure(_load(_config_path(args)), args.name)}


def draw_all(args, comm) -> dict[str, Any]:
    """Draw all figures."""
    from glassmodes.campaign.figures import write_figures

    return {"figures": write_figures(_load(_config_path(args)))}


def report(args, comm) -> dict[str, Any]:
    """Write the report."""
    from glassmodes.campaign.report import write_report

    return {"report": write_report(_load(_config_path(args)))}


def _config_path(args) -> Path:
    """Return the configuration file: the one given, the one here, or the program's own."""
    if args.config is not None:
        return args.config
    from glassmodes.campaign.run import workflow_folder

    here = Path("config/config.yaml")
    return here if here.is_file() else workflow_folder() / here


def _load(path: Path) -> CampaignConfig:
    """Read the configuration; several problems are listed on stderr, one a line."""
    from glassmodes.campaign.config import load_config

    try:
        return load_config(path)
    except InputError as error:
        lines = str(error).splitlines()
        if len(lines) == 1:
            raise
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        raise InputError(
            f"{path}: {len(lines)} problems, listed above; config/README.md explains all keys"
        ) from error
