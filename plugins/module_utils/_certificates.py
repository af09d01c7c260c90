# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificates that nginx and Apache serve, by their configurations; what is wrong with one.

OpenSSL decides, inside of this process: it loads certificate and key as a web server does, and
looks for the way to an authority as a browser does. No key leaves the function that loads it.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _apache,
    _nginx,
    _web_live,
    _x509,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

if TYPE_CHECKING:
    import ssl

_SECONDS = 3.0
_ANY = "ALL:@SECLEVEL=0"
_PID_FILES = {"nginx": "/run/nginx.pid", "apache": "/run/apache2/apache2.pid"}
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs")
# What OpenSSL says when it finds no way to an authority, in a visitor's words.
_VERDICTS = {
    10: "has run out",
    18: "is signed by itself and by no authority",
    19: "ends at an authority that visitors do not know",
    20: "leads to no authority: a certificate between is missing",
    21: "leads to no authority: a certificate between is missing",
}


class Served(NamedTuple):
    """A certificate of a site: its files, and where the configuration names them."""

    server: str  # nginx or apache
    site: str
    place: str
    names: tuple[str, ...]  # that the site answers to; patterns and the empty name left out
    certificate: str
    key: str
    chain: str  # Apache's own file for the chain, else ""
    listens: tuple[_web_live.Address, ...]


class Material(NamedTuple):
    """What is in the file: the site's own certificate first, then the way to an authority."""

    leaf: _x509.Certificate
    others: tuple[_x509.Certificate, ...]


def served(host: Host) -> list[Served]:
    """Every certificate that is served, read once a run. Raises HostError."""
    return host.once("certificates served", lambda: list(_served(host)))


def _served(host: Host) -> Iterator[Served]:
    if "nginx" in host.capabilities():
        yield from _of_nginx(_nginx.read(host))
    if "apache" in host.capabilities():
        configuration = _apache.read(host)
        for site in configuration.sites():
            if site.tls:
                yield from _of_apache(configuration, site)


def of_running_servers(host: Host, items: list[Served]) -> list[Served]:
    """What visitors get: less the sites of a server that is installed beside the one that runs."""
    running = {server for server, pid_file in _PID_FILES.items() if _web_live.runs(host, pid_file)}
    return [item for item in items if item.server in running or not running]


def _of_nginx(configuration: _nginx.Configuration) -> Iterator[Served]:
    for server in configuration.servers():
        if not server.tls or server.block.own("ssl_reject_handshake"):
            continue
        keys = _nginx.in_force("ssl_certificate_key", server.chain)
        for number, at in enumerate(_nginx.in_force("ssl_certificate", server.chain)):
            key = keys[number].args if number < len(keys) else at.args
            listens = [
                _web_live.address(words[0])
                for words in server.listens
                if "ssl" in words[1:] and "proxy_protocol" not in words
            ]
            yield Served(
                "nginx",
                server.label,
                at.place,
                _plain(server.names),
                _path(at.place, at.args, "/etc/nginx"),
                _path(at.place, key, "/etc/nginx"),
                "",
                tuple(where for where in listens if where is not None),
            )


def _of_apache(configuration: _apache.Configuration, site: _apache.Site) -> Iterator[Served]:
    certificates = site.block.own("sslcertificatefile") or site.main.own("sslcertificatefile")
    keys = site.block.own("sslcertificatekeyfile") or site.main.own("sslcertificatekeyfile")
    chain = site.last("sslcertificatechainfile")
    ports = {address.rpartition(":")[2] for address in site.addresses}
    listens = [_web_live.address(at.args[0]) for at in configuration.main.own("listen") if at.args]
    for number, at in enumerate(certificates):
        key = keys[number].args if number < len(keys) else at.args
        yield Served(
            "apache",
            site.label,
            at.place,
            _plain(site.names),
            _path(at.place, at.args, _apache.FOLDER),
            _path(at.place, key, _apache.FOLDER),
            _path(chain.place, chain.args, _apache.FOLDER) if chain is not None else "",
            tuple(where for where in listens if where is not None and str(where[1]) in ports),
        )


def _plain(names: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        if name.startswith("~") or name in ("", "_", "localhost") or "." not in name.strip("."):
            continue
        found += [name[1:], f"*{name}"] if name.startswith(".") else [name]
    return tuple(dict.fromkeys(found))


def _path(place: str, args: list[str], folder: str) -> str:
    path = args[0] if args else ""
    if not path or "$" in path or path.startswith(("data:", "engine:", "store:", "pkcs11:")):
        raise HostError(f"{place}: {path or 'nothing'} is no file that could be looked at")
    return os.path.normpath(path if path.startswith("/") else f"{folder}/{path}")


def material(host: Host, item: Served) -> Material:
    """What is in the certificate's file. Raises HostError."""
    return host.once(f"certificate {item.certificate} {item.chain}", lambda: _material(host, item))


def _material(host: Host, item: Served) -> Material:
    found: list[_x509.Certificate] = []
    for path in (item.certificate, item.chain):
        if not path:
            continue
        data = host.read(path)
        if data is None:
            raise HostError(f"{path} is not there, and {item.place} names it")
        try:
            found += _x509.certificates(data)
        except ValueError as error:
            raise HostError(f"{path} cannot be understood: {error}") from error
        if not found:
            raise HostError(f"{path} holds no certificate")
    return Material(found[0], tuple(found[1:]))


def out_of_order(found: Material) -> str:
    """What is wrong with the order of the file, in which each is signed by the next; "" if not."""
    chain = [found.leaf, *found.others]
    for number, (one, next_one) in enumerate(itertools.pairwise(chain), 2):
        if one.issuer != next_one.subject:
            return f"certificate {number} of the file did not sign the one before it"
    return ""


def covers(certificate: _x509.Certificate, name: str) -> bool:
    """Whether a browser takes the certificate for `name`; a star stands for one label."""
    parent = f"*.{name.partition('.')[2]}"
    return name in certificate.names or (not name.startswith("*") and parent in certificate.names)


def key_problem(host: Host, item: Served) -> str:
    """Why certificate and key do not belong together; "" where they do. Raises HostError."""
    return host.once(f"key {item.certificate} {item.key}", lambda: _key_problem(host, item))


def _key_problem(host: Host, item: Served) -> str:
    try:
        _server_context(host, item)
    except HostError as error:
        if "do not belong together" in str(error):
            return str(error)
        raise
    return ""


def _server_context(host: Host, item: Served) -> ssl.SSLContext:
    import ssl  # ten milliseconds that hosts without TLS need not spend

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(_ANY)  # how strong a key is, is another question
    for path in (item.certificate, item.key):
        if host.read(path) is None:
            raise HostError(f"{path} is not there, and {item.place} names it")
    try:
        context.load_cert_chain(
            host.real(item.certificate), host.real(item.key), password=_no_password
        )
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise HostError(f"{item.certificate} and {item.key} do not belong together") from error
        raise HostError(f"{item.key} cannot be used: {error.reason or 'no key'}") from error
    except (OSError, ValueError) as error:
        raise HostError(f"{item.key} cannot be used: {error}") from error
    return context


def _no_password() -> str:
    raise ValueError("it is locked with a password")


def chain_problem(host: Host, item: Served, authorities: list[str]) -> str:
    """What a browser would say of the way to an authority; "" for nothing. Raises HostError.

    `authorities`: files with further authorities that visitors know.
    """
    return host.once(
        f"chain {item.certificate} {item.chain}", lambda: _chain_problem(host, item, authorities)
    )


def _chain_problem(host: Host, item: Served, authorities: list[str]) -> str:
    import ssl

    visitor = host.once("authorities", lambda: _visitor(host, authorities))
    server = _server_context(host, item)
    if item.chain:
        _add_chain(host, item, server)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = visitor.wrap_bio(incoming, outgoing)
    answering = server.wrap_bio(outgoing, incoming, server_side=True)
    for _step in range(4):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return _VERDICTS.get(error.verify_code, f"is refused: {error.verify_message}")
            except ssl.SSLError as error:
                raise HostError(f"{item.certificate} cannot be tried: {error.reason}") from error
        if asking.version() is not None and asking.cipher() is not None:
            with suppress(ValueError):
                if asking.getpeercert():
                    return ""
    raise HostError(f"{item.certificate} cannot be tried: the handshake does not end")


def _add_chain(host: Host, item: Served, context: ssl.SSLContext) -> None:
    """Apache's chain file, sent behind the certificate: as one file with it."""
    import ssl
    import tempfile

    joined = (host.read(item.certificate) or b"") + b"\n" + (host.read(item.chain) or b"")
    with tempfile.NamedTemporaryFile(prefix="ringfence-chain-") as both:
        both.write(joined)
        both.flush()
        try:
            context.load_cert_chain(both.name, host.real(item.key), password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise HostError(f"{item.chain} cannot be used") from error


def _visitor(host: Host, authorities: list[str]) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(_ANY)
    context.check_hostname = False
    known = [path for path in _AUTHORITIES if host.exists(path)]
    if not known:
        raise HostError("the host has no list of authorities: install ca-certificates")
    context.load_verify_locations(capath=host.real(_AUTHORITIES[1]))
    if known[0] != _AUTHORITIES[1]:
        context.load_verify_locations(cafile=host.real(known[0]))
    for path in authorities:
        try:
            context.load_verify_locations(cafile=host.real(path))
        except (ssl.SSLError, OSError) as error:
            raise HostError(f"{path} cannot be used as an authority: {error}") from error
    return context


def still_served(host: Host, item: Served) -> str:
    """Where the running server still shows another certificate than the file; "" for nowhere."""
    import ssl

    if host.root or not item.names or not _web_live.runs(host, _PID_FILES[item.server]):
        return ""
    data = host.read(item.certificate) or b""
    ours = {
        ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{part.split(_END)[0]}{_END}")
        for part in data.decode("ascii", "replace").split(_BEGIN)[1:2]
    }
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    name = item.names[0].replace("*.", "any.")
    for where in item.listens[:1]:
        try:
            with (
                socket.create_connection(where, timeout=_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=name) as secured,
            ):
                shown = secured.getpeercert(binary_form=True)
        except TimeoutError as error:
            raise HostError(f"{where[0]}:{where[1]} did not answer in time") from error
        except ConnectionRefusedError:
            continue  # it does not listen: there is nobody who could be shown another one
        except OSError as error:
            raise HostError(f"{where[0]}:{where[1]} breaks off: {error}") from error
        if shown not in ours:
            return f"{where[0]}:{where[1]}"
    return ""


_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
