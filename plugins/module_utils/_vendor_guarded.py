# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Vendors' accounts under a guard: tried with sshd and visudo first, put back on failure."""

from __future__ import annotations

from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _guard,
    _notify,
    _totp_host,
    _validate,
    _vendor_host,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._vendor_access import (
    AGEING,
    GROUP,
    KEYS,
    LOGS,
    SSHD,
    SUDOERS,
    VendorError,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._vendor_host import Plan


def require_taken(host: Host, made: Plan) -> None:
    """Raises VendorError where a file's program would not take it, or not heed it."""
    for path, validator in ((SSHD, "sshd"), (SUDOERS, "sudoers")):
        text = made.files.get(path)
        said = _validate.complaint(host, validator, {path: text.encode()}) if text else None
        if said:
            raise VendorError(f"{path} is refused, nothing was changed: {said}")
    if made.files.get(AGEING):
        _require_ageing(host, str(made.files[AGEING]))
    if made.files.get(SSHD) and made.wanted.open:
        _require_heeded(host, made)


def carry_out(
    host: Host, made: Plan, *, guard_timeout: int, guard_id: str, operator: str
) -> dict[str, Any] | None:
    """Do it. What `_guard.arm` returned where files of sshd or sudo change, else None.

    Raises VendorError or HostError, the files put back.
    """
    guarded = [path for path in (SSHD, SUDOERS) if path in made.files]
    guard = None
    if guarded and guard_timeout:
        try:
            guard = _guard.arm(
                guarded,
                timeout=guard_timeout,
                reason="accounts of third parties",
                nftables=False,
                reload=["ssh"],
                guard_id=guard_id,
                operator=operator,
            )
        except _guard.GuardError as error:
            raise VendorError(f"no guard, so nothing was changed: {error}") from error
    try:
        _vendor_host.carry_out(host, made)
        if SSHD in made.files:
            _notify.carry_out(host, "reload_sshd")
        if SUDOERS in made.files:
            host.output(["visudo", "-c", "-q"])
    except (VendorError, HostError, OSError) as error:
        if guard is not None:
            _put_back(str(guard["id"]), str(error))
        raise
    return guard


def _require_ageing(host: Host, text: str) -> None:
    # It reads a line only where it would work on its path: so of a folder that is not there.
    nothing = "/run/ringfence/nothing"
    argv = ["systemd-tmpfiles", "--clean", f"--prefix={nothing}", "-"]
    done = host.run(argv, stdin=text.replace(LOGS, nothing))
    if done.rc != 0:
        raise VendorError(f"{AGEING} is refused, nothing was changed: {done.complaint()}")


def _require_heeded(host: Host, made: Plan) -> None:
    name = next(iter(made.wanted.open))
    with _totp_host.candidate(host, {SSHD: made.files[SSHD]}) as coming:
        said = coming.effective(name, "192.0.2.1")
    if said.get("authorizedkeysfile") != [f"{KEYS}/%u"]:
        raise VendorError(
            f"sshd would read the keys of {name} elsewhere: another drop-in overrules {SSHD}, or "
            "/etc/ssh/sshd_config does not begin with 'Include /etc/ssh/sshd_config.d/*.conf'; "
            "nothing was changed"
        )
    allowed = [*said.get("allowusers", []), *said.get("allowgroups", [])]
    if allowed and not {name, GROUP} & {word for line in allowed for word in line.split()}:
        made.warnings.append(f"sshd's AllowUsers or AllowGroups do not name {name} nor {GROUP}")


def _put_back(guard_id: str, why: str) -> None:
    try:
        _guard.restore(guard_id, why)
    except _guard.GuardError as error:
        raise VendorError(f"{why}; and {error}") from error
