# SPDX-License-Identifier: GPL-3.0-or-later
"""A small signed repository on a host, with one package that brings a service."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.fleet import Fleet
from tests.hosts.playing import sh

_CONTROL = """\
Package: ringfence-demo
Version: {version}
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Description: a service for tests
"""
_UNIT = """\
[Service]
ExecStart=/usr/bin/ringfence-demo {argument}
[Install]
WantedBy=multi-user.target
"""
_RELEASE = """\
Origin: Debian
Label: Debian-Security
Suite: stable-security
Codename: demo-security
Architectures: amd64
Components: main
Date: {date}
SHA256:
 {digest} {size} Packages
"""
PORT = 8099


class Repository:
    """Built in `folder`, with a key that is thrown away with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "gpg"
        self.home.mkdir(mode=0o700)
        self._gpg("--quick-gen-key", "demo <demo@example.org>", "ed25519", "sign", "never")

    def publish(self, fleet: Fleet, hosts: list[str], version: str, argument: str) -> None:
        """Put this version, and no other, before these hosts."""
        out = self.folder / f"v{version}"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        self._package(out, version, argument)
        self._sign(out)
        packed = subprocess.run(
            ["tar", "-C", str(out), "-cz", "."], check=True, capture_output=True
        ).stdout
        data = base64.b64encode(packed).decode()
        for host in hosts:
            sh(
                fleet,
                host,
                "rm -rf /srv/demo; mkdir -p /srv/demo; cd /srv/demo; base64 -d <<'END' | tar -xz\n"
                f"{data}\nEND\n",
            )

    def use(self, fleet: Fleet, host: str) -> None:
        """Serve it on the host, and make it a source there."""
        key = base64.b64encode(self._gpg("--export")).decode()
        sh(
            fleet,
            host,
            f"mkdir -p /etc/apt/keyrings; echo {key} | base64 -d > /etc/apt/keyrings/demo.gpg\n"
            "echo 'deb [signed-by=/etc/apt/keyrings/demo.gpg] "
            f"http://127.0.0.1:{PORT}/ ./' > /etc/apt/sources.list.d/demo.list\n"
            "systemd-run -q --collect --unit=demo-repository "
            f"python3 -m http.server --bind 127.0.0.1 --directory /srv/demo {PORT}\n"
            f"for turn in $(seq 20); do ss -Hltn sport = :{PORT} | grep -q . && break; "
            "sleep 0.5; done",
        )

    def _package(self, out: Path, version: str, argument: str) -> None:
        tree = self.folder / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        for folder in ("DEBIAN", "usr/bin", "usr/lib/systemd/system"):
            (tree / folder).mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(_CONTROL.format(version=version))
        shutil.copy("/usr/bin/sleep", tree / "usr/bin/ringfence-demo")
        unit = tree / "usr/lib/systemd/system/ringfence-demo.service"
        unit.write_text(_UNIT.format(argument=argument))
        package = out / f"ringfence-demo_{version}_amd64.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-b", str(tree), str(package)],
            check=True,
            capture_output=True,
        )
        data = package.read_bytes()
        (out / "Packages").write_text(
            f"{_CONTROL.format(version=version)}Filename: ./{package.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        )

    def _sign(self, out: Path) -> None:
        data = (out / "Packages").read_bytes()
        date = subprocess.run(
            ["date", "-Ru"], check=True, capture_output=True, text=True
        ).stdout.strip()
        text = _RELEASE.format(date=date, digest=hashlib.sha256(data).hexdigest(), size=len(data))
        (out / "Release").write_text(text)
        self._gpg("--clearsign", "-o", str(out / "InRelease"), str(out / "Release"))

    def _gpg(self, *arguments: str) -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "-q", "--passphrase", ""]
        done = subprocess.run(
            [*argv, "--pinentry-mode", "loopback", *arguments], check=True, capture_output=True
        )
        return done.stdout
