# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Enrols an account on the host, and takes an enrolment back.

The secret is made here and leaves the host once, encrypted to a key that the controller made for
this one enrolment: whatever is logged on the way holds nothing that can be read. It counts only
when a first code has shown that the app has it; until then it lies where PAM does not look.
"""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
import time
from contextlib import suppress

from ansible_collections.ringfence.hosting.plugins.module_utils import _totp, _totp_host
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import Limits, TotpError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp_policy import STATE_FOLDER

PENDING_FOLDER = "/var/lib/ringfence/second-factor-pending"

_OPENSSL = "/usr/bin/openssl"
_PADDING = ("-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256")


def require_enrollable(host: Host, account: str) -> None:
    """Raises TotpError where `account` is not there or is enrolled already."""
    _totp.checked_name(account)
    if account not in _totp_host.accounts(host):
        raise TotpError(f"account '{account}': there is none of that name on this host")
    if _totp_host.state_of(host, account) is not None:
        raise TotpError(
            f"account '{account}' is enrolled already; for a lost token run second_factor_reset.yml"
        )
    if not os.access(host.real(_OPENSSL), os.X_OK):
        raise TotpError(f"{_OPENSSL} is not there; install the package openssl")


def begin(host: Host, account: str, limits: Limits, recovery_codes: int, public_key: str) -> str:
    """Make a secret and keep it pending. Returns it and its recovery codes, encrypted, in base64.

    What is encrypted to `public_key` (PEM) is the secret and the codes, a line each.
    """
    require_enrollable(host, account)
    secret = _totp.new_secret()
    codes = _totp.new_recovery_codes(recovery_codes)
    for_controller = sealed("\n".join([secret, *codes]), public_key)
    _make_folder(host, PENDING_FOLDER)
    pending = _totp.render(secret, codes, limits)
    replace_file(host, _pending_path(account), pending.encode(), 0o600)
    return for_controller


def confirm(host: Host, account: str, code: str, limits: Limits, operator: str) -> None:
    """Enrol `account`, `code` having shown that its app holds the pending secret.

    The code is used up by this. Raises TotpError for a code that is not the one.
    """
    path = _pending_path(account)
    data = host.read(path)
    if data is None:
        raise TotpError(f"account '{account}' has no enrolment under way")
    require_enrollable(host, account)
    pending = _totp.parse(data.decode("ascii", "replace"))
    used = _totp.step_of_code(pending.secret, code, time.time())
    _make_folder(host, STATE_FOLDER)
    state = _totp.render(pending.secret, pending.recovery_codes, limits, used)
    replace_file(host, _totp_host.state_path(account), state.encode(), 0o600)
    abandon(host, account)
    _totp_host.note(host, "enrolled", account, operator)


def abandon(host: Host, account: str) -> None:
    """Forget a pending secret."""
    with suppress(FileNotFoundError):
        os.unlink(host.real(_pending_path(account)))


def reset(host: Host, account: str, reason: str, operator: str, *, check: bool) -> bool:
    """Take the enrolment of `account` back, its recovery codes with it. Returns whether it had one.

    The account itself may be gone from the host.
    """
    if not reason.strip() or not reason.isprintable():
        raise TotpError("reason: expected one printable line that says why, such as 'phone lost'")
    leftovers = [
        f"{folder}/{name}"
        for folder in (STATE_FOLDER, PENDING_FOLDER)
        for name in host.names(folder)
        # PAM writes its new state beside the old one, under the name and a tilde.
        if name == _totp.checked_name(account) or name.startswith(f"{account}~")
    ]
    if not leftovers or check:
        return bool(leftovers)
    # First the record: a reset that cannot be written down is not made.
    _totp_host.note(host, "reset", account, operator, reason.strip())
    for path in leftovers:
        with suppress(FileNotFoundError):
            os.unlink(host.real(path))
    return True


def _pending_path(account: str) -> str:
    return f"{PENDING_FOLDER}/{_totp.checked_name(account)}"


def _make_folder(host: Host, path: str) -> None:
    os.makedirs(host.real(path), mode=0o700, exist_ok=True)
    found = host.attributes(path)
    if found is None or found.kind != "directory" or found.uid != 0 or found.mode & 0o077:
        raise TotpError(f"{path}: expected a folder of root's that only root can enter")


def sealed(text: str, public_key: str) -> str:
    """`text` encrypted by RSA-OAEP: Python's own library has no public-key encryption."""
    with tempfile.NamedTemporaryFile(prefix="ringfence-", suffix=".pem") as key:
        key.write(public_key.encode())
        key.flush()
        argv = [_OPENSSL, "pkeyutl", "-encrypt", "-pubin", "-inkey", key.name, *_PADDING]
        return base64.b64encode(_piped(argv, text.encode())).decode()


def _piped(argv: list[str], data: bytes) -> bytes:
    """Like Host.output, but for bytes; what is secret goes through the pipe."""
    done = subprocess.run(argv, input=data, capture_output=True, timeout=30, check=False)
    if done.returncode != 0:
        raise HostError("openssl could not encrypt the secret for the controller")
    return done.stdout
