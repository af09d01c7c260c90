# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings, compared with what boto3 makes of the same pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _s3_listing as listing
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import S3Error
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_heads import Target
from botocore.exceptions import ClientError

from tests.s3 import embedded

KEYS = ["a", "a b", "a+b", "a%20b", "a&b<c>\"d'", "é/\U0001f512", "tab\tbed", "x/", "z/ends "]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embedded.server() as started:
        yield started


@pytest.fixture(scope="module")
def bucket(url: str) -> str:
    client, name = embedded.client(url), "listing"
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": embedded.REGION}
    )
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key in KEYS:
        for body in (b"1", b"2"):
            client.put_object(Bucket=name, Key=key, Body=body)
    client.put_object(Bucket=name, Key="gone", Body=b"1")
    client.delete_object(Bucket=name, Key="gone")
    return name


def in_pages_of(size: int, url: str) -> Any:
    """A client that asks for no more at once."""

    def limit(params: dict[str, Any], **_more: Any) -> None:
        params["MaxKeys"] = size

    client = embedded.client(url)
    for call in ("ListObjectsV2", "ListObjectVersions"):
        client.meta.events.register(f"provide-client-params.s3.{call}", limit)
    return client


def all_of(client: Any, bucket: str, prefix: str = "", *, versions: bool = False) -> list[Target]:
    batches = listing.listed(client, bucket, prefix, versions, None, 1)
    return [target for batch in batches for target in batch]


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("prefix", ["", "a", "a ", "é", "none"])
def test_keys_are_those_that_boto3_lists(url: str, bucket: str, size: int, prefix: str) -> None:
    plain = embedded.client(url).list_objects_v2(Bucket=bucket, Prefix=prefix)
    expected = [Target(row["Key"]) for row in plain.get("Contents", ())]
    assert all_of(in_pages_of(size, url), bucket, prefix) == expected
    assert len(expected) == sum(key.startswith(prefix) for key in KEYS)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_versions_are_those_that_boto3_lists(url: str, bucket: str, size: int) -> None:
    plain = embedded.client(url).list_object_versions(Bucket=bucket)
    expected = [Target(row["Key"], row["VersionId"]) for row in plain["Versions"]]
    assert all_of(in_pages_of(size, url), bucket, versions=True) == expected
    assert len(expected) == 2 * len(KEYS) + 1


@pytest.mark.parametrize("after", KEYS)
def test_a_listing_begins_after_a_key(url: str, bucket: str, after: str) -> None:
    found = listing.listed(embedded.client(url), bucket, "", False, Target(after), 1000)
    assert [target.key for batch in found for target in batch] == [
        key for key in sorted(KEYS) if key > after
    ]


def test_others_get_pages_as_ever_by_the_same_client(url: str, bucket: str) -> None:
    client = embedded.client(url)
    batches = listing.listed(client, bucket, "", False, None, 1)
    next(batches)
    assert client.list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"][0]["Size"] == 1


def test_what_s3_refuses_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        all_of(embedded.client(url), "not-there")


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"<Error><Code>InternalError</Code></Error>", ClientError), (b"<ListBucketRes", Exception)],
    ids=["an error that came as 200", "no XML"],
)
def test_what_is_no_page_is_no_empty_bucket(
    url: str, bucket: str, body: bytes, error: type[Exception]
) -> None:
    with embedded.FaultyWay(url, lambda *_which: _answer(body)) as way, pytest.raises(error):
        all_of(_once(way.url), bucket)


@pytest.mark.parametrize("versions", [False, True])
def test_a_listing_that_does_not_go_on_is_refused(url: str, bucket: str, versions: bool) -> None:
    body = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
        b"<NextVersionIdMarker>v</NextVersionIdMarker>"
        b"<NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
    )
    with (
        embedded.FaultyWay(url, lambda *_which: _answer(body)) as way,
        pytest.raises(S3Error, match="again and again"),
    ):
        all_of(_once(way.url), bucket, versions=versions)


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _once(url: str) -> Any:
    """A client that gives up at once."""
    client = embedded.client(url)
    client.meta.events.unregister("needs-retry.s3", unique_id="retry-config-s3")
    return client


@pytest.mark.parametrize(
    ("encoding", "key"), [(b"<EncodingType>url</EncodingType>", "a\nb c"), (b"", "a%0Ab+c")]
)
def test_keys_are_decoded_where_the_service_encodes_them(
    url: str, bucket: str, encoding: bytes, key: str
) -> None:
    body = b"<ListBucketResult>%s<Contents><Key>a%%0Ab+c</Key><VersionId>1</VersionId></Contents>"
    answer = _answer(body % encoding + b"</ListBucketResult>")
    with embedded.FaultyWay(url, lambda *_which: answer) as way:
        assert all_of(_once(way.url), bucket) == [Target(key)]


@pytest.mark.parametrize(
    ("said", "rows", "marker"),
    [
        (b"a%2520b", [b"a%2520b"], "a%20b"),  # encoded, as Amazon has it
        (b"a%20b", [b"a%2520b"], "a%20b"),  # as it is, as Ceph's gateway has it
        (b"a+b", [b"a+b"], "a b"),
        (b"a+b", [b"a+b", b"a%2Bb"], "a+b"),
        (b"a%2Bb", [b"c"], "a+b"),
    ],
)
def test_the_next_page_begins_after_the_last_key(
    url: str, bucket: str, said: bytes, rows: list[bytes], marker: str
) -> None:
    page = b"<ListVersionsResult><EncodingType>url</EncodingType>"
    page += b"".join(b"<Version><Key>%s</Key><VersionId>v</VersionId></Version>" % r for r in rows)
    more = b"<IsTruncated>true</IsTruncated><NextKeyMarker>%s</NextKeyMarker>" % said
    more += b"<NextVersionIdMarker>v</NextVersionIdMarker></ListVersionsResult>"
    asked: list[str] = []

    def fault(_number: int, line: str) -> bytes:
        asked.append(line)
        return _answer(page + (b"</ListVersionsResult>" if len(asked) > 1 else more))

    with embedded.FaultyWay(url, fault) as way:
        all_of(_once(way.url), bucket, versions=True)
    query = parse_qs(asked[1].split()[1].partition("?")[2])
    assert query["key-marker"] == [marker]
