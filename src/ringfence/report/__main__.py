# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m ringfence.report`: a report of a run, from the evidence, into a file."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from ringfence.evidence import EvidenceError
from ringfence.report.pdf import PdfError
from ringfence.report.source import FORMATS, open_store, render, report_on

_BAD_INPUT = 3


def main(arguments: list[str] | None = None) -> int:
    """0: written; 3: one line on standard error says what is wrong."""
    options = _parser().parse_args(arguments)
    form = options.format or options.out.suffix.lstrip(".")
    try:
        if form not in FORMATS:
            raise EvidenceError(f"{options.out}: expected a name ending in .{', .'.join(FORMATS)}")
        store, refused = open_store(options.evidence, options.store)
        for rejected in refused:
            print(f"left out: {rejected.reason}", file=sys.stderr)
        report = report_on(store, options.run, options.compare)
        write(options.out, render(report, form))
    except (EvidenceError, PdfError) as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except OSError as error:
        print(f"{error.filename or options.out}: {error.strerror}", file=sys.stderr)
        return _BAD_INPUT
    count = report.outside_count
    outside = f"; {count:,} results outside the profile" if count else ""
    gap = f"; {len(report.not_checked)} of {len(report.hosts)} hosts not checked"
    print(f"{options.out.absolute()}: {report.score}{outside}{gap if report.not_checked else ''}")
    return 0


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path`, for its owner alone, all of it or nothing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(staged).replace(path)
    finally:
        Path(staged).unlink(missing_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ringfence.report", description=__doc__)
    parser.add_argument(
        "--evidence", type=Path, default=Path("evidence"), help="folder of evidence (./evidence)"
    )
    parser.add_argument(
        "--store", help="SQLAlchemy URL of the store, where it is not in the folder"
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--format", choices=FORMATS, help="by default, what the name ends in")
    parser.add_argument("--run", help="id of the run (the latest)")
    parser.add_argument("--compare", help="id of the run to compare with, or: previous")
    return parser


if __name__ == "__main__":
    sys.exit(main())
