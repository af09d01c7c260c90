# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The keys of a bucket, listed page by page.

boto3 signs, sends and repeats the requests. What it makes of each object in a page, a dict with
dates, costs twice as much as asking for that object by HEAD: so the keys are taken out of a page
before boto3 reads the rest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from ansible_collections.ringfence.hosting.plugins.module_utils._s3_client import S3Error
from ansible_collections.ringfence.hosting.plugins.module_utils._s3_heads import Target

_CALLS = ("ListObjectsV2", "ListObjectVersions")
_TAKEN, _MARKER = "RingfenceTargets", "RingfenceMarker"
_ROWS = frozenset({"Contents", "Version", "DeleteMarker"})
_listing: ContextVar[bool] = ContextVar("_listing", default=False)


def listed(
    client: Any, bucket: str, prefix: str, versions: bool, after: Target | None, size: int
) -> Iterator[list[Target]]:
    """Batches of at least `size` objects, in S3's order, those up to `after` left out."""
    for call in _CALLS:
        client.meta.events.register(
            f"before-parse.s3.{call}", _take_keys, unique_id=f"ringfence-{call}"
        )
    batch: list[Target] = []
    pages = _version_pages if versions else _object_pages
    for page in pages(client, bucket, prefix, after):
        batch.extend(page)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _object_pages(
    client: Any, bucket: str, prefix: str, after: Target | None
) -> Iterator[list[Target]]:
    start = {"StartAfter": after.key} if after else {}
    names = {"ContinuationToken": "NextContinuationToken"}
    return _pages(client.list_objects_v2, {"Bucket": bucket, "Prefix": prefix}, start, names)


def _version_pages(
    client: Any, bucket: str, prefix: str, after: Target | None
) -> Iterator[list[Target]]:
    start = {"KeyMarker": after.key, "VersionIdMarker": after.version} if after else {}
    names = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
    return _pages(client.list_object_versions, {"Bucket": bucket, "Prefix": prefix}, start, names)


def _pages(
    call: Callable[..., Mapping[str, Any]],
    what: Mapping[str, str],
    start: Mapping[str, str],
    names: Mapping[str, str],
) -> Iterator[list[Target]]:
    """`names` are those of the options that ask for the next page, and where a page says them."""
    while True:
        page = _asked(call, **what, **start)
        yield page[_TAKEN]
        if not page.get("IsTruncated"):
            return
        following = {option: page[said] for option, said in names.items()}
        if _MARKER in page:
            following["KeyMarker"] = page[_MARKER]
        if following == start:
            raise S3Error(f"{what['Bucket']}: the service lists the same objects again and again")
        start = following


def _asked(call: Callable[..., Mapping[str, Any]], **options: str) -> Mapping[str, Any]:
    # Who else lists by the same client gets pages as boto3 makes them.
    before = _listing.set(True)
    try:
        return call(**options)
    finally:
        _listing.reset(before)


def _take_keys(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_more: Any
) -> None:
    """Take the objects out of a page's XML; what is no page is left to boto3. Delete markers hold
    nothing that could be encrypted."""
    if not _listing.get() or response_dict["status_code"] != 200:
        return
    try:
        page = ElementTree.fromstring(response_dict["body"])  # noqa: S314 - as boto3 parses it
    except ElementTree.ParseError:
        return
    space = page.tag[: page.tag.find("}") + 1]
    encoded = page.findtext(f"{space}EncodingType") == "url"
    rows = [child for child in page if child.tag.removeprefix(space) in _ROWS]
    customized_response_dict[_TAKEN] = [
        _target(row, space, encoded) for row in rows if not row.tag.endswith("DeleteMarker")
    ]
    marker = page.findtext(f"{space}NextKeyMarker")
    if marker and encoded:
        keys = {_target(row, space, encoded).key for row in rows}
        customized_response_dict[_MARKER] = _marker(marker, keys)
    page[:] = [child for child in page if child.tag.removeprefix(space) not in _ROWS]
    response_dict["body"] = ElementTree.tostring(page)


def _marker(said: str, keys: Set[str]) -> str:
    """The last key of a page. Ceph's gateway says it as it is, where others encode it."""
    known = [one for one in (said, unquote_plus(said)) if one in keys]
    return max(known, key=str.encode, default=unquote_plus(said))


def _target(row: ElementTree.Element, space: str, encoded: bool) -> Target:
    key = row.findtext(f"{space}Key") or ""
    # Some services give a version to the rows of a plain listing, too.
    version = "" if row.tag.endswith("Contents") else row.findtext(f"{space}VersionId")
    return Target(unquote_plus(key) if encoded else key, version or "")
