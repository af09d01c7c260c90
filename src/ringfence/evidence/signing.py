# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures with SSH keys, by OpenSSH's own ssh-keygen."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from ringfence.evidence.errors import StoreError

NAMESPACE = "ringfence-evidence"
_TIMEOUT_S = 30


def sign(statement: bytes, key: Path) -> str:
    """The armoured signature of `statement` with `key`. Raises StoreError.

    `key` is a private key, or a public one whose private half an agent holds. A key that asks
    for a passphrase is refused: nobody may be there to answer.
    """
    result = _ssh_keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], statement)
    if result.returncode:
        raise StoreError(f"{key}: cannot sign: {_last_line(result)}")
    return result.stdout.decode("ascii")


def verify(statement: bytes, signature: str, allowed_signers: Path) -> str:
    """The principal whose key signed `statement`. Raises StoreError with the reason.

    `allowed_signers` is a file as in ssh-keygen(1), ALLOWED SIGNERS.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sig", encoding="utf-8") as file:
        file.write(signature)
        file.flush()
        common = ["-s", file.name, "-f", str(allowed_signers)]
        found = _ssh_keygen(["-Y", "find-principals", *common], b"")
        principal = found.stdout.decode("utf-8", "replace").splitlines()[:1]
        if found.returncode or not principal:
            raise StoreError(f"signed by a key that is not in {allowed_signers}")
        options = ["-I", principal[0], "-n", NAMESPACE]
        result = _ssh_keygen(["-Y", "verify", *options, *common], statement)
        if result.returncode:
            raise StoreError(f"signature does not fit: {_last_line(result)}")
    return principal[0]


def _ssh_keygen(arguments: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments],
            input=data,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
            start_new_session=True,  # without a terminal a passphrase is an error, not a wait
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise StoreError("ssh-keygen is not installed: expected OpenSSH 8.9 or later") from None
    except subprocess.TimeoutExpired:
        raise StoreError(f"ssh-keygen gave no answer within {_TIMEOUT_S} s") from None


def _last_line(result: subprocess.CompletedProcess[bytes]) -> str:
    lines = (result.stderr or result.stdout).decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else f"ssh-keygen ended with {result.returncode}"
