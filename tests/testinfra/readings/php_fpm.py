# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of php_fpm show on a hosting server, asked of a worker or of the pool's file."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_PROBE = "/var/www/plain/public/probe.php"


# A switch that is on is "1" to PHP.
_SHOW = (
    "echo ini_get($_GET[0]);",
    'echo filter_var(ini_get($_GET[0]), FILTER_VALIDATE_BOOLEAN) ? "On" : "Off";',
)


def _option(name: str, right: str, wrong: str, by_hand: str = "") -> Reading:
    """What a worker of the pool plain says while it serves a page."""
    return Reading(
        read=f"echo '<?php {_SHOW[right in ('On', 'Off')]}' > {_PROBE}; "
        "curl -ks --resolve plain.example:443:127.0.0.1 "
        f"'https://plain.example/probe.php?0={name}'; rm -f {_PROBE}",
        right=right,
        wrong=f"for d in /etc/php/*/fpm/conf.d; do echo '{name} = {wrong}' >> $d/50-weak.ini; done",
        by_hand=by_hand,
        hosted=True,
    )


def _pool(read: str, right: str, wrong: str) -> Reading:
    """A line of the file of the pool plain, which a person mends."""
    path = "$(echo /etc/php/*/fpm/pool.d/plain.conf)"
    return Reading(
        read=f"grep -h '^{read}' {path}",
        right=right,
        wrong=f"sed -i 's|^{read}.*|{wrong}|' {path}",
        by_hand=f"sed -i 's|^{read}.*|{right}|' {path}",
        hosted=True,
    )


def _added(line: str) -> Reading:
    """A line that does not belong into the file of the pool plain, which a person takes out."""
    path = "/etc/php/*/fpm/pool.d/plain.conf"
    return Reading(
        read=f"grep -c '^{line}' {path}",
        right="0",
        wrong=f"sed -i '$a {line}' {path}",
        by_hand=f"sed -i '/^{line}/d' {path}; systemctl restart 'php*-fpm.service'",
        hosted=True,
    )


# Nobody brings that version any more: a package of its name, with nothing in it.
_OLD_PHP = r"""mkdir -p /tmp/old/DEBIAN
printf 'Package: php7.4-fpm\nVersion: 7.4.33-1\nArchitecture: all\nMaintainer: a <a@a.example>\n'\
'Description: nothing\n' > /tmp/old/DEBIAN/control
dpkg-deb -b /tmp/old /tmp/old.deb > /dev/null && dpkg -i /tmp/old.deb > /dev/null"""

READINGS = {
    "php_fpm_user": _pool("user =", "user = site_plain", "user = www-data"),
    "php_fpm_sites": _pool("user =", "user = site_plain", "user = site_shop"),
    "php_fpm_socket": _pool("listen.mode =", "listen.mode = 0660", "listen.mode = 0666"),
    "php_fpm_open_basedir": _pool(
        "php_admin_value.open_basedir. =",
        "php_admin_value[open_basedir] = /var/www/plain",
        "php_admin_value[open_basedir] = /var/www",
    ),
    "php_fpm_sessions": _pool(
        "php_admin_value.session.save_path. =",
        "php_admin_value[session.save_path] = /var/www/plain/sessions",
        "php_admin_value[session.save_path] = /tmp",
    ),
    "php_fpm_extensions": _added("security.limit_extensions = .html"),
    "php_fpm_environment": _added("clear_env = no"),
    "php_fpm_version": Reading(
        read="dpkg -s php7.4-fpm 2>&1 | grep -c ^Status",
        right="0",
        wrong=_OLD_PHP,
        by_hand="dpkg -P php7.4-fpm > /dev/null",
        hosted=True,
    ),
    "php_fpm_reload": Reading(
        read="cat /etc/php/*/fpm/pool.d/00-ringfence.conf | tail -1",
        right="process_control_timeout = 10",
        wrong="true",
        hosted=True,
    ),
    "php_fpm_version_hidden": _option("expose_php", "Off", "On"),
    "php_fpm_display_errors": _option("display_errors", "Off", "On"),
    "php_fpm_display_startup_errors": _option("display_startup_errors", "Off", "On"),
    "php_fpm_log_errors": _option("log_errors", "On", "Off"),
    "php_fpm_trace_arguments": _option("zend.exception_ignore_args", "On", "Off"),
    "php_fpm_remote_include": _option("allow_url_include", "Off", "On"),
    "php_fpm_remote_files": _option(
        "allow_url_fopen",
        "Off",
        "On",
        "for d in /etc/php/*/fpm/conf.d; do echo 'allow_url_fopen = Off' > $d/99-hand.ini; done; "
        "systemctl restart 'php*-fpm.service'",
    ),
    "php_fpm_functions": _option(
        "disable_functions", "dl,passthru,pcntl_exec,popen,proc_open,shell_exec,system", ""
    ),
    "php_fpm_load_extensions": _option("enable_dl", "Off", "On"),
    "php_fpm_cookie_secure": _option("session.cookie_secure", "On", "Off"),
    "php_fpm_cookie_httponly": _option("session.cookie_httponly", "On", "Off"),
    "php_fpm_cookie_samesite": _option("session.cookie_samesite", "Lax", ""),
    "php_fpm_session_strict": _option("session.use_strict_mode", "On", "Off"),
    "php_fpm_session_cookies_only": _option("session.use_only_cookies", "On", "Off"),
    "php_fpm_memory": _option("memory_limit", "512M", "2048M"),
    "php_fpm_upload": _option("upload_max_filesize", "128M", "512M"),
    "php_fpm_post": _option("post_max_size", "128M", "512M"),
    "php_fpm_run_time": _option("max_execution_time", "300", "0"),
    "php_fpm_cache_permission": _option("opcache.validate_permission", "On", "Off"),
    "php_fpm_cache_root": _option("opcache.validate_root", "On", "Off"),
    "php_fpm_cache_interface": _option("opcache.restrict_api", "/nonexistent", ""),
}
