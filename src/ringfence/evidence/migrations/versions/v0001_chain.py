# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain of entries, their bodies, and the guards that make them append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = ("entries", "prunings")
_REFUSAL = "the evidence store is append-only"


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "entries",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("ref", sa.String(64), nullable=False),
        sa.Column("recorded_at", sa.String(20), nullable=False),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("signature", sa.Text, nullable=True),
        sa.UniqueConstraint("kind", "ref", name="uq_entries_kind_ref"),
    )
    op.create_table(
        "bodies",
        sa.Column(
            "seq", sa.Integer, sa.ForeignKey("entries.seq"), primary_key=True, autoincrement=False
        ),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "prunings",
        sa.Column(
            "seq", sa.Integer, sa.ForeignKey("entries.seq"), primary_key=True, autoincrement=False
        ),
        sa.Column("by_seq", sa.Integer, sa.ForeignKey("entries.seq"), nullable=False),
    )
    op.create_table(
        "head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_head_one_row"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _guard_sqlite() -> None:
    refuse = f"SELECT RAISE(ABORT, '{_REFUSAL}')"
    for table in (*_APPEND_ONLY, "bodies"):
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN {refuse}; END")
    for table in (*_APPEND_ONLY, "head"):
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN {refuse}; END")
    op.execute(
        "CREATE TRIGGER bodies_no_delete BEFORE DELETE ON bodies "
        "WHEN NOT EXISTS (SELECT 1 FROM prunings WHERE prunings.seq = OLD.seq) "
        "BEGIN SELECT RAISE(ABORT, 'the evidence store is append-only'); END"
    )
    op.execute(
        "CREATE TRIGGER head_forward BEFORE UPDATE ON head WHEN NEW.seq <> OLD.seq + 1 "
        f"BEGIN {refuse}; END"
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ringfence_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    op.execute(
        "CREATE FUNCTION ringfence_pruned_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF EXISTS (SELECT 1 FROM prunings WHERE prunings.seq = OLD.seq) "
        "THEN RETURN OLD; END IF; RAISE EXCEPTION 'the evidence store is append-only'; END $$"
    )
    for table in (*_APPEND_ONLY, "bodies"):
        _trigger(table, "no_update", "BEFORE UPDATE", "FOR EACH ROW", "ringfence_refuse")
    for table in (*_APPEND_ONLY, "head"):
        _trigger(table, "no_delete", "BEFORE DELETE", "FOR EACH ROW", "ringfence_refuse")
    for table in (*_APPEND_ONLY, "bodies", "head"):
        _trigger(table, "no_truncate", "BEFORE TRUNCATE", "FOR EACH STATEMENT", "ringfence_refuse")
    _trigger("bodies", "no_delete", "BEFORE DELETE", "FOR EACH ROW", "ringfence_pruned_only")
    forward = "FOR EACH ROW WHEN (NEW.seq <> OLD.seq + 1)"
    _trigger("head", "forward", "BEFORE UPDATE", forward, "ringfence_refuse")


def _trigger(table: str, name: str, event: str, scope: str, function: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_{name} {event} ON {table} {scope} EXECUTE FUNCTION {function}()"
    )
