# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of every kind, on a real S3 API, over ways that break."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_client as connecting
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_heads as heads
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_inventory_rows as reading
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_object_audit as auditing
from hypothesis import given
from hypothesis import strategies as st

from tests.s3 import embedded

OURS = "arn:aws:kms:eu-west-1:111122223333:key/2f3a6f2e-1a63-4c1c-9d1b-7a3a3c6a0f11"
OTHER = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embedded.server() as started:
        yield started


@pytest.fixture
def client(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", embedded.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", embedded.SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return embedded.client(url)


@pytest.fixture
def bucket(client: Any, request: pytest.FixtureRequest) -> str:
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": embedded.REGION}
    )
    return name


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(heads, "_LONGEST_PAUSE_S", 0.05)


def put(client: Any, bucket: str, key: str, kms_key: str = "", **options: Any) -> None:
    if kms_key:
        options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
    client.put_object(Bucket=bucket, Key=key, Body=b"x", **options)


def order(bucket: str, **options: Any) -> auditing.Order:
    usual = {
        "prefix": "",
        "versions": False,
        "encryption": ["SSE-KMS"],
        "keys": [],
        "source": "head",
        "offenders": None,
        "state": None,
        "connections": 4,
        "rate": 0,
    }
    return auditing.Order(bucket=bucket, **{**usual, **options})


def run(url: str, what: auditing.Order) -> dict[str, Any]:
    return auditing.audit(connecting.connect(url, embedded.REGION, None, None), what)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_kind_is_told_apart(url: str, client: Any, bucket: str, tmp_path: Path) -> None:
    put(client, bucket, "ours", OURS)
    put(client, bucket, "other", OTHER)
    put(client, bucket, "plain as it was")
    put(client, bucket, "ä/+?&#%41 \U0001f512", ServerSideEncryption="AES256")
    found = run(url, order(bucket, keys=[OURS], offenders=str(tmp_path / "bad")))
    assert (found["objects"], found["offenders"], found["unknown"]) == (4, 3, 0)
    assert found["kms_keys"] == {OURS: 1, OTHER: 1}
    assert found["kinds"]["SSE-KMS"] == 2
    assert not found["clean"]
    why = {row["key"]: row["why"] for row in rows(tmp_path / "bad")}
    assert why["other"] == f"another key: {OTHER}"
    assert why["ä/+?&#%41 \U0001f512"] == "SSE-S3, expected SSE-KMS"
    assert "ours" not in why
    assert (tmp_path / "bad").stat().st_mode & 0o777 == 0o600


def test_a_key_is_known_by_its_id_too(url: str, client: Any, bucket: str) -> None:
    put(client, bucket, "ours", OURS)
    assert run(url, order(bucket, keys=[OURS.rpartition("/")[2]]))["clean"]


def test_an_empty_bucket_has_nothing_that_is_wrong(url: str, bucket: str) -> None:
    found = run(url, order(bucket))
    assert (found["objects"], found["clean"], found["requests"]) == (0, True, 0)


def test_old_versions_are_looked_at_where_asked_for(url: str, client: Any, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(client, bucket, "grown", ServerSideEncryption="AES256")
    put(client, bucket, "grown", OURS)
    put(client, bucket, "dropped", ServerSideEncryption="AES256")
    client.delete_object(Bucket=bucket, Key="dropped")
    assert run(url, order(bucket))["kinds"] == {"SSE-KMS": 1}
    assert run(url, order(bucket, versions=True))["kinds"] == {"SSE-KMS": 1, "SSE-S3": 2}


def test_only_what_begins_with_the_prefix(url: str, client: Any, bucket: str) -> None:
    put(client, bucket, "in/1", OURS)
    put(client, bucket, "out/1")
    assert run(url, order(bucket, prefix="in/"))["objects"] == 1


def test_a_customers_key_is_found_out() -> None:
    target = heads.Target("theirs")
    said = "InvalidRequest: The object was stored using a form of Server Side Encryption."
    ledger = auditing.Ledger({}, None, None)
    demand = auditing.Demand(frozenset({"SSE-KMS"}))
    auditing.judge(demand, ledger, target, heads.Answer(400), lambda _target: said)
    auditing.judge(demand, ledger, target, heads.Answer(400), lambda _target: "BadRequest: no")
    assert (ledger.tally.kinds["SSE-C"], ledger.tally.offenders, ledger.tally.unknown) == (1, 1, 1)


@pytest.mark.parametrize(
    ("answer", "unknown", "gone"),
    [
        (heads.Answer(403), 1, 0),
        (heads.Answer(0, {}, "connection lost"), 1, 0),
        (heads.Answer(418), 1, 0),
        (heads.Answer(404), 0, 1),
        (heads.Answer(405), 0, 1),
    ],
)
def test_what_was_not_seen_is_no_pass(answer: heads.Answer, unknown: int, gone: int) -> None:
    ledger = auditing.Ledger({}, None, None)
    demand = auditing.Demand(frozenset(auditing.KINDS))
    auditing.judge(demand, ledger, heads.Target("k"), answer, lambda _target: "")
    assert (ledger.tally.unknown, ledger.tally.gone) == (unknown, gone)
    assert not ledger.tally.kinds


def test_the_wrong_region_is_said() -> None:
    answer = heads.Answer(301, {"x-amz-bucket-region": "eu-central-1"})
    ledger = auditing.Ledger({}, None, None)
    with pytest.raises(auditing.AuditError, match="eu-central-1"):
        auditing.judge(
            auditing.Demand(frozenset()), ledger, heads.Target("k"), answer, lambda _target: ""
        )


@pytest.mark.parametrize("what", [503, 429, 500, "drop", "slow"])
def test_a_bad_way_loses_no_object(url: str, client: Any, bucket: str, what: int | str) -> None:
    for number in range(60):
        put(client, bucket, f"{number:03}", OURS)

    def fault(number: int, line: str) -> int | str | None:
        return what if line.startswith("HEAD") and number % 3 == 0 else None

    with embedded.FaultyWay(url, fault) as way:
        found = run(way.url, order(bucket))
    assert (found["objects"], found["unknown"], found["clean"]) == (60, 0, True)
    assert found["requests"] >= 60


def test_what_stays_busy_is_not_known(url: str, client: Any, bucket: str, tmp_path: Path) -> None:
    put(client, bucket, "fine", OURS)
    put(client, bucket, "stuck", OURS)

    def fault(_number: int, line: str) -> int | None:
        return 503 if "stuck" in line else None

    with embedded.FaultyWay(url, fault) as way:
        found = run(way.url, order(bucket, offenders=str(tmp_path / "bad")))
    assert (found["objects"], found["unknown"], found["clean"]) == (2, 1, False)
    assert [row["why"] for row in rows(tmp_path / "bad")] == [
        "not known: still busy after 8 tries: 503"
    ]


def test_connections_stay_open(url: str, client: Any, bucket: str) -> None:
    for number in range(40):
        put(client, bucket, f"{number:03}", OURS)
    with embedded.FaultyWay(url, lambda _number, _line: None) as way:
        run(way.url, order(bucket, connections=4))
        assert way.connections <= 5


def test_the_pace_is_kept(url: str, client: Any, bucket: str) -> None:
    for number in range(30):
        put(client, bucket, f"{number:03}", OURS)
    started = time.monotonic()
    run(url, order(bucket, rate=60))
    assert time.monotonic() - started >= 29 / 60


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("versions", [False, True])
@pytest.mark.parametrize("at", [1, 25, 60])
def test_a_run_goes_on_where_one_was_killed(
    url: str,
    client: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    versions: bool,
    at: int,
) -> None:
    if versions:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(30):
        put(client, bucket, f"{number:03}")
        if versions:
            put(client, bucket, f"{number:03}", OURS)
    monkeypatch.setattr(auditing, "_batch_size", lambda _order: 7)
    files = {"offenders": str(tmp_path / "bad"), "state": str(tmp_path / "state")}
    what = order(bucket, versions=versions, **files)
    monkeypatch.setattr(auditing, "listed", _in_pages_of(7, auditing.listed))
    judge, seen = auditing.judge, 0

    def dies(*arguments: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            raise _KilledError
        judge(*arguments)

    monkeypatch.setattr(auditing, "judge", dies)
    total = 60 if versions else 30
    if at <= total:
        with pytest.raises(_KilledError):
            run(url, what)
    monkeypatch.setattr(auditing, "judge", judge)
    found = run(url, what)
    assert found["resumed"] == (at > 7 and at <= total)
    assert (found["objects"], found["offenders"]) == (total, 30)
    names = [(row["key"], row["version"]) for row in rows(tmp_path / "bad")]
    assert len(names) == len(set(names)) == 30
    assert not (tmp_path / "state").exists()


def _in_pages_of(size: int, listed: Any) -> Any:
    """S3 sends a thousand at once; here `size`, by a client that asks for no more."""

    def few(client: Any, *arguments: Any) -> Any:
        def limit(params: dict[str, Any], **_more: Any) -> None:
            params["MaxKeys"] = size

        for call in ("ListObjectsV2", "ListObjectVersions"):
            client.meta.events.register(f"provide-client-params.s3.{call}", limit)
        return listed(client, *arguments)

    return few


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "is no state"), ("{}", "is no state"), ('{"version": 1}', "is no state")],
)
def test_a_broken_state_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "state").write_text(text)
    with pytest.raises(auditing.AuditError, match=told):
        auditing.Ledger({}, None, str(tmp_path / "state"))
    assert (tmp_path / "state").read_text() == text


def test_the_state_of_another_audit_is_refused(tmp_path: Path) -> None:
    ledger = auditing.Ledger({"bucket": "one"}, None, str(tmp_path / "state"))
    ledger.checkpoint(heads.Target("a"))
    with pytest.raises(auditing.AuditError, match="another audit"):
        auditing.Ledger({"bucket": "two"}, None, str(tmp_path / "state"))


def inventory(
    client: Any, bucket: str, lines: list[list[str]], *, harmed: bool = False, **settings: Any
) -> None:
    """An inventory as Amazon delivers it; see its documentation for manifest and columns."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(lines)
    data = gzip.compress(text.getvalue().encode())
    where = f"inventories/{bucket}/daily"
    client.put_object(Bucket=bucket, Key=f"{where}/data/1.csv.gz", Body=data)
    digest = hashlib.md5(data + b"!" * harmed, usedforsecurity=False).hexdigest()
    manifest = {
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, EncryptionStatus",
        "fileFormat": "CSV",
        "files": [{"key": f"{where}/data/1.csv.gz", "MD5checksum": digest}],
    }
    for day in ("2026-01-01T01-00Z", "2026-01-02T01-00Z"):
        body = json.dumps(manifest).encode()
        client.put_object(Bucket=bucket, Key=f"{where}/{day}/manifest.json", Body=body)
    client.put_object(Bucket=bucket, Key=f"{where}/2026-01-03T01-00Z/manifest.checksum", Body=b"")
    configuration = {
        "Id": "daily",
        "IsEnabled": True,
        "IncludedObjectVersions": "All",
        "OptionalFields": ["EncryptionStatus"],
        "Schedule": {"Frequency": "Daily"},
        "Destination": {
            "S3BucketDestination": {
                "Bucket": f"arn:aws:s3:::{bucket}",
                "Format": "CSV",
                "Prefix": "inventories",
            }
        },
    } | settings
    client.put_bucket_inventory_configuration(
        Bucket=bucket, Id="daily", InventoryConfiguration=configuration
    )


LINES = [
    ["b", "in/a%2Bb+c%C3%A4", "v2", "true", "false", "SSE-KMS"],
    ["b", "in/old", "v1", "false", "false", "NOT-SSE"],
    ["b", "in/gone", "v3", "true", "true", ""],
    ["b", "in/plain", "v4", "true", "false", "SSE-S3"],
    ["b", "out/plain", "v5", "true", "false", "SSE-S3"],
]


@pytest.mark.parametrize(("versions", "kinds"), [(False, 2), (True, 3)])
def test_an_inventory_is_read(
    url: str, client: Any, bucket: str, tmp_path: Path, versions: bool, kinds: int
) -> None:
    inventory(client, bucket, LINES)
    options = {"source": "auto", "prefix": "in/", "versions": versions}
    found = run(url, order(bucket, offenders=str(tmp_path / "bad"), **options))
    assert (found["source"], found["as_of"]) == ("inventory", "2026-01-02T01-00Z")
    assert found["objects"] == kinds
    assert found["kinds"]["SSE-KMS"] == 1
    assert "in/plain" in {row["key"] for row in rows(tmp_path / "bad")}
    assert found["requests"] == 0


def test_an_inventory_does_not_tell_the_key(url: str, client: Any, bucket: str) -> None:
    put(client, bucket, "in/a+b cä", OTHER)
    inventory(client, bucket, LINES)
    found = run(url, order(bucket, source="auto", prefix="in/", keys=[OURS]))
    assert (found["requests"], found["offenders"]) == (1, 2)
    assert found["kms_keys"] == {OTHER: 1}


@pytest.mark.parametrize(
    "settings",
    [
        {"IsEnabled": False},
        {"OptionalFields": ["Size"]},
        {"Filter": {"Prefix": "elsewhere/"}},
    ],
)
def test_an_inventory_that_does_not_tell_is_not_taken(
    url: str, client: Any, bucket: str, settings: dict[str, Any]
) -> None:
    inventory(client, bucket, LINES, **settings)
    assert run(url, order(bucket, source="auto"))["source"] == "head"
    with pytest.raises(auditing.AuditError, match="has no finished inventory"):
        run(url, order(bucket, source="inventory"))


@pytest.mark.parametrize(("source", "answers"), [("auto", True), ("inventory", False)])
def test_inventories_may_be_out_of_reach(
    url: str, client: Any, bucket: str, source: str, answers: bool
) -> None:
    put(client, bucket, "ours", OURS)
    denied = (
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 46\r\n\r\n"
        b"<Error><Code>AccessDenied</Code></Error>      "
    )

    def fault(_number: int, line: str) -> bytes | None:
        return denied if "?inventory" in line else None

    with embedded.FaultyWay(url, fault) as way:
        if answers:
            assert run(way.url, order(bucket, source=source))["clean"]
        else:
            with pytest.raises(Exception, match="AccessDenied"):
                run(way.url, order(bucket, source=source))


ROWS = st.tuples(
    st.sampled_from(["in/a", "in/b%2C+c", "out/a", "%69n/d"]),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from(["true", "false", ""]),
    st.sampled_from(["true", "false", ""]),
    st.sampled_from([*auditing.KINDS, "", "SSE-NEW"]),
)


@given(
    st.lists(ROWS, min_size=1),
    st.sampled_from(["", "in/", "none/"]),
    st.booleans(),
    st.sets(st.sampled_from(auditing.KINDS[:3])),
    st.sampled_from([frozenset(), frozenset({OURS})]),
)
def test_rows_together_count_as_one_by_one(
    lines: list[tuple[str, ...]],
    prefix: str,
    versions: bool,
    kinds: set[str],
    keys: frozenset[str],
) -> None:
    demand, asked = auditing.Demand(frozenset(kinds), keys), []
    with tempfile.NamedTemporaryFile() as bad:
        ledger = auditing.Ledger({}, bad.name, None)
        block = reading.Block(*zip(*lines, strict=True))
        scope = auditing.Scope(prefix, versions)
        found = list(auditing.enter_inventory([block], scope, demand, ledger))
        ledger.close()
        wrong = [(row["key"], row["version"], row["encryption"]) for row in rows(Path(bad.name))]
    told: Counter[str] = Counter()
    expected: list[tuple[str, str, str | None]] = []
    unknown = 0
    for code, version, latest, marker, kind in lines:
        key = unquote_plus(code)
        if marker == "true" or not key.startswith(prefix) or not (versions or latest == "true"):
            continue
        named = version if versions else ""
        if keys and kind in kinds and kind in ("SSE-KMS", "DSSE-KMS"):
            asked.append(heads.Target(key, named))
        elif kind in auditing.KINDS:
            told[kind] += 1
            expected += [(key, named, kind)] * (kind not in kinds)
        else:
            unknown += 1
            expected.append((key, named, None))
    assert (found, wrong) == (asked, expected)
    assert ledger.tally.kinds == told
    assert ledger.tally.unknown == unknown
    assert ledger.tally.offenders == len(expected) - unknown
    assert ledger.tally.objects == told.total() + unknown


def test_an_inventory_in_another_shape_is_refused(url: str, client: Any, bucket: str) -> None:
    inventory(client, bucket, [*LINES, ["b", "cut off"]])
    with pytest.raises(auditing.AuditError, match=r"1\.csv\.gz: .*a row of 2 columns, expected 6"):
        run(url, order(bucket, source="inventory"))


def test_a_harmed_inventory_is_refused(url: str, client: Any, bucket: str) -> None:
    inventory(client, bucket, LINES, harmed=True)
    with pytest.raises(auditing.AuditError, match="is damaged"):
        run(url, order(bucket, source="inventory"))


def test_a_hostile_key_stays_in_its_line(tmp_path: Path) -> None:
    ledger = auditing.Ledger({}, str(tmp_path / "bad"), None)
    ledger.not_judged(heads.Target('a\n{"key": "b"}\u2028'), "why")
    ledger.close()
    assert [row["key"] for row in rows(tmp_path / "bad")] == ['a\n{"key": "b"}\u2028']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", (200, {}, True)),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", (404, {}, True)),
        (
            b"HTTP/1.1 200 OK\r\nX-Amz-Server-Side-Encryption:  aws:kms \r\nETag: 1\r\n\r\n",
            (200, {"x-amz-server-side-encryption": "aws:kms"}, False),
        ),
    ],
)
def test_answers_are_parsed(text: bytes, expected: tuple[int, dict[str, str], bool]) -> None:
    assert heads.parse(text) == expected


@pytest.mark.parametrize("text", [b"\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_answer_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"found|invalid"):
        heads.parse(text)


def test_a_real_customers_key(url: str, client: Any, bucket: str) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    put(client, bucket, "theirs", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    found = run(url, order(bucket, encryption=list(auditing.KINDS[:3])))
    assert not found["clean"]
