# SPDX-License-Identifier: GPL-3.0-or-later
"""Old archives move into a repository, and go from where they were only when that is sure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.plugin_utils import backup_care, restic_program
from botocore.exceptions import ClientError

from tests.s3 import embedded

pytestmark = pytest.mark.hosts

_NAME = "2023/shop backup.zip"


class _Place:
    def __init__(self, url: str, folder: Path) -> None:
        self.client, self.program = embedded.client(url), restic_program.program()
        for name in ("repository", "old"):
            self.client.create_bucket(
                Bucket=name,
                CreateBucketConfiguration={"LocationConstraint": embedded.REGION},
                ObjectLockEnabledForBucket=name == "old",
            )
        key = _backup_host.key_file_text(embedded.ACCESS_KEY, embedded.SECRET_KEY)
        for name, text in (("password", "no-secret"), ("key", key)):
            (folder / name).write_text(text)
        self.repository = _backup_host.Repository(
            f"s3:{url}/repository/acme",
            str(folder / "password"),
            str(folder / "key"),
            embedded.REGION,
            cache=str(folder / "cache"),
        )
        _backup_host.restic(self.repository, "init", program=self.program)

    def store(self, body: bytes, **more: Any) -> str:
        """An archive, as it lies there before; its version."""
        stored = self.client.put_object(Bucket="old", Key=_NAME, Body=body, **more)
        return str(stored["VersionId"])

    def adopt(self, *, remove: bool, check: bool = False) -> dict[str, Any]:
        return backup_care.adopt(
            self.client, "old", _NAME, self.repository, self.program, remove=remove, check=check
        )

    def there(self, version: str) -> bool:
        try:
            self.client.head_object(Bucket="old", Key=_NAME, VersionId=version)
        except ClientError:
            return False
        return True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Place]:
    with embedded.server() as url:
        yield _Place(url, tmp_path_factory.mktemp("adopt"))


def test_it_goes_once_its_copy_was_read_back(place: _Place) -> None:
    body = os.urandom(2_000_000)
    version = place.store(body)
    assert place.adopt(remove=True, check=True) == {
        "name": _NAME,
        "adopted": True,
        "removed": True,
    }
    stays = place.adopt(remove=False)
    assert (stays["adopted"], place.there(version)) == (True, True)
    goes = place.adopt(remove=True)
    assert (goes, place.there(version)) == (
        {"name": _NAME, "adopted": False, "removed": True},
        False,
    )
    dumped = subprocess.run(
        [place.program, "dump", stays["snapshot"], "/old%2F2023%2Fshop%20backup.zip"],
        env=place.repository.environment(),
        capture_output=True,
        check=True,
    )
    assert dumped.stdout == body


def test_it_stays_where_its_copy_is_another(place: _Place) -> None:
    version = place.store(b"the archive")
    etag = place.client.head_object(Bucket="old", Key=_NAME)["ETag"]
    command = ["backup", "--stdin", "--stdin-filename=/old%2F2023%2Fshop%20backup.zip"]
    subprocess.run(
        [place.program, *command, f"--tag={backup_care._tag('old', _NAME, etag)}"],
        env=place.repository.environment(),
        input=b"something else",
        capture_output=True,
        check=True,
    )
    with pytest.raises(_backup_host.BackupError, match="keep the archive"):
        place.adopt(remove=True)
    assert place.there(version)


def test_what_a_lock_holds_is_named_and_stays(place: _Place) -> None:
    until = datetime.now(UTC) + timedelta(days=2)
    version = place.store(b"locked", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    with pytest.raises(_backup_host.BackupError, match=r"was adopted, and S3 does not delete it"):
        place.adopt(remove=True)
    assert place.there(version)
