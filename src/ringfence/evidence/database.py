# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to the store's database: one writer at a time, all or nothing, schema up to date."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from ringfence.evidence.errors import StoreError

REVISION = "0001"  # the newest in migrations/versions/
_BUSY_TIMEOUT_S = 60
_ADVISORY_LOCK = 0x72696E67_66656E63  # "ringfenc": any constant that nobody else takes


class Database:
    """A store's database by its URL. Raises StoreError, whose text never holds a password."""

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
        except ArgumentError:
            raise StoreError(
                "the store is not given as a URL: expected sqlite:///FILE or postgresql://…"
            ) from None
        self.name = self._url.render_as_string(hide_password=True)
        self._engine = self._connect(self._url)
        self._migrate()

    def _connect(self, url: URL) -> Engine:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url)
        if url.get_backend_name() == "postgresql":
            if url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")
            try:
                return create_engine(url, poolclass=NullPool)
            except (ModuleNotFoundError, NoSuchModuleError):
                raise StoreError(
                    f"{self.name}: needs psycopg: pip install 'ringfence[postgresql]'"
                ) from None
        raise StoreError(
            f"{self.name}: {url.get_backend_name()} cannot be kept append-only here: "
            "expected sqlite or postgresql"
        )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view."""
        with self._errors(), self._engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The one writer: others wait; what is raised inside undoes all of it."""
        with self._errors(), self._engine.connect() as connection:
            connection = connection.execution_options(ringfence_write=True)
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(
                        text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                    )
                yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
            raise StoreError(f"{self.name}: {lines[0]}") from error

    def _migrate(self) -> None:
        with self.reading() as connection:
            found = _revision(connection)
        if found == REVISION:
            return
        with self.writing() as connection:
            found = _revision(connection)  # another writer may have been faster
            if found == REVISION:
                return
            if found is not None and found > REVISION:
                raise StoreError(
                    f"{self.name}: was written by a newer ringfence "
                    f"(schema {found}, known here: {REVISION})"
                )
            _upgrade(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # a fifth of a second, needed once in a store's life
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "ringfence.evidence:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError(f"{url}: keeps nothing: expected sqlite:///FILE")
    _make_private(Path(url.database))
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what is pruned is gone from the file

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("ringfence_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _make_private(path: Path) -> None:
    """Make the file for its owner alone: it says where a fleet is weak."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened for writing: {error.strerror}") from None
