# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of certificates show on a hosting server, by openssl and what visitors get."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_PEM = "/etc/ssl/certs/plain.example.pem"
_KEY = "/etc/ssl/private/plain.example.key"
_ISSUE = "/root/issue"
# A server that is about to start would read what comes next.
_UP = (
    "for _try in $(seq 300); do curl -sk -o /dev/null https://127.0.0.1/ && break; sleep 0.1; done"
)
# A certificate of the host's own authority, with what is asked for: days, name, bits, hash.
_WRITE_ISSUE = f"""cat > {_ISSUE} <<'END'
set -e
printf 'subjectAltName=DNS:%s\\nbasicConstraints=CA:FALSE\\nextendedKeyUsage=serverAuth\\n' $2 \\
    > /root/x
openssl req -newkey rsa:$3 -nodes -subj /CN=$2 -keyout /root/new.key -out /root/req 2> /dev/null
openssl x509 -req -$4 -days $1 -in /root/req -CA /etc/ssl/certs/sites-ca.pem \\
    -CAkey /etc/ssl/private/sites-ca.key -extfile /root/x -out {_PEM} 2> /dev/null
END"""
_MEND = (
    f"sh {_ISSUE} 365 plain.example 2048 sha256; cp /root/new.key {_KEY}; "
    "cp /etc/ssl/certs/sites-ca.pem /usr/local/share/ca-certificates/sites-ca.crt; "
    "update-ca-certificates > /dev/null 2>&1; systemctl restart apache2"
)
_SHOWN = (
    "openssl s_client -connect 127.0.0.1:443 -servername plain.example < /dev/null 2> /dev/null"
)

READINGS = {
    "certificates_expiry": Reading(
        read=f"openssl x509 -in {_PEM} -noout -checkend $((86400 * 300))",
        right="Certificate will not expire",
        # Names, key and hash are wrong as well, and the key beside it is another one's.
        wrong=f"{_UP}\n{_WRITE_ISSUE}\nsh {_ISSUE} 5 other.example 1024 sha1",
        by_hand=_MEND,
        hosted=True,
    ),
    "certificates_chain": Reading(
        read=f"openssl verify -untrusted {_PEM} {_PEM}",
        right=f"{_PEM}: OK",
        wrong="true",
        by_hand="true",
        hosted=True,
    ),
    "certificates_names": Reading(
        read=f"openssl x509 -in {_PEM} -noout -checkhost plain.example",
        right="Hostname plain.example does match certificate",
        wrong="true",
        by_hand="true",
        hosted=True,
    ),
    "certificates_match": Reading(
        read=f'[ "$(openssl x509 -in {_PEM} -noout -pubkey)" = '
        f'"$(openssl pkey -in {_KEY} -pubout)" ] && echo same',
        right="same",
        wrong="true",
        by_hand="true",
        hosted=True,
    ),
    "certificates_strength": Reading(
        read=f"openssl x509 -in {_PEM} -noout -text | grep -o -m2 -e '([0-9]* bit)' -e 'sha[0-9]*' "
        "| sort",
        right="(2048 bit)\nsha256",
        wrong="true",
        by_hand="true",
        hosted=True,
    ),
    "certificates_key_files": Reading(
        read=f"stat -c '%a %U' {_KEY}",
        right="640 root",
        wrong=f"chmod 644 {_KEY}",
        hosted=True,
    ),
    # Asked for blog.example: tests/hosts/certificates has certbot itself, and an authority.
    "certificates_issued": Reading(
        read="sed -n 's/^ *SSLCertificateFile //p' /etc/apache2/sites-enabled/blog.conf",
        right="/etc/letsencrypt/live/blog.example/fullchain.pem",
        wrong="true",
        by_hand="""mkdir -p /etc/letsencrypt/live/blog.example /etc/letsencrypt/renewal
cp /etc/ssl/certs/blog.example.pem /etc/letsencrypt/live/blog.example/fullchain.pem
touch /etc/letsencrypt/renewal/blog.example.conf
sed -i 's|/etc/ssl/certs/blog.example.pem|/etc/letsencrypt/live/blog.example/fullchain.pem|' \
    /etc/apache2/sites-available/blog.conf
systemctl reload apache2; sleep 1""",
        hosted=True,
    ),
    "certificates_renewal": Reading(
        read="systemctl is-enabled certbot.timer; systemctl is-active certbot.timer",
        right="enabled\nactive",
        # Certbot's own unit, without certbot: it would only ask an authority that is not there.
        wrong="""mkdir -p /etc/letsencrypt/live/shop.example /etc/letsencrypt/renewal
cp /etc/ssl/certs/shop.example.pem /etc/letsencrypt/live/shop.example/fullchain.pem
touch /etc/letsencrypt/renewal/shop.example.conf
sed -i 's|/etc/ssl/certs/shop.example.pem|/etc/letsencrypt/live/shop.example/fullchain.pem|' \
    /etc/apache2/sites-available/shop.conf
printf '[Timer]\\nOnCalendar=daily\\n[Install]\\nWantedBy=timers.target\\n' \
    > /etc/systemd/system/certbot.timer
printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' > /etc/systemd/system/certbot.service
systemctl daemon-reload""",
        hosted=True,
    ),
    "certificates_served": Reading(
        read=f"{_SHOWN} | openssl x509 -noout -fingerprint > /root/a; "
        f"openssl x509 -in {_PEM} -noout -fingerprint | cmp - /root/a && echo same",
        right="same",
        wrong="true",
        by_hand="true",
        hosted=True,
    ),
}
