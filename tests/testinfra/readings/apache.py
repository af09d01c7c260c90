# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of apache show on a hosting server: by what the running Apache answers."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_WEAK = "/etc/apache2/conf-enabled/a-weak.conf"
_HAND = "/etc/apache2/conf-enabled/hand.conf"
_PLAIN = "/var/www/plain/public"
_ASK = "curl -sk --max-time 20 --resolve '*:443:127.0.0.1'"
_HELLO = "openssl s_client -connect 127.0.0.1:443 -servername plain.example"


def _status(path: str, right: str, wrong: str = "true", *, site: str = "plain") -> Reading:
    return Reading(
        read=f"{_ASK} -o /dev/null -w '%{{http_code}}' 'https://{site}.example{path}'",
        right=right,
        wrong=wrong,
        hosted=True,
    )


def _header(name: str, right: str, wrong: str = "true") -> Reading:
    return Reading(
        read=f"{_ASK} -D - -o /dev/null -H 'Connection: Keep-Alive' https://plain.example/ "
        f"| grep -i '^{name}:' | tr -d '\\r'",
        right=f"{name}: {right}",
        wrong=wrong,
        hosted=True,
    )


def _written(name: str, right: str, wrong: str) -> Reading:
    """What nothing but the configuration tells at once."""
    return Reading(
        read=f"grep -h '^{name} {right.split('=')[0]}' /etc/apache2/conf-enabled/zz-ringfence.conf",
        right=f"{name} {right}",
        wrong=wrong,
        hosted=True,
    )


def _tls(options: str, wrong: str) -> Reading:
    """A handshake that must fail."""
    return Reading(
        read=f"{_HELLO} {options} < /dev/null 2>&1 | grep -c 'Cipher is (NONE)'",
        right="1",
        wrong=wrong,
        hosted=True,
    )


_NOBODY = """cat > /etc/apache2/sites-enabled/000-nobody.conf <<'END'
<VirtualHost *:80>
    Redirect 403 /
</VirtualHost>
<VirtualHost *:443>
    SSLEngine on
    SSLCertificateFile /etc/ssl/certs/plain.example.pem
    SSLCertificateKeyFile /etc/ssl/private/plain.example.key
    Redirect 403 /
</VirtualHost>
END"""
_NO_OVERRIDES = "; ".join(
    f'printf \'<Directory "/var/www/{site}/public/wp-content/uploads">\\n'
    f"AllowOverride AuthConfig Limit Nonfatal=Override\\n</Directory>\\n' >> {_HAND}"
    for site in ("shop", "blog")
)
_UPLOADS = "/var/www/shop/public/wp-content/uploads"
_MAIN = "/etc/apache2/apache2.conf"

READINGS = {
    "apache_version_hidden": _header("Server", "Apache"),
    "apache_signature": Reading(
        read=f"{_ASK} https://plain.example/nothing.html | grep -c '<address>'",
        right="0",
        wrong="true",
        hosted=True,
    ),
    "apache_trace": Reading(
        read=f"{_ASK} -o /dev/null -w '%{{http_code}}' -X TRACE https://plain.example/",
        right="405",
        wrong="sed -i 's/^TraceEnable .*/TraceEnable On/' "
        "/etc/apache2/conf-available/security.conf",
        hosted=True,
    ),
    "apache_tls_versions": _tls(
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        r"sed -i 's/^\s*SSLProtocol .*/SSLProtocol all/; "
        r"s/^\s*SSLSessionTickets .*/SSLSessionTickets on/' /etc/apache2/mods-available/ssl.conf",
    ),
    "apache_tls_ciphers": _tls("-tls1_2 -cipher AES256-SHA", "true"),
    "apache_tls_session_tickets": Reading(
        read=f"{_HELLO} -tls1_2 < /dev/null 2>&1 | grep -c 'TLS session ticket:'",
        right="0",
        wrong="true",
        hosted=True,
    ),
    "apache_tls_renegotiation": _written(
        "SSLInsecureRenegotiation", "Off", f"echo 'SSLInsecureRenegotiation on' > {_WEAK}"
    ),
    "apache_content_types": _header("X-Content-Type-Options", "nosniff"),
    "apache_framing": _header("X-Frame-Options", "SAMEORIGIN"),
    "apache_referrer": _header("Referrer-Policy", "strict-origin-when-cross-origin"),
    "apache_strict_transport": _header("Strict-Transport-Security", "max-age=15768000"),
    "apache_directory_listing": _status("/empty/", "403", f"mkdir -p {_PLAIN}/empty"),
    "apache_symlinks": _status(
        "/link.txt",
        "403",
        f"ln -sfn /etc/hostname {_PLAIN}/link.txt; chown -h site_plain: {_PLAIN}/link.txt",
    ),
    "apache_server_includes": Reading(
        read=f"{_ASK} https://plain.example/x.shtml | grep -c '^ran'",
        right="0",
        wrong=f'a2enmod -q include; printf \'<Directory "/var/www/">\\nOptions +Includes\\n'
        f"</Directory>\\n' >> {_WEAK}; echo '<!--#exec cmd=\"echo ran\" -->' > {_PLAIN}/x.shtml",
        hosted=True,
    ),
    "apache_hidden_files": _status("/.git/config", "403"),
    "apache_copies": _status("/wp-config.php.bak", "403", site="shop"),
    "apache_uploads": _status("/wp-content/uploads/x.php", "403", site="shop"),
    "apache_upload_overrides": Reading(
        read=f"echo 'ForceType text/made-up' > {_UPLOADS}/.htaccess; echo x > {_UPLOADS}/x.txt; "
        f"{_ASK} -o /dev/null -w '%{{content_type}}' "
        "https://shop.example/wp-content/uploads/x.txt; "
        f"rm {_UPLOADS}/.htaccess {_UPLOADS}/x.txt",
        right="text/plain",
        wrong="true",
        by_hand=_NO_OVERRIDES,
        hosted=True,
    ),
    "apache_status_pages": Reading(
        read="grep -c '^\\s*Require local' /etc/apache2/mods-enabled/status.conf",
        right="1",
        wrong="sed -i 's/Require local/Require all granted/' "
        "/etc/apache2/mods-available/status.conf",
        by_hand="sed -i 's/Require all granted/Require local/' "
        "/etc/apache2/mods-available/status.conf",
        hosted=True,
    ),
    "apache_unknown_names": Reading(
        read="curl -sk -o /dev/null -o /dev/null -w '%{http_code} ' http://127.0.0.1/ https://127.0.0.1/",
        right="403 403",
        wrong="true",
        by_hand=_NOBODY,
        hosted=True,
    ),
    "apache_root": Reading(
        read=f"sed -n '/^<Directory .>/,/^<.Directory>/p' {_MAIN} | grep -c 'Require all denied'",
        right="1",
        wrong=f"sed -i '/^<Directory .>/,/^<.Directory>/s/all denied/all granted/' {_MAIN}",
        by_hand=f"sed -i '/^<Directory .>/,/^<.Directory>/s/all granted/all denied/' {_MAIN}",
        hosted=True,
    ),
    "apache_webdav": Reading(
        read=f"{_ASK} -o /dev/null -w '%{{http_code}}' -X PROPFIND https://plain.example/about.html",
        right="405",
        wrong="a2enmod -q dav dav_fs info; printf '<Location /about.html>\\nDav On\\n"
        f"</Location>\\n' > {_HAND}",
        by_hand=f"sed -i '/Location/d; /^Dav On/d' {_HAND}",
        hosted=True,
    ),
    "apache_forward_proxy": Reading(
        read="curl -s -o /dev/null -w '%{http_code}' -x http://127.0.0.1:80 http://nobody.invalid/",
        right="403",
        wrong=f"echo 'ProxyRequests On' >> {_WEAK}",
        hosted=True,
    ),
    "apache_modules": Reading(
        read="apache2ctl -M | grep -c -e info_module -e dav",
        right="0",
        wrong="true",
        by_hand="a2dismod -q -f info dav_fs dav; apache2ctl -k graceful; sleep 2",
        hosted=True,
    ),
    "apache_header_seconds": _written(
        "RequestReadTimeout",
        "header=20-40,MinRate=500",
        r"sed -i 's/^\s*RequestReadTimeout header=.*/RequestReadTimeout header=20,MinRate=1/; "
        r"s/^\s*RequestReadTimeout body=.*/RequestReadTimeout body=0/' "
        "/etc/apache2/mods-available/reqtimeout.conf",
    ),
    "apache_body_seconds": _written("RequestReadTimeout", "body=30,MinRate=500", "true"),
    "apache_wait_seconds": _written("Timeout", "60", "true"),
    "apache_idle_seconds": _header(
        "Keep-Alive",
        "timeout=15, max=100",
        f"sed -i 's/^KeepAliveTimeout .*/KeepAliveTimeout 50/' {_MAIN}",
    ),
    "apache_request_size": Reading(
        read=f"{_ASK} -o /dev/null -w '%{{http_code}}' -H 'Content-Length: 200000000' -d x "
        "https://plain.example/about.html",
        right="413",
        wrong="true",
        hosted=True,
    ),
    "apache_user": Reading(
        read="ps -o user= -C apache2 | sort -u",
        right="root\nwww-data",
        wrong=f"sed -i 's/^User .*/User daemon/' {_MAIN}",
        hosted=True,
    ),
    "apache_access_log": Reading(
        read="curl -s -o /dev/null --resolve weak.example:80:127.0.0.1 http://weak.example/mark; "
        "tail -n 20 /var/log/apache2/access.log | grep -c 'GET /mark'",
        right="1",
        wrong="a2disconf -q other-vhosts-access-log; printf '<VirtualHost *:80>\\n"
        "ServerName weak.example\\n</VirtualHost>\\n' > /etc/apache2/sites-enabled/weak.conf",
        hosted=True,
    ),
    "apache_log_files": Reading(
        read="stat -c '%a %n' /var/log/apache2/plain.access.log",
        right="640 /var/log/apache2/plain.access.log",
        wrong="chmod 644 /var/log/apache2/*.log",
        hosted=True,
    ),
    "apache_configuration_files": Reading(
        read=f"stat -c '%a %U:%G' {_MAIN}",
        right="644 root:root",
        wrong=f"chmod 666 {_MAIN}; systemctl restart apache2",
        hosted=True,
    ),
}
