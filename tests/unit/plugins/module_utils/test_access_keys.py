# SPDX-License-Identifier: GPL-3.0-or-later
"""authorized_keys as sshd reads it; fingerprints as ssh-keygen prints them."""

from __future__ import annotations

import base64
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_keys as keys
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxFgSQO66K38PKJ5PeCsQn0wPuZfpe+VfliOXgcGOJt"


def blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(struct.pack(">I", len(p)) + p for p in parts)).decode()


SK = f"sk-ssh-ed25519@openssh.com {blob(b'sk-ssh-ed25519@openssh.com', bytes(32), b'ssh:')}"
DSA = f"ssh-dss {blob(b'ssh-dss', bytes([128]) + bytes(127), b'q', b'g', b'y')}"


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")
@pytest.mark.parametrize(
    ("kind", "bits"), [("ed25519", 256), ("rsa", 1024), ("rsa", 3072), ("ecdsa", 384)]
)
def test_fingerprint_and_bits_are_ssh_keygens(tmp_path: Path, kind: str, bits: int) -> None:
    path = tmp_path / "key"
    make = ["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-C", "a b", "-f", path]
    subprocess.run(make, check=True)
    said = subprocess.run(
        ["ssh-keygen", "-lf", f"{path}.pub"], check=True, capture_output=True, text=True
    ).stdout.split()
    (key,) = keys.parse(Path(f"{path}.pub").read_text())
    assert [str(key.bits), key.fingerprint, *key.comment.split()] == said[:4]


def test_hardware_keys_old_kinds_and_options() -> None:
    text = "\n".join(
        [
            "# a comment",
            f'restrict,from="192.0.2.0/24,!192.0.2.9",command="say \\"hi, you\\"" {ED} ada@x',
            f"verify-required {SK}",
            DSA,
            f"cert-authority,principals=ops {ED}",
            f"\t{ED}   two  words ",
        ]
    )
    first, hardware, old, authority, last = keys.parse(text)
    assert first.options["from"] == ("192.0.2.0/24,!192.0.2.9",)
    assert first.options["command"] == ('say "hi, you"',)
    assert (first.comment, first.line) == ("ada@x", 2)
    assert (hardware.bits, "verify-required" in hardware.options) == (256, True)
    assert (old.type, old.bits) == ("ssh-dss", 1024)
    assert authority.authority
    assert last.comment == "two  words"


@pytest.mark.parametrize(
    "line",
    ["", "ssh-rsa", "ssh-rsa !!!!", "ssh-rsa AAAA", ED.replace("ssh-ed25519", "ssh-rsa"), "junk x"],
)
def test_what_sshd_would_not_take_is_no_key(line: str) -> None:
    assert keys.parse(line) == []


def test_files_that_are_none_and_files_that_others_write(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    home = tmp_path / "home/ada/.ssh"
    home.mkdir(parents=True)
    assert keys.read(host, "/home/ada/.ssh/authorized_keys") == ([], [])
    path = home / "authorized_keys"
    path.write_text(f"{ED}\n")
    for folder in (home, home.parent):
        folder.chmod(0o755)
    path.chmod(0o600)
    found, odd = keys.read(host, "/home/ada/.ssh/authorized_keys", "/home/ada")
    assert (len(found), odd) == (1, [])
    home.parent.chmod(0o775)
    assert keys.read(host, "/home/ada/.ssh/authorized_keys", "/home/ada")[1] == [
        "writable_by_others"
    ]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(HostError, match="not a plain file"):
        keys.read(host, "/home/ada/.ssh/authorized_keys")
    path.unlink()
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(HostError, match="larger than 1 MiB"):
        keys.read(host, "/home/ada/.ssh/authorized_keys")
