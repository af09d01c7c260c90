# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: what goes in, comes out, stays; what betrays a forger; kills and crowds."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from ringfence.evidence import DocumentError, EvidenceError, Head, Store, StoreError
from ringfence.evidence.database import REVISION

from .conftest import CATALOGUE, SHA, run_document, run_id


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A store in each database that is supported."""
    if request.param == "sqlite":
        yield request.getfixturevalue("url")
        return
    server = request.getfixturevalue("postgresql")
    name = f"evidence_{time.time_ns()}"
    engine = create_engine(
        server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.replace("/postgres?", f"/{name}?")
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_what_goes_in_comes_out(any_url: str) -> None:
    store = Store(any_url)
    done = store.ingest(run_document(1), CATALOGUE)
    assert (done.run_id, done.seq, done.new, done.signed) == (run_id(1), 2, True, False)
    store.ingest(run_document(2, mode="apply"), CATALOGUE)
    assert store.run(run_id(1)) == run_document(1)
    assert [run.id for run in store.runs()] == [run_id(1), run_id(2)]
    assert store.runs()[0].counts == {"fail": 1}
    assert store.runs()[0].hosts == {"ok": 1, "unreachable": 1}
    latest, latest_audit = store.latest(), store.latest(mode="audit")
    assert latest
    assert latest["run"]["id"] == run_id(2)
    assert latest_audit
    assert latest_audit["run"]["id"] == run_id(1)
    assert store.latest(mode="check") is None
    previous = store.previous(run_id(2))
    assert previous
    assert previous["run"]["id"] == run_id(1)
    assert store.previous(run_id(1)) is None
    kept = store.catalogue(SHA)
    assert kept
    assert kept.controls == CATALOGUE.controls
    assert store.catalogue("0" * 64) is None
    assert len(store.compare(run_id(1), run_id(2)).unchanged) == 1
    assert store.verify().ok
    assert store.verify().entries == 3


def test_the_same_run_twice_is_one_entry(any_url: str) -> None:
    store = Store(any_url)
    first = store.ingest(run_document(1))
    again = Store(any_url).ingest(run_document(1))
    assert (again.new, again.seq, again.hash) == (False, first.seq, first.hash)
    with pytest.raises(StoreError, match="is in the store with other contents"):
        store.ingest(run_document(1, operator="mallory"))
    assert store.run(run_id(1)) == run_document(1)


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    store.ingest(run_document(1))
    store.ingest(run_document(12))
    assert store.run(run_id(12)[:25].lower())["run"]["id"] == run_id(12)
    with pytest.raises(StoreError, match="more than one run begins so"):
        store.run(run_id(1)[:6])
    for unknown in ("01ZZ", "%"):
        with pytest.raises(StoreError, match="is not in the store"):
            store.run(unknown)


def test_incoming_files_go_in_and_go_away(store: Store, tmp_path: Path) -> None:
    incoming = tmp_path / "evidence/incoming"
    catalogues = tmp_path / "evidence/catalogues"
    for folder in (incoming, catalogues):
        folder.mkdir(parents=True)
    for number in (1, 2):
        (incoming / f"{run_id(number)}.json").write_text(json.dumps(run_document(number)))
    (incoming / "bad.json").write_text("{")
    (incoming / ".01M8.json.77.tmp").write_text("{")
    copy = {"sha256": SHA, "controls": CATALOGUE.controls, "benchmarks": {}}
    (catalogues / f"{SHA}.json").write_text(json.dumps(copy))
    taken, refused = store.ingest_incoming(incoming)
    assert [run.run_id for run in taken] == [run_id(1), run_id(2)]
    assert [rejected.path.name for rejected in refused] == ["bad.json"]
    assert "bad.json: is not JSON" in refused[0].reason
    assert sorted(path.name for path in incoming.iterdir()) == [".01M8.json.77.tmp", "bad.json"]
    assert store.catalogue(SHA) is not None


def test_a_catalogue_that_the_run_did_not_ask_is_not_kept_as_its_own(store: Store) -> None:
    store.ingest(run_document(1, catalogue_sha256="d" * 64), CATALOGUE)
    assert store.catalogue(SHA) is None
    assert store.catalogue("d" * 64) is None


def test_a_bad_document_changes_nothing(store: Store) -> None:
    with pytest.raises(DocumentError):
        store.ingest({"schema": 1})
    assert store.head() == Head(0, "0" * 64)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET recorded_at = 'x' WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 3",
        "UPDATE bodies SET body = '' WHERE seq = 2",
        "DELETE FROM bodies WHERE seq = 2",
        "DELETE FROM head",
        "UPDATE head SET seq = 1",
        "INSERT INTO head VALUES (2, 9, 'x')",
    ],
)
def test_the_database_itself_refuses_what_is_not_appending(any_url: str, statement: str) -> None:
    store = Store(any_url)
    for number in (1, 2):
        store.ingest(run_document(number), CATALOGUE)
    engine = create_engine(any_url.replace("postgresql:", "postgresql+psycopg:"))
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    assert store.verify().ok


def forge(url: str, *statements: str) -> None:
    """Do what somebody with the file in hand can do: drop the guards first."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (
            ["UPDATE bodies SET body = (SELECT body FROM bodies WHERE seq = 2) WHERE seq = 3"],
            "entry 3: its body was changed",
        ),
        (["UPDATE bodies SET body = x'00' WHERE seq = 3"], "entry 3: its body was changed"),
        (
            ["UPDATE entries SET recorded_at = '2020-01-01T00:00:00Z' WHERE seq = 3"],
            "entry 3: was changed",
        ),
        (
            ["UPDATE entries SET summary = replace(summary, 'fail', 'pass') WHERE seq = 3"],
            "entry 3: was changed",
        ),
        (["UPDATE entries SET hash = '" + "f" * 64 + "' WHERE seq = 3"], "entry 3: was changed"),
        (
            ["DELETE FROM entries WHERE seq = 3", "DELETE FROM bodies WHERE seq = 3"],
            "entry 3: is missing",
        ),
        (
            ["DELETE FROM entries WHERE seq = 1", "DELETE FROM bodies WHERE seq = 1"],
            "entry 1: is missing",
        ),
        (["DELETE FROM bodies WHERE seq = 3"], "entry 3: its body is gone"),
        (
            ["DELETE FROM bodies WHERE seq = 3", "INSERT INTO prunings VALUES (3, 4)"],
            "entry 3: its body is gone",
        ),
        (
            ["DELETE FROM entries WHERE seq = 4", "DELETE FROM bodies WHERE seq = 4"],
            "the end was cut off",
        ),
        (["DELETE FROM entries", "DELETE FROM bodies"], "the end was cut off"),
        (["DELETE FROM head"], "the end was cut off"),
        (
            [
                "INSERT INTO entries SELECT 5, kind, 'x', recorded_at, body_sha256, "
                "summary, hash, 'abc', NULL FROM entries WHERE seq = 4"
            ],
            "entry 5: was changed",
        ),
        (["INSERT INTO bodies VALUES (77, x'00')"], "entry 77: a body was inserted"),
        (
            [
                "UPDATE entries SET seq = 99 WHERE seq = 3",
                "UPDATE entries SET seq = 3 WHERE seq = 4",
                "UPDATE entries SET seq = 4 WHERE seq = 99",
            ],
            "entry 3: does not follow",
        ),
    ],
)
def test_each_kind_of_tampering_is_found(url: str, statements: list[str], problem: str) -> None:
    store = Store(url)
    for number in (1, 2, 3):
        store.ingest(run_document(number), CATALOGUE)
    assert store.verify().ok
    forge(url, *statements)
    found = store.verify()
    assert not found.ok
    assert any(str(finding).startswith(problem) for finding in found.findings), found.findings


def test_a_clean_cut_needs_a_head_noted_elsewhere(url: str) -> None:
    store = Store(url)
    for number in (1, 2, 3):
        store.ingest(run_document(number))
    noted = store.head()
    forge(
        url,
        "DELETE FROM entries WHERE seq = 3",
        "DELETE FROM bodies WHERE seq = 3",
        "UPDATE head SET seq = 2, hash = (SELECT hash FROM entries WHERE seq = 2)",
    )
    assert store.verify().ok, "a chain alone cannot show this"
    found = store.verify(known_head=noted)
    assert [str(finding) for finding in found.findings] == [
        "the head noted elsewhere, entry 3, is not in it"
    ]


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], Path]:
    """Makes SSH keys, each named in one file of allowed signers."""

    def make(name: str) -> Path:
        path = tmp_path / f"id_{name}"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(command, check=True)
        with (tmp_path / "allowed_signers").open("a") as file:
            file.write(f"{name}@example.org {path.with_suffix('.pub').read_text()}")
        return path

    return make


def test_signatures_are_made_and_verified(
    url: str, keys: Callable[[str], Path], tmp_path: Path
) -> None:
    Store(url).ingest(run_document(1))
    signing = Store(url, keys("alice"))
    assert signing.ingest(run_document(2), CATALOGUE).signed
    found = signing.verify(tmp_path / "allowed_signers")
    assert found.ok, found.findings
    assert found.signed == {"alice@example.org": 2}


def test_signatures_show_what_nobody_vouches_for(
    url: str, keys: Callable[[str], Path], tmp_path: Path
) -> None:
    Store(url, keys("alice")).ingest(run_document(1))
    stranger = keys("mallory")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(allowed.read_text().splitlines()[0] + "\n")
    assert Store(url).verify(allowed).ok
    Store(url, stranger).ingest(run_document(2))
    Store(url).ingest(run_document(3))
    problems = [str(finding) for finding in Store(url).verify(allowed).findings]
    assert problems == [
        f"entry 2: signed by a key that is not in {allowed}",
        "entries 2 to 3 are not vouched for by any accepted signature",
    ]


def test_a_signature_moved_to_another_entry_does_not_fit(
    url: str, keys: Callable[[str], Path], tmp_path: Path
) -> None:
    store = Store(url, keys("alice"))
    for number in (1, 2):
        store.ingest(run_document(number))
    forge(
        url,
        "UPDATE entries SET signature = (SELECT signature FROM entries WHERE seq = 1)",
    )
    problems = [str(finding) for finding in store.verify(tmp_path / "allowed_signers").findings]
    assert any(problem.startswith("entry 2: signature does not fit") for problem in problems)


@pytest.mark.parametrize("kind", ["missing", "not a key", "passphrase"])
def test_a_key_that_cannot_sign_stores_nothing(url: str, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "not a key":
        path.write_text("hello\n")
    elif kind == "passphrase":
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)]
        subprocess.run(command, check=True)
    store = Store(url, path)
    with pytest.raises(StoreError, match="key: cannot sign") as error:
        store.ingest(run_document(1))
    assert "\n" not in str(error.value)
    assert store.runs() == []


def test_retention_is_the_one_door_and_is_on_record(any_url: str) -> None:
    store = Store(any_url)
    for number in (1, 2, 3):
        store.ingest(run_document(number), CATALOGUE)
    done = store.prune(before="2026-01-03T00:00:00Z", reason="two years are over")
    assert done.runs == (run_id(1), run_id(2))
    assert [run.pruned for run in store.runs()] == [True, True, False]
    assert store.runs()[0].counts == {"fail": 1}
    with pytest.raises(StoreError, match="its details were pruned"):
        store.run(run_id(1))
    assert store.run(run_id(3))
    found = store.verify()
    assert found.ok, found.findings
    assert found.pruned == 2
    assert store.prune(before="2026-01-03T00:00:00Z").seq is None
    assert store.ingest(run_document(1)).new is False


def test_what_is_pruned_is_gone_from_the_file(url: str) -> None:
    store = Store(url)
    store.ingest(run_document(1))
    body = _stored_body(url)
    path = Path(url.removeprefix("sqlite:///"))
    assert body in path.read_bytes()
    store.prune(before="2027-01-01T00:00:00Z")
    assert body not in path.read_bytes()


def _stored_body(url: str) -> bytes:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return bytes(connection.execute("SELECT body FROM bodies").fetchone()[0])


def _write(url: str, numbers: range) -> None:
    for number in numbers:
        Store(url).ingest(run_document(1, id=run_id(number)), CATALOGUE)


def test_writers_at_once_lose_nothing(any_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_write, args=(any_url, range(100 * which, 100 * which + 15)))
        for which in (1, 2, 3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    store = Store(any_url)
    assert len(store.runs()) == 45
    assert store.verify().ok


WRITE_FOREVER = """
import sys
sys.path.insert(0, sys.argv[3])
from evidence.conftest import CATALOGUE, run_document, run_id
from ringfence.evidence import Store
store = Store(sys.argv[1])
for number in range(int(sys.argv[2]), 10**9):
    document = run_document(1, id=run_id(number))
    document["hosts"] += [
        {**document["hosts"][0], "name": f"host{i}"} for i in range(300)
    ]
    store.ingest(document, CATALOGUE)
    print(number, flush=True)
"""


@pytest.mark.parametrize("delay_ms", [0, 3, 8, 15, 30])
def test_a_kill_in_the_middle_of_writing_leaves_no_half_run(any_url: str, delay_ms: int) -> None:
    Store(any_url).ingest(run_document(1))
    folder = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOREVER, any_url, "1000", folder],
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline().strip() == b"1000"
    time.sleep(delay_ms / 1000)
    os.kill(process.pid, signal.SIGKILL)
    said = [1000, *map(int, process.stdout.read().split())]
    process.wait(10)
    process.stdout.close()
    store = Store(any_url)
    runs = {run.id for run in store.runs()}
    assert {run_id(number) for number in said} <= runs, "what was acknowledged is there"
    assert len(runs) <= len(said) + 2
    for run in runs:
        assert store.run(run)["run"]["id"] == run
    assert store.verify().ok
    assert store.ingest(run_document(1, id=run_id(5))).new


def test_the_file_is_private(url: str, store: Store) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    assert store.runs() == []
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "expected sqlite:///FILE or postgresql"),
        ("mysql://u:hunter2@db/x", "mysql cannot be kept append-only"),
        ("sqlite://", "keeps nothing"),
        ("sqlite:////proc/nowhere/x.sqlite", "cannot be opened for writing"),
        ("postgresql://u:hunter2@localhost:1/x", "connection"),
    ],
)
def test_a_bad_url_is_one_clear_line_without_the_password(url: str, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason) as error:
        Store(url)
    assert "\n" not in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"not a database" * 100, "file is not a database"), (None, "unable to open database file")],
)
def test_a_file_that_is_no_store_is_refused(
    tmp_path: Path, data: bytes | None, reason: str
) -> None:
    path = tmp_path / "x.sqlite"
    if data is None:
        path.mkdir()
        reason = "cannot be opened for writing"
    else:
        path.write_bytes(data)
    with pytest.raises(StoreError, match=reason):
        Store(f"sqlite:///{path}")


def test_a_store_of_a_newer_ringfence_is_left_alone(url: str) -> None:
    Store(url)
    forge(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="written by a newer ringfence"):
        Store(url)


def test_the_known_revision_is_the_newest_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "ringfence.evidence:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_the_migrations_make_the_tables_that_the_code_speaks_of(any_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from ringfence.evidence.tables import metadata

    Store(any_url)
    engine = create_engine(any_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_fleet_is_taken_in_fast(store: Store) -> None:
    document = run_document(1)
    results = [
        {"id": f"control_{number}", "status": "pass", "expected": number} for number in range(200)
    ]
    document["hosts"] = [
        {"name": f"host{number}", "state": "ok", "message": "", "host": {}, "results": results}
        for number in range(1000)
    ]
    begun = time.process_time()
    store.ingest(document, CATALOGUE)
    assert time.process_time() - begun < 6
