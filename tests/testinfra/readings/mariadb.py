# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of mariadb show on a hosting server, asked with the client of Debian's."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_LATE = "/etc/mysql/mariadb.conf.d/99-weak.cnf"


def _sql(read: str, right: str, wrong: str = "", by_hand: str = "") -> Reading:
    return Reading(
        read=f'mariadb -N -B -e "{read}"',
        right=right,
        wrong=f'mariadb -e "{wrong}"' if wrong else "true",
        by_hand=f'mariadb -e "{by_hand}"' if by_hand else "",
        hosted=True,
    )


def _variable(name: str, right: str, wrong: str = "true") -> Reading:
    return Reading(
        read=f"mariadb -N -B -e 'SELECT @@GLOBAL.{name}'", right=right, wrong=wrong, hosted=True
    )


_COUNT = "SELECT COUNT(*) FROM mysql.user WHERE "
_TLS = f"""openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=db -batch \
    -keyout /etc/mysql/weak.key -out /etc/mysql/weak.pem 2> /dev/null
chown mysql /etc/mysql/weak.key
cat > {_LATE} <<'END'
[mariadbd]
bind-address = 0.0.0.0
ssl-cert = /etc/mysql/weak.pem
ssl-key = /etc/mysql/weak.key
tls-version = TLSv1.1,TLSv1.2
END
systemctl restart mariadb"""

READINGS = {
    # What needs a restart comes first: it would undo what is only told to the running server.
    "mariadb_tls_versions": _variable("tls_version", "TLSv1.2,TLSv1.3", _TLS),
    "mariadb_network": Reading(
        read="ss -Hltn 'sport = :3306' | awk '{print $4}'",
        right="127.0.0.1:3306",
        wrong="true",
        by_hand=f"sed -i '/^bind-address/d' {_LATE}; systemctl restart mariadb",
        hosted=True,
    ),
    "mariadb_secure_files": _variable("secure_file_priv", "/usr/lib/mysql/"),
    "mariadb_symbolic_links": _variable("have_symlink", "DISABLED"),
    "mariadb_anonymous": _sql(_COUNT + "User = ''", "0", "CREATE USER ''@localhost"),
    "mariadb_passwords": _sql(
        "SELECT JSON_VALUE(Priv, '$.account_locked') FROM mysql.global_priv WHERE User = 'nopass'",
        "1",
        "CREATE USER nopass@localhost",
        "ALTER USER nopass@localhost ACCOUNT LOCK",
    ),
    "mariadb_remote_administrators": _sql(
        _COUNT + "Super_priv = 'Y' AND Host <> 'localhost'",
        "0",
        "CREATE USER boss@'%' IDENTIFIED BY 'test-only'; GRANT ALL ON *.* TO boss@'%'",
        "RENAME USER boss@'%' TO boss@localhost",
    ),
    "mariadb_file_privilege": _sql(
        _COUNT + "File_priv = 'Y' AND User LIKE 'site%'",
        "0",
        "GRANT FILE ON *.* TO site_shop@localhost",
    ),
    "mariadb_global_privileges": _sql(
        _COUNT + "Select_priv = 'Y' AND User NOT IN ('root', 'mysql')",
        "0",
        by_hand="REVOKE ALL ON *.* FROM boss@localhost",
    ),
    "mariadb_system_databases": _sql(
        "SELECT COUNT(*) FROM mysql.db WHERE Db = 'mysql'",
        "0",
        "GRANT SELECT ON mysql.* TO site_blog@localhost",
        "REVOKE ALL ON mysql.* FROM site_blog@localhost",
    ),
    "mariadb_test_database": _sql(
        "SELECT COUNT(*) FROM mysql.db WHERE Db LIKE 'test%'",
        "0",
        "GRANT ALL ON test.* TO PUBLIC; GRANT ALL ON test.* TO ''@localhost",
    ),
    "mariadb_remote_tls": _sql(
        "SELECT JSON_VALUE(Priv, '$.ssl_type') FROM mysql.global_priv WHERE User = 'far'",
        "1",
        "CREATE USER far@'10.%' IDENTIFIED BY 'test-only'",
        "ALTER USER far@'10.%' REQUIRE SSL",
    ),
    "mariadb_local_files": _variable("local_infile", "0"),
    "mariadb_refused_sign_ins": _variable(
        "log_warnings", "2", "mariadb -e 'SET GLOBAL log_warnings = 0'"
    ),
    "mariadb_query_log": _variable("general_log", "0", "mariadb -e 'SET GLOBAL general_log = ON'"),
    "mariadb_audit": Reading(
        read="mariadb -e 'CREATE USER marked@localhost; DROP USER marked@localhost'; "
        "journalctl --sync; journalctl -q -t mysql-server_auditing | grep -c 'CREATE USER marked'",
        right="1",
        wrong="true",
        hosted=True,
    ),
    "mariadb_data_folder": Reading(
        read="stat -c '%a %U' /var/lib/mysql",
        right="750 mysql",
        wrong="chmod 755 /var/lib/mysql",
        hosted=True,
    ),
    "mariadb_configuration_files": Reading(
        read="stat -c '%a %U:%G' /etc/mysql/mariadb.conf.d/60-galera.cnf",
        right="644 root:root",
        wrong="chmod 666 /etc/mysql/mariadb.conf.d/60-galera.cnf",
        hosted=True,
    ),
    "mariadb_credentials": Reading(
        read="stat -c '%a %U:%G' /root/.my.cnf",
        right="600 root:root",
        wrong="echo '[client]' > /root/.my.cnf; chmod 644 /root/.my.cnf",
        hosted=True,
    ),
}
