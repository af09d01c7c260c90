# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of inventories, compared with what the csv module makes of them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from typing import Literal

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_inventory_rows as reading
from hypothesis import example, given
from hypothesis import strategies as st

COLUMNS = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "EncryptionStatus")
WIDTH = len(COLUMNS)
# A file that ends within a block, and blocks that end within a row, a quote, a letter.
BLOCKS = st.sampled_from([1, 2, 7, 64, 1 << 17])
CELLS = st.text(st.sampled_from('ab,"\n\r+%é\U0001f512'), max_size=4) | st.sampled_from(
    ["", "true", "false", "SSE-KMS", '"', '""', ",", '","', '"\n"', "\n", "\r\n"]
)
PLAIN = st.text(st.sampled_from("ab,+%é \r"), max_size=4)


def read(text: bytes, columns: Sequence[str] = COLUMNS) -> list[tuple[str, ...]]:
    """Keys, versions, latest, markers, kinds: row by row."""
    blocks = reading.read_blocks(io.BytesIO(gzip.compress(text)), columns)
    return [row for block in blocks for row in zip(*block, strict=True)]


def of_csv(text: bytes) -> list[tuple[str, ...]] | None:
    """The same by the csv module; None where it refuses the text, or a row has other columns."""
    try:
        lines = io.StringIO(text.decode(), newline="")
        rows = [row for row in csv.reader(lines, strict=True) if row]
    except (csv.Error, ValueError):
        return None
    if any(len(row) != WIDTH for row in rows):
        return None
    return [(row[1], row[2], row[3], row[4], row[6]) for row in rows]


def as_csv_or_refused(text: bytes, block: int) -> None:
    expected = of_csv(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BLOCK", block)
        if expected is None:
            with pytest.raises(reading.RowsError, match="cannot be read"):
                read(text)
        else:
            assert read(text) == expected


def written(rows: Sequence[Sequence[str]], quoting: Literal[0, 1], end: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue().encode()


@given(
    st.lists(st.lists(CELLS, min_size=WIDTH, max_size=WIDTH), max_size=8),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    BLOCKS,
)
def test_any_cells_are_read_as_csv_reads_them(
    rows: list[list[str]], quoting: Literal[0, 1], end: str, block: int
) -> None:
    as_csv_or_refused(written(rows, quoting, end), block)


@given(
    st.lists(st.lists(PLAIN, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=8),
    st.lists(CELLS, min_size=WIDTH - 1, max_size=WIDTH + 1),
    BLOCKS,
)
def test_rows_as_amazon_writes_them_before_one_that_is_not(
    rows: list[list[str]], odd: list[str], block: int
) -> None:
    fine = written(rows, csv.QUOTE_ALL, "\n")
    as_csv_or_refused(fine + written([odd], csv.QUOTE_MINIMAL, "\n") + fine, block)


@given(st.text(st.sampled_from('a,"\n\r'), max_size=60), BLOCKS)
@example('"a","b","c","d","e","f","g"\n"a","b","c","d","e","f","g', 7)
@example('"a","b","c","d","e","f","g"x\n', 64)
@example('x"a","b","c","d","e","f","g"\n', 64)
@example('"a","b","c","d","e","f","g"\n\n\n"a","b","c","d","e","f","g"', 64)
@example('"a","b","c","d","e","f","g"\r"a","b","c","d","e","f","g"\n', 64)
@example('"a","b","c","d","e","f","g"\n"a","b","c"\n"a","b","c","d"\n', 64)
def test_any_text_is_read_as_csv_reads_it_or_refused(text: str, block: int) -> None:
    as_csv_or_refused(text.encode(), block)


def test_a_column_that_is_not_there_has_its_usual_value() -> None:
    columns = ("Key", "Size", "EncryptionStatus")
    assert read(b'"a%2Bb","1","SSE-S3"\n', columns) == [("a%2Bb", "", "true", "false", "SSE-S3")]


def test_the_order_of_the_columns_is_the_files() -> None:
    columns = ("EncryptionStatus", "IsLatest", "Key")
    assert read(b'"SSE-C","false","k"\n', columns) == [("k", "", "false", "false", "SSE-C")]


def test_what_amazon_writes_needs_no_csv_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(reading, "csv")
    rows = [["b", f"k%2C{number}", "", "true", "", "", "SSE-S3"] for number in range(5000)]
    assert len(read(written(rows, csv.QUOTE_ALL, "\n"))) == 5000


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        gzip.compress(b'"a"\n' * 5000)[:-9],
        gzip.compress(b'"a","b","c","d","e","f","\xff"\n'),
        gzip.compress(b'"a","b","c","d","e","f","g"\n')[:-8] + b"\0" * 8,
        gzip.compress(b'"' + b"a" * (3 << 20)),
    ],
    ids=["another format", "cut off", "no UTF-8", "another checksum", "a row without end"],
)
def test_what_is_no_inventory_is_refused(data: bytes) -> None:
    with pytest.raises(reading.RowsError, match="cannot be read"):
        list(reading.read_blocks(io.BytesIO(data), COLUMNS))


def test_files_packed_in_parts_are_read_whole() -> None:
    part = gzip.compress(b'"a","b","c","d","e","f","g"\n')
    blocks = list(reading.read_blocks(io.BytesIO(part + part), COLUMNS))
    assert [key for block in blocks for key in block.keys] == ["b", "b"]


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        ("", ["a+b/1", "a%20b/2", "a%2Bb/3", "%C3%A4"]),
        ("a b/", ["a+b/1", "a%20b/2"]),
        ("a+b/", ["a%2Bb/3"]),
        ("ä", ["%C3%A4"]),
        ("%C3", []),
    ],
)
def test_a_prefix_is_one_of_the_key_and_not_of_its_code(prefix: str, keys: list[str]) -> None:
    every = ["a+b/1", "a%20b/2", "a%2Bb/3", "%C3%A4"]
    usual = [""] * len(every)
    found = reading.Block(every, usual, usual, usual, usual).within(prefix)
    assert list(found.keys) == keys
    assert {len(column) for column in found} == {len(found.keys)}
