# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a test host: all that links lead to from the given addresses, as JSON on stdout.

Address -> status, content type, and the body as it came, less what WordPress makes anew for each
answer. Every name is taken to be this host.
"""

import http.client
import json
import re
import socket
import ssl
import sys
from urllib.parse import urldefrag, urljoin, urlsplit

MOST = 1000
NONCES = (
    re.compile(rb'("nonce":|_wpnonce=|name="_wpnonce" value=)"?[0-9a-f]{10}'),
    # One for each answer that embeds a page.
    re.compile(rb'(data-secret=(?:\\?"|&quot;)|#\?secret=)[0-9A-Za-z]{10}'),
    re.compile(rb"(wp-embed-share-(?:tab|description)-(?:wordpress|html)-\d+-)\d+"),
)
# Below a web server's own pages: the version, which visitors are not to be told.
SIGNATURE = re.compile(rb"<hr>\s*(?:<center>nginx[^<]*</center>|<address>[^<]*</address>)\s*")
LINKS = re.compile(r"""(?:href|src|action)=["']([^"']+)["']|url\(["']?([^"')]+)["']?\)""")
SETS = re.compile(r"""srcset=["']([^"']+)["']""")


# The sites' certificates are of an authority of their own.
UNKNOWN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UNKNOWN.check_hostname = False
UNKNOWN.verify_mode = ssl.CERT_NONE


def fetch(address):
    parts = urlsplit(address)
    plain = socket.create_connection(("127.0.0.1", 443 if parts.scheme == "https" else 80))
    plain.settimeout(60)
    connection = http.client.HTTPConnection(parts.hostname)
    connection.sock = plain
    if parts.scheme == "https":
        connection.sock = UNKNOWN.wrap_socket(plain, server_hostname=parts.hostname)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", path or "/")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    for nonce in NONCES:
        body = nonce.sub(rb"\1", body)
    kind = answer.headers.get("Content-Type", "")
    return answer.status, kind, SIGNATURE.sub(b"", body), answer.headers["Location"]


def links(address, kind, body):
    if not kind.startswith(("text/", "application/")):
        return []
    text = body.decode("utf-8", "replace").replace("&amp;", "&").replace("&#038;", "&")
    found = [one or other for one, other in LINKS.findall(text)]
    for several in SETS.findall(text):
        found += [each.split()[0] for each in several.split(",") if each.split()]
    return [urldefrag(urljoin(address, link))[0] for link in found]


def main():
    waiting, found = list(sys.argv[1:]), {}
    own = {urlsplit(address).hostname for address in waiting}
    while waiting:
        address = waiting.pop(0)
        parts = urlsplit(address)
        if address in found or parts.hostname not in own or parts.scheme not in ("http", "https"):
            continue
        if len(found) >= MOST:
            sys.exit(f"more than {MOST} addresses")
        status, kind, body, moved = fetch(address)
        found[address] = [status, kind, f"{moved or ''} {body.decode('latin-1')}"]
        waiting += links(address, kind, body)
        waiting += [urljoin(address, moved)] if moved else []
    print(json.dumps(found))


main()
