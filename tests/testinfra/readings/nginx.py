# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of nginx show on a host: by `nginx -T`, and by what the running one answers."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_SITE = "/etc/nginx/sites-available/ringfence-test"
# Beside Apache, should it be there; one package and one site serve all the readings.
_INSTALL = rf"""
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nginx-light openssl \
    > /dev/null
rm -f /etc/nginx/sites-enabled/default /etc/nginx/conf.d/00-ringfence.conf
mkdir -p /srv/weak/wp-content/uploads
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=weak.example -batch \
    -keyout /etc/nginx/weak.key -out /etc/nginx/weak.pem 2> /dev/null
chmod 600 /etc/nginx/weak.key
cat > {_SITE} <<'END'
server {{
    listen 127.0.0.1:8090;
    listen 127.0.0.1:8091 ssl;
    server_name weak.example;
    ssl_certificate weak.pem;
    ssl_certificate_key weak.key;
    root /srv/weak;
    location ~ \.php$ {{ fastcgi_pass unix:/nowhere; }}
}}
END
ln -sf {_SITE} /etc/nginx/sites-enabled/ringfence-test
sed -i '/ssl_protocols\|server_tokens\|access_log/d' /etc/nginx/nginx.conf
systemctl restart nginx
"""
_BY_HAND = f"sed -i 's|^server {{|server {{ include snippets/ringfence-site.conf;|' {_SITE}; "
_NAMES = (
    "'server { listen 127.0.0.1:8090 default_server; listen 127.0.0.1:8091 ssl default_server; "
)
_REFUSES = f"{_NAMES}ssl_reject_handshake on; return 444; }}'"


def _option(name: str, right: str, wrong: str) -> Reading:
    return Reading(
        read=f"nginx -T | sed -n 's/^\\s*\\({name} .*;\\).*/\\1/p' | sort -u",
        right=f"{name} {right};",
        wrong=f"sed -i '/^http {{/a {name} {wrong};' /etc/nginx/nginx.conf",
    )


def _absent_option(name: str, right: str) -> Reading:
    """nginx's own default is wrong already."""
    return Reading(
        read=f"nginx -T | sed -n 's/^\\s*\\({name} .*;\\).*/\\1/p' | sort -u",
        right=f"{name} {right};",
        wrong="true",
    )


def _request(port: int, head: str) -> str:
    """The answer of the running nginx to a request, without a client of HTTP."""
    return (
        'python3 -c \'import socket,sys; c=socket.create_connection(("127.0.0.1",'
        f'{port}),5); c.sendall(sys.argv[1].encode().decode("unicode_escape").encode()); '
        f'print(c.recv(4096).decode())\' "{head}\\r\\nConnection: close\\r\\n\\r\\n"'
    )


def _get(path: str) -> str:
    return (
        _request(8090, f"GET {path} HTTP/1.1\\r\\nHost: weak.example") + " | head -1 | tr -d '\\r'"
    )


def _header(name: str, right: str) -> Reading:
    request = _request(8090, "GET / HTTP/1.1\\r\\nHost: weak.example")
    return Reading(
        read=f"systemctl reload nginx; sleep 1; {request} | grep -i '^{name}:' | tr -d '\\r'",
        right=f"{name}: {right}",
        wrong="true",
    )


def _denied(path: str, by_hand: str = "true") -> Reading:
    return Reading(read=_get(path), right="HTTP/1.1 403 Forbidden", wrong="true", by_hand=by_hand)


_CIPHERS = ":".join(
    f"ECDHE-{kind}-{suite}"
    for suite, kinds in (
        ("AES128-GCM-SHA256", ("ECDSA", "RSA")),
        ("AES256-GCM-SHA384", ("ECDSA", "RSA")),
        ("CHACHA20-POLY1305", ("ECDSA", "RSA")),
    )
    for kind in kinds
)

READINGS = {
    "nginx_version_hidden": Reading(
        read=_request(8090, "GET / HTTP/1.1") + " | grep ^Server: | tr -d '\\r'",
        right="Server: nginx",
        wrong=_INSTALL,
    ),
    "nginx_tls_versions": _option("ssl_protocols", "TLSv1.2 TLSv1.3", "TLSv1 TLSv1.1 TLSv1.2"),
    "nginx_tls_ciphers": _absent_option("ssl_ciphers", _CIPHERS),
    "nginx_tls_session_tickets": _absent_option("ssl_session_tickets", "off"),
    "nginx_tls_early_data": _option("ssl_early_data", "off", "on"),
    "nginx_content_types": _header("X-Content-Type-Options", "nosniff"),
    "nginx_framing": _header("X-Frame-Options", "SAMEORIGIN"),
    "nginx_referrer": _header("Referrer-Policy", "strict-origin-when-cross-origin"),
    "nginx_strict_transport": Reading(
        read=r"printf 'GET / HTTP/1.0\r\nHost: weak.example\r\n\r\n' | openssl s_client -quiet "
        r"-connect 127.0.0.1:8091 -servername weak.example | grep -i ^strict | tr -d '\r'",
        right="Strict-Transport-Security: max-age=15768000",
        wrong="true",
    ),
    "nginx_directory_listing": _option("autoindex", "off", "on"),
    "nginx_hidden_files": _denied(
        "/.git/config",
        f"{_BY_HAND} echo {_REFUSES} > /etc/nginx/sites-enabled/000-nobody; "
        "systemctl reload nginx; sleep 1",
    ),
    "nginx_copies": _denied("/wp-config.php.bak"),
    "nginx_uploads": _denied("/wp-content/uploads/x.php"),
    "nginx_unknown_names": Reading(
        read=_request(8090, "GET / HTTP/1.1\\r\\nHost: nobody.example") + " | wc -c",
        right="1",
        wrong="true",
        by_hand="true",
    ),
    "nginx_header_seconds": _absent_option("client_header_timeout", "15s"),
    "nginx_body_seconds": _absent_option("client_body_timeout", "30s"),
    "nginx_send_seconds": _absent_option("send_timeout", "30s"),
    "nginx_idle_seconds": _absent_option("keepalive_timeout", "65s"),
    "nginx_request_size": _option("client_max_body_size", "128m", "4g"),
    "nginx_user": Reading(
        read="nginx -T | grep '^user '",
        right="user www-data;",
        wrong="sed -i 's/^user .*/user root;/' /etc/nginx/nginx.conf",
    ),
    "nginx_access_log": _option("access_log", "/var/log/nginx/access.log", "off"),
    "nginx_log_files": Reading(
        read="stat -c '%a %U:%G' /var/log/nginx/access.log",
        right="640 www-data:adm",
        wrong="touch /var/log/nginx/access.log; chown www-data:adm /var/log/nginx/access.log; "
        "chmod 644 /var/log/nginx/access.log",
    ),
    "nginx_configuration_files": Reading(
        read="stat -c '%a %U:%G' /etc/nginx/nginx.conf",
        right="644 root:root",
        wrong="chmod 666 /etc/nginx/nginx.conf; systemctl reload nginx; sleep 1",
    ),
}
