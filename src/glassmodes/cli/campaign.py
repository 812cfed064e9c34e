"""``glassmodes campaign``: run a campaign, or one stage or job of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassmodes.cli.answer import Page
from glassmodes.cli.parser import (
    Parser,
    add_common_options,
    non_negative_integer,
    positive_integer,
)
from glassmodes.errors import InputError, printable
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
    planned = _add(
        verbs,
        "plan",
        plan,
        "show jobs, core-hours, memory and disk of a campaign; computes nothing",
    )
    planned.add_argument(
        "--cores", type=positive_integer, metavar="K", help="estimate the wall time on K cores"
    )
    _add_profile(planned, "profile of the site, for its limits of memory and wall time")
    _add(
        verbs,
        "status",
        status,
        "show how far a campaign is, what failed and what was refused; disturbs no run",
    )
    _add(verbs, "efficiency", efficiency, "compare what jobs used with what they had asked for")
    _add_fit_costs(verbs)
    _add(verbs, "verify", verify, "check the digests of all results; set aside what is damaged")
    _add(verbs, "partial", partial, "write tables of what is there, in a folder of their own")
    _add_merge(verbs)
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
        "--batch",
        required=True,
        metavar="ID",
        help="ENSEMBLE/FIRST-LAST, as `plan --json` names them",
    )


def _add_merge(verbs) -> None:
    parser = _add(verbs, "merge", merge, "take results of the same campaign from other folders")
    parser.add_argument(
        "others", nargs="+", type=Path, metavar="RESULTS", help="results folders of other runs"
    )
    parser.add_argument(
        "--link", action="store_true", help="make hard links instead of copies (same file system)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be taken, and take nothing"
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
        "--retry-refused",
        metavar="REASON",
        help="try refused samples again: 'any', or those of one reason of tables/samples.csv",
    )
    parser.add_argument(
        "--cores", type=positive_integer, metavar="K", help="cores to use (default: all)"
    )
    _add_profile(parser, "profile of the site (default: the program's workflow/profiles/local)")


def _add_profile(parser: Parser, text: str) -> None:
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help=text)


def _add_fit_costs(verbs) -> None:
    summary = "fit the models of time and memory to the jobs of finished campaigns"
    parser = verbs.add_parser("fit-costs", help=summary, description=summary.capitalize())
    parser.set_defaults(action_function=fit_costs, starts_mpi=False)
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="RESULTS", help="results folders of campaigns"
    )
    parser.add_argument(
        "--output",
        "-o",
        type=Path,
        required=True,
        metavar="FILE",
        help="table to write; GLASSMODES_COSTS=FILE makes all campaigns ask by it",
    )
    add_common_options(parser)


def run(args, comm) -> dict[str, Any] | None:
    """Run the chosen verb; a damaged result that it meets is set aside, to be made again."""
    from glassmodes.campaign.records import DamagedError, set_aside

    try:
        return args.action_function(args, comm)
    except DamagedError as error:
        if args.action_function not in _SETTING_ASIDE:
            raise
        if comm is None or comm.rank == 0:
            set_aside(error.path)
        raise InputError(
            f"{error}; it was set aside as {error.path.name}.damaged, "
            "`glassmodes campaign run` makes it again"
        ) from error


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
        retry_refused="" if args.retry_refused == "any" else args.retry_refused,
    )
    return run_campaign(_load(path), request)


def plan(args, comm) -> dict[str, Any]:
    """Describe the work of a campaign."""
    from glassmodes.campaign.plan import describe_plan, render_plan
    from glassmodes.campaign.site_profile import read_limits

    limits = read_limits(args.profile)
    return Page(describe_plan(_load(_config_path(args)), args.cores, limits), render_plan)


def status(args, comm) -> dict[str, Any]:
    """Count finished samples, and name those that will be repeated."""
    from glassmodes.campaign.progress import describe_status, render_status
    from glassmodes.campaign.stale import describe_stale, find_stale

    config = _load(_config_path(args))
    repeats = describe_stale(find_stale(config))
    found = describe_status(config) | ({"to_repeat": repeats} if repeats else {})
    return Page(found, render_status)


def efficiency(args, comm) -> dict[str, Any]:
    """Compare used with asked, and leave the table in the results."""
    from glassmodes.campaign.efficiency import describe_efficiency, render_efficiency

    return Page(describe_efficiency(_load(_config_path(args))), render_efficiency)


def fit_costs(args, comm) -> dict[str, Any]:
    """Fit the table of costs."""
    from glassmodes.campaign.cost_fits import describe_costs, fit_costs, render_costs
    from glassmodes.files import check_output, write_bytes

    path = check_output(args.output)
    table = fit_costs(args.folders)
    write_bytes(path, table.to_json().encode())
    return Page({"table": path, **describe_costs(table)}, render_costs)


def verify(args, comm) -> dict[str, Any]:
    """Verify all results."""
    from glassmodes.campaign.damage import verify_campaign
    from glassmodes.campaign.locks import results_lock

    config = _load(_config_path(args))
    with results_lock(config.results):
        return verify_campaign(config)


def partial(args, comm) -> dict[str, Any]:
    """Write tables of what is there."""
    from glassmodes.campaign.partial_tables import write_partial_tables

    return write_partial_tables(_load(_config_path(args)))


def merge(args, comm) -> dict[str, Any]:
    """Take results from other folders."""
    from contextlib import nullcontext

    from glassmodes.campaign.locks import results_lock
    from glassmodes.campaign.merge import merge_results

    config = _load(_config_path(args))
    lock: Any = nullcontext() if args.dry_run else results_lock(config.results)
    with lock:
        merged = merge_results(config, args.others, args.link, args.dry_run)
    for line in merged.refused:
        sys.stderr.write(f"glassmodes: not taken: {printable(line)}\n")
    if not (merged.taken or merged.here):
        raise InputError("nothing there fits this campaign; the reasons are listed above")
    taken = "would_take" if args.dry_run else "taken"
    return {taken: merged.taken, "already_here": merged.here, "refused": len(merged.refused)}


def prepare(args, comm) -> dict[str, Any]:
    """Prepare one batch.  Collective."""
    config = _load_on_all(comm, args)
    from glassmodes.campaign.batches import prepare_batch
    from glassmodes.campaign.manifest import find_batch

    return prepare_batch(comm, config, find_batch(config, args.batch))


def analyse(args, comm) -> dict[str, Any]:
    """Analyse one batch.  Collective."""
    config = _load_on_all(comm, args)
    from glassmodes.campaign.batches import analyse_batch
    from glassmodes.campaign.manifest import find_batch

    return analyse_batch(comm, config, find_batch(config, args.batch))


def search(args, comm) -> dict[str, Any]:
    """Search one slice of one batch.  Collective."""
    config = _load_on_all(comm, args)
    from glassmodes.campaign.manifest import find_batch
    from glassmodes.campaign.window_jobs import search_slice

    return search_slice(comm, config, find_batch(config, args.batch), args.slice)


def tables(args, comm) -> dict[str, Any]:
    """Write the tables."""
    from glassmodes.campaign.damage import sealed
    from glassmodes.campaign.tables import write_tables

    config = _load(_config_path(args))
    with sealed(config.results, "tables"):
        write_tables(config)
    return {"tables": config.results / "tables"}


def fits(args, comm) -> dict[str, Any]:
    """Write the fits."""
    from glassmodes.campaign.damage import sealed
    from glassmodes.campaign.fits import write_fits

    config = _load(_config_path(args))
    with sealed(config.results, "fits"):
        write_fits(config)
    return {"fits": config.results / "fits"}


def compare(args, comm) -> dict[str, Any]:
    """Write the comparison."""
    from glassmodes.campaign.compare import write_comparison
    from glassmodes.campaign.damage import sealed

    config = _load(_config_path(args))
    with sealed(config.results, "comparison"):
        write_comparison(config)
    return {"comparison": config.results / "tables" / "comparison.csv"}


def draw(args, comm) -> dict[str, Any]:
    """Draw one figure."""
    from glassmodes.campaign.figures import write_figure

    return {"figure": write_figure(_load(_config_path(args)), args.name)}


def draw_all(args, comm) -> dict[str, Any]:
    """Draw all figures."""
    from glassmodes.campaign.damage import sealed
    from glassmodes.campaign.figures import write_figures

    config = _load(_config_path(args))
    with sealed(config.results, "figures"):
        return {"figures": write_figures(config)}


def report(args, comm) -> dict[str, Any]:
    """Write the report."""
    from glassmodes.campaign.damage import sealed
    from glassmodes.campaign.report import write_report

    config = _load(_config_path(args))
    with sealed(config.results, "report"):
        return {"report": write_report(config)}


def _load_on_all(comm, args) -> CampaignConfig:
    """Read the configuration on rank 0; every rank trusts the models that it names.  Collective."""
    from glassmodes.models.model import trust, trusted_modules

    config, modules = on_root(comm, lambda: (_load(_config_path(args)), trusted_modules()))
    for name in modules:
        trust(name)
    return config


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
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
        raise InputError(
            f"{path}: {len(lines)} problems, listed above; config/README.md explains all keys"
        ) from error


_SETTING_ASIDE = (prepare, analyse, search, tables, fits, compare, draw_all, report)
"""Verbs that are jobs of the workflow."""
