# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the store. All but `head` only ever grow; see migrations/ for their guards."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# one link of the chain each; never deleted, not even when its body is pruned
entries = Table(
    "entries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("ref", String(64), nullable=False),
    Column("recorded_at", String(20), nullable=False),
    Column("body_sha256", String(64), nullable=False),
    Column("summary", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("signature", Text, nullable=True),
    UniqueConstraint("kind", "ref", name="uq_entries_kind_ref"),
)

# canonical JSON, deflated
bodies = Table(
    "bodies",
    metadata,
    Column("seq", Integer, ForeignKey("entries.seq"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

# the one door by which a body may leave: a row here names it, and the entry that records why
prunings = Table(
    "prunings",
    metadata,
    Column("seq", Integer, ForeignKey("entries.seq"), primary_key=True, autoincrement=False),
    Column("by_seq", Integer, ForeignKey("entries.seq"), nullable=False),
)

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)
