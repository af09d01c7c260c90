# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that backs up to the gateway by our program, and what may befall it on the way."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any, cast

from ansible_collections.ringfence.hosting.plugins.module_utils import _backup_host
from ansible_collections.ringfence.hosting.plugins.plugin_utils import restic_program

from tests.s3.embedded import FaultyWay
from tests.s3.radosgw import REGION, Gateway, Key

BUCKET, CLIENT, SITE = "fault-backups", "acme", "shop"
PASSWORD = "a-made-up-repository-password"
_CONSTANTS = ("SETTINGS", "STATE", "CACHE")


class Host:
    """The program of a host with folders of its own, and a repository behind the gateway."""

    def __init__(self, s3: Gateway, key: Key, folder: Path) -> None:
        self.s3, self.key, self.folder = s3, key, folder
        self.live, self.state = folder / "live", folder / "state"
        self.live.mkdir()
        self.settings = folder / "settings" / CLIENT
        self.settings.mkdir(parents=True)
        self.program = folder / "ringfence-backup"
        # Of its own too: the checkout may lie in a folder that a test hides.
        self.restic_folder = Path(shutil.copy2(restic_program.program(), folder / "restic")).parent
        self.program.write_text(self._source())
        self.aim(s3.url)
        self.restic("init")

    def aim(self, url: str, *, password: str = PASSWORD, key: Key | None = None) -> None:
        """Settings as the role writes them."""
        key = key or self.key
        site = {"site": SITE, "paths": [str(self.live)], "exclude": [], "database": None}
        job = {
            "client": CLIENT,
            "repository": f"s3:{url}/{BUCKET}/{CLIENT}",
            "region": REGION,
            "host": "web1",
            "sites": [site],
        }
        files = {
            "job.json": json.dumps(job),
            "password": password,
            "key": _backup_host.key_file_text(key.access, key.secret),
        }
        for name, text in files.items():
            (self.settings / name).write_text(text)

    def write(self, megabytes: int, name: str = "new.bin") -> None:
        """New data that no earlier backup has."""
        (self.live / name).write_bytes(os.urandom(megabytes << 20))

    def start(self, *before: str) -> subprocess.Popen[str]:
        """Start the program in a process group of its own; `before` is what runs it."""
        return subprocess.Popen(
            [*before, "/usr/bin/python3", str(self.program), "run", CLIENT],
            env={**os.environ, "PATH": f"{self.restic_folder}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *before: str) -> tuple[int, str]:
        """Run it to its end: exit code, and all it said."""
        running = self.start(*before)
        said, _nothing = running.communicate(timeout=400)
        return running.returncode, said

    def run_and_kill(self, after: float) -> bool:
        """Run it and kill all of it `after` seconds; whether it was not done by then."""
        running = self.start()
        time.sleep(after)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        return running.returncode == -signal.SIGKILL

    def restic(self, *words: str, **options: Any) -> str:
        """What restic says, asked without any fault between; `url` is another way to S3."""
        url = options.pop("url", self.s3.url)
        with _backup_host.opened(
            f"s3:{url}/{BUCKET}/{CLIENT}",
            PASSWORD,
            self.key.access,
            self.key.secret,
            region=REGION,
            cache=str(self.folder / "own-cache"),
        ) as repository:
            return _backup_host.restic(
                repository, *words, program=restic_program.program(), **options
            )

    def snapshots(self) -> set[str]:
        """Their ids."""
        rows = json.loads(self.restic("snapshots", "--json", "--no-lock"))
        return {row["id"] for row in rows}

    def objects(self) -> set[str]:
        """What lies in the bucket, but for locks."""
        pages = self.s3.client(self.key).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {
            row["Key"]
            for page in pages
            for row in page.get("Contents", [])
            if "/locks/" not in row["Key"]
        }

    def check(self) -> None:
        """Raises BackupError where not all data of all backups can be read and is right."""
        self.restic("check", "--read-data", "--no-lock")

    def _source(self) -> str:
        text = Path(str(_backup_host.__file__)).read_text(encoding="utf-8")
        for name in _CONSTANTS:
            place = str(self.folder / name.lower())
            text, count = re.subn(rf'^{name} = ".*"$', f"{name} = {place!r}", text, flags=re.M)
            assert count == 1, name
        return text


class WrongClock(FaultyWay):
    """A way on which everything happens as for a host whose clock is `seconds` ahead.

    What the host signs is signed again for that time, and the answers are dated as it sees them.
    """

    def __init__(self, url: str, key: Key, seconds: int) -> None:
        super().__init__(url, lambda _number, _line: None)
        self._key, self._off = key, timedelta(seconds=seconds)

    async def _pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        later = _Later(writer, self._off)
        if b"Credential=" not in head:  # nobody's, such as a question for the time
            await super()._pass_on(head, body, cast("asyncio.StreamWriter", later))
            return
        signer = _Signer(head.decode(), self._key, datetime.now(UTC) + self._off)
        out = cast("asyncio.StreamWriter", later)
        await super()._pass_on(signer.head().encode(), signer.body(body), out)


class _Later:
    """Dates the head of an answer back, so that the host's clock seems ahead."""

    def __init__(self, writer: asyncio.StreamWriter, off: timedelta) -> None:
        self._writer, self._off = writer, off

    def write(self, data: bytes) -> None:
        self._writer.write(re.sub(rb"(?im)^Date: ([^\r]+)", self._moved, data, count=1))

    def _moved(self, found: re.Match[bytes]) -> bytes:
        seen = parsedate_to_datetime(found[1].decode()) - self._off
        return b"Date: " + format_datetime(seen, usegmt=True).encode()


class _Signer:
    """Signs a request with a header of signature version 4 again, as if it was made at `moment`."""

    def __init__(self, head: str, key: Key, moment: datetime) -> None:
        found = re.search(r"Credential=[^/]+/\d+/([^,]+), ?SignedHeaders=([^,]+)", head)
        assert found, "the request is not signed"
        self._key, self._names = key, found[2]
        self._stamp = moment.strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{self._stamp[:8]}/{found[1]}"
        self._head = re.sub(r"(?im)^(X-Amz-Date: )[^\r]+", rf"\g<1>{self._stamp}", head)
        self.signature = self._seal("AWS4-HMAC-SHA256", _sha256(self._canonical().encode()))

    def head(self) -> str:
        value = (
            f"AWS4-HMAC-SHA256 Credential={self._key.access}/{self._scope},"
            f"SignedHeaders={self._names},Signature={self.signature}"
        )
        return re.sub(r"(?im)^(Authorization: )[^\r]+", lambda old: old[1] + value, self._head)

    def body(self, body: bytes) -> bytes:
        """Each chunk is signed too, over the signature before it, where the head says so."""
        if "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" not in self._head:
            return body
        made, before = b"", self.signature
        while body:
            line, _end, rest = body.partition(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            digests = f"{before}\n{_sha256(b'')}\n{_sha256(rest[:size])}"
            before = self._seal("AWS4-HMAC-SHA256-PAYLOAD", digests)
            made += b"%x;chunk-signature=%s\r\n" % (size, before.encode())
            made += rest[: size + 2]
            body = rest[size + 2 :]
        return made

    def _canonical(self) -> str:
        line, *rows = self._head.rstrip("\r\n").split("\r\n")
        method, target, _version = line.split(" ")
        path, _mark, query = target.partition("?")
        split = (row.partition(":") for row in rows)
        given = {name.strip().lower(): value.strip() for name, _colon, value in split}
        asked = sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)
        lines = "".join(f"{name}:{given[name]}\n" for name in self._names.split(";"))
        content = given["x-amz-content-sha256"]
        return f"{method}\n{path}\n{'&'.join(asked)}\n{lines}\n{self._names}\n{content}"

    def _seal(self, kind: str, text: str) -> str:
        secret = f"AWS4{self._key.secret}".encode()
        for part in self._scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        whole = f"{kind}\n{self._stamp}\n{self._scope}\n{text}"
        return hmac.digest(secret, whole.encode(), "sha256").hex()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
