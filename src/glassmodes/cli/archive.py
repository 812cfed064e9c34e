"""``glassmodes archive``: pack a finished campaign for a data repository, or verify such a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glassmodes.cli.parser import add_verb
from glassmodes.errors import InputError

DESCRIPTION = """\
Pack tables, fits, figures, report, configuration, provenance and the records of all samples of a
campaign into one file with checksums, README and metadata. The archive makes its own tables again:
`glassmodes archive verify FILE` checks every file, remakes tables and fits from the records and
compares. The same results give the same bytes.

JSON keys: archive, complete, files, result_files, bytes; checksums; tables (identical,
equal_numbers), the tables made again that have the same bytes, and those with the same numbers."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "archive",
        run,
        summary="pack a campaign for a data repository, or verify such an archive",
        description=DESCRIPTION,
        example="glassmodes archive --config config/config.yaml -o campaign.tar.gz",
    )
    parser.set_defaults(starts_mpi=False)
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="verify FILE",
        help="verify an archive, or the folder that it was unpacked to, instead of packing one",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration of the campaign to pack"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="archive to write: .tar.gz, .tgz or .zip"
    )
    parser.add_argument(
        "--samples", action="store_true", help="pack the samples themselves and all vectors too"
    )
    parser.add_argument(
        "--no-records",
        action="store_true",
        help="leave the records of single samples out; tables cannot be made again then",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="pack what is there of a campaign that is not complete, marked as partial",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not make the tables again before the archive gets its name",
    )
    parser.add_argument(
        "--license", default="", metavar="NAME", help="licence of the data, such as CC-BY-4.0"
    )


def run(args, comm) -> dict[str, Any]:
    """Pack or verify."""
    if args.words:
        return _verify(args)
    if args.config is None or args.output is None:
        raise InputError("give --config FILE and -o FILE, or: glassmodes archive verify FILE")
    if args.samples and args.no_records:
        raise InputError("--samples and --no-records contradict each other; give one of them")
    from glassmodes.campaign.archive import Request, pack_campaign
    from glassmodes.cli.campaign import _load

    request = Request(
        config_path=args.config,
        output=args.output,
        records=not args.no_records,
        samples=args.samples,
        partial=args.partial,
        check=not args.no_check,
        licence=args.license,
    )
    return pack_campaign(_load(args.config), request)


def _verify(args) -> dict[str, Any]:
    from glassmodes.campaign.archive_check import verify_archive

    if args.words[0] != "verify" or len(args.words) != 2:
        raise InputError(
            f"unknown words {' '.join(args.words)!r}; expected: glassmodes archive verify FILE"
        )
    if args.config is not None or args.output is not None:
        raise InputError("glassmodes archive verify FILE takes neither --config nor -o")
    path = Path(args.words[1])
    if not path.exists():
        raise InputError(f"cannot read {path}: no such file; check the path")
    return verify_archive(path)
