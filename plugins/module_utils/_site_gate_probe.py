# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks what a stranger would ask: does the portal answer, does an admin path open without it.

Requests go to this host itself, as a browser that has never been here would send them: no cookie,
no password. What they show is whether the gate stands in the way of the path, as it is served now.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from urllib.parse import urlsplit

from ansible_collections.ringfence.hosting.plugins.module_utils import _site_gate
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import GateSite

_SECONDS = 20
_PORTAL = "/usr/share/lemonldap-ng/portal/htdocs/index.psgi"
_BEGIN, _END, _PARAMS, _STDIN, _STDOUT = 1, 3, 4, 5, 6


class Answer(NamedTuple):
    """The answer to one request: its status, and the host that it redirects to ("" for none)."""

    path: str
    status: int
    redirected: str


def spellings(path: str) -> list[str]:
    """A path and other ways to write it that a web server takes for the same."""
    bare = path.rstrip("/") or "/"
    encoded = f"/%{ord(bare[1]):02x}{bare[2:]}" if len(bare) > 1 else bare
    return list(dict.fromkeys([path, f"/{bare}", encoded, f"/.{path}", f"/x/..{path}"]))


def asked(domain: str, path: str, addresses: list[str]) -> Answer:
    """GET over TLS at the first of this host's `addresses` that answers. Raises HostError."""
    why = ""
    for address in addresses:
        connection = _Tls(domain, address)
        try:
            connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            for name, value in (
                ("Host", domain),
                ("User-Agent", "ringfence"),
                ("Connection", "close"),
            ):
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            target = urlsplit(response.getheader("Location") or "").hostname or ""
            return Answer(path, response.status, target)
        except (OSError, http.client.HTTPException) as error:
            why = f"{address}: {error}"
        finally:
            connection.close()
    raise HostError(f"https://{domain}{path} cannot be asked on this host: {why}")


def own_addresses(host: Host) -> list[str]:
    """Where this host may be asked: the loopback first, then its own addresses."""
    more = host.run(["hostname", "-I"]).out.split()
    return list(dict.fromkeys(["127.0.0.1", *more]))


def gate_answers(host: Host, site: GateSite) -> list[Answer]:
    """What each gated path of a site, in every spelling, says to a stranger. Raises HostError."""
    addresses = own_addresses(host)
    return [
        asked(site.domains[0], spelling, addresses)
        for path in site.paths
        for spelling in spellings(path)
    ]


def require_portal(host: Host, portal: str) -> None:
    """Raises HostError unless the portal itself, asked at its socket, shows its sign-in page."""
    said = _fastcgi(host.real(_site_gate.SOCKET), {
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "REQUEST_URI": "/",
        "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": portal,
        "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1", "HTTPS": "on", "HTTP_HOST": portal,
        "REMOTE_ADDR": "127.0.0.1", "LLTYPE": "psgi", "SCRIPT_FILENAME": _PORTAL,
    })  # fmt: skip
    if b'name="password"' not in said:
        first = said.decode("utf-8", "replace").partition("\n")[0].strip() or "nothing"
        raise HostError(
            f"the portal shows no sign-in page but says {first}: no site was put behind it; "
            f"journalctl -u {_site_gate.UNIT} says why"
        )


def _fastcgi(path: str, parameters: dict[str, str]) -> bytes:
    """The standard output of one request to a FastCGI server at a Unix socket."""
    pairs = b"".join(
        _length(name) + _length(value) + name.encode() + value.encode()
        for name, value in parameters.items()
    )
    request = _record(_BEGIN, struct.pack(">HB5x", 1, 0)) + _record(_PARAMS, pairs)
    request += _record(_PARAMS, b"") + _record(_STDIN, b"")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(path)
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                return b"".join(body for kind, body in _records(answers) if kind == _STDOUT)
    except OSError as error:
        raise HostError(f"{path} does not answer: {error}") from error


def _records(answers: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each record, to the one that ends the request."""
    while len(head := answers.read(8)) == 8:
        _version, kind, _number, size, padding = struct.unpack(">BBHHBx", head)
        body = answers.read(size)
        answers.read(padding)
        yield kind, body
        if kind == _END:
            return


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def _length(text: str) -> bytes:
    size = len(text.encode())
    return struct.pack(">B", size) if size < 128 else struct.pack(">I", size | 0x80000000)


class _Tls(http.client.HTTPSConnection):
    """To an address of this host, by the name of a site, whoever signed its certificate."""

    def __init__(self, domain: str, address: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(domain, 443, timeout=_SECONDS, context=context)
        self._address, self._tls = address, context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
