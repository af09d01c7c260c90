# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mechanisms by name: a new one adds its line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if (
    TYPE_CHECKING
):  # Ansible ships to the host what it sees imported; load() imports what a run needs
    from ansible_collections.ringfence.hosting.plugins.module_utils._mechanisms import (  # noqa: F401
        account,
        aide,
        allow_list,
        apache_folder,
        apache_header,
        apache_module,
        apache_option,
        apache_site,
        apparmor,
        apt_option,
        apt_source,
        audit_rule,
        audit_state,
        auditd_option,
        automatic_bans,
        banner,
        boot_menu,
        certificate,
        default_setting,
        deleted_libraries,
        file_mode,
        file_walk,
        hidden_processes,
        home,
        kernel_argument,
        kernel_module,
        listening,
        log_files,
        log_system,
        login_defs,
        login_shell,
        mariadb_account,
        mariadb_audit,
        mariadb_variable,
        mount_option,
        nftables_ruleset,
        nginx_header,
        nginx_option,
        nginx_site,
        package,
        package_updates,
        pam,
        pam_unix,
        password_age,
        php_master,
        php_option,
        php_pool,
        php_version,
        reboot_needed,
        rescue_shell,
        rsyslog,
        service,
        session_limit,
        sshd_access,
        sshd_host_key,
        sshd_option,
        su_group,
        sudoers,
        sysctl,
        systemd_option,
        time_synchronisation,
        unwanted_service,
        update_origins,
        vulnerabilities,
    )


def load(name: str) -> Any:
    """The mechanism called `name`. Raises ImportError for one that does not exist."""
    return importlib.import_module(f"{__package__}._mechanisms.{name}")
