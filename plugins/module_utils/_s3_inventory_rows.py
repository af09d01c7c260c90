# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rows of an S3 Inventory in CSV, a block at a time: an inventory may have millions of them.

Amazon quotes every column and encodes what a key holds beside letters, digits and a few signs as a
URL does. A block that is written so throughout is taken apart by one pattern, which is several
times as fast as the csv module; from the first block on that is not, the csv module reads on.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import compress, islice
from typing import IO, NamedTuple
from urllib.parse import unquote_plus

# Small enough for the processor's cache.
_BLOCK = 1 << 17
# No row is as long: a key has 1,024 bytes at most.
_LONGEST_ROW = 1 << 20
_ROWS = 2000
# What is taken of a row, and what holds where there is no such column.
_WANTED = {
    "Key": "",
    "VersionId": "",
    "IsLatest": "true",
    "IsDeleteMarker": "false",
    "EncryptionStatus": "",
}


class RowsError(Exception):
    """Why the rows cannot be read, in one line."""


class Block(NamedTuple):
    """Columns of some rows, each as long as the others; keys are encoded still."""

    keys: Sequence[str]
    versions: Sequence[str]
    latest: Sequence[str]
    markers: Sequence[str]
    kinds: Sequence[str]

    def within(self, prefix: str) -> Block:
        """The rows whose keys begin so."""
        if not prefix:
            return self
        chosen = [unquote_plus(key).startswith(prefix) for key in self.keys]
        return Block(*(list(compress(column, chosen)) for column in self))


def read_blocks(data: IO[bytes], columns: Sequence[str]) -> Iterator[Block]:
    """All rows of one file, packed by gzip, with these columns. Raises RowsError."""
    chosen = [number for number, name in enumerate(columns) if name in _WANTED]
    places = {columns[number]: place for place, number in enumerate(chosen)}
    try:
        for rows in _rows(data, len(columns), chosen):
            found = list(zip(*rows, strict=True))
            yield Block(
                *(
                    found[places[name]] if name in places else (usual,) * len(rows)
                    for name, usual in _WANTED.items()
                )
            )
    except (csv.Error, ValueError, EOFError, OSError, zlib.error) as error:
        raise RowsError(f"cannot be read: {error}") from error


def _rows(data: IO[bytes], width: int, chosen: Sequence[int]) -> Iterator[Sequence[Sequence[str]]]:
    """Rows with their chosen columns."""
    pattern, done = _pattern(width, chosen), 0
    with gzip.open(data, "rb") as plain:
        for block in _whole_lines(plain):
            rows = pattern.findall(block.decode())
            # Each match begins with a line and ends with one: as many of them as there are lines
            # leave nothing of the block out.
            if len(rows) != block.count(b"\n"):
                plain.seek(done)
                yield from _rows_of_csv(plain, width, chosen)
                return
            done += len(block)
            yield rows


def _pattern(width: int, chosen: Sequence[int]) -> re.Pattern[str]:
    """A row of quoted columns; at least two of them are groups, so that it yields tuples."""
    cells = ('"([^"]*)"' if number in chosen else '"[^"]*"' for number in range(width))
    return re.compile(rf"(?m)^{','.join(cells)}\r?\n")


def _whole_lines(plain: gzip.GzipFile) -> Iterator[bytes]:
    """Blocks that end where a line does; the last one is given its end where it has none."""
    rest = b""
    while part := plain.read(_BLOCK):
        block = rest + part
        end = block.rfind(b"\n") + 1
        rest = block[end:]
        if end:
            yield block[:end]
        if len(rest) > _LONGEST_ROW:
            break
    if rest:
        yield rest + b"\n"


def _rows_of_csv(
    plain: gzip.GzipFile, width: int, chosen: Sequence[int]
) -> Iterator[Sequence[Sequence[str]]]:
    text = io.TextIOWrapper(plain, encoding="utf-8", newline="")
    reader = csv.reader(text, strict=True)
    while rows := list(islice(reader, _ROWS)):
        if found := [_chosen(row, width, chosen) for row in rows if row]:
            yield found


def _chosen(row: Sequence[str], width: int, chosen: Sequence[int]) -> list[str]:
    if len(row) != width:
        raise ValueError(f"a row of {len(row)} columns, expected {width}")
    return [row[number] for number in chosen]
