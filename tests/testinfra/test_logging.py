# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that the role logging has been applied to."""

from __future__ import annotations

import pytest

from tests.testinfra.conftest import Shell
from tests.testinfra.readings import FAMILIES

LOGGING = FAMILIES["logging"]
# journald is in charge here; nothing of the others is on the host.
_NOT_HERE = (
    "logging_one_system",
    "logging_rsyslog_service",
    "logging_rsyslog_file_mode",
    "logging_rsyslog_reception",
    "logging_journal_reception",
    "logging_journal_compression",  # what journald does where nobody has said otherwise
    "logging_files",
)


@pytest.mark.parametrize("name", [name for name in LOGGING if name not in _NOT_HERE])
def test_reading(root: Shell, release: str, name: str) -> None:
    assert root(LOGGING[name].read) == LOGGING[name].expected(release)


def test_journald_alone_keeps_the_log(root: Shell) -> None:
    conf = "systemd-analyze cat-config systemd/journald.conf | grep ^ForwardToSyslog= | tail -1"
    assert root(conf) == "ForwardToSyslog=no"
    assert root("dpkg -s rsyslog || echo none") == "none"


def test_what_is_logged_is_on_the_disk(root: Shell) -> None:
    root("logger --tag ringfence-test 'a line to be found again'; journalctl --sync")
    found = root("journalctl --directory=/var/log/journal -q -t ringfence-test -o cat | tail -1")
    assert found == "a line to be found again"


def test_nobody_else_reads_log_files(root: Shell) -> None:
    open_files = "find /var/log -type f -perm /0137 ! -name '[wb]tmp*' ! -name 'lastlog*'"
    assert root(f"{open_files} ! -name faillog") == ""
    assert root("runuser -u nobody -- cat /var/log/dpkg.log || echo refused") == "refused"
