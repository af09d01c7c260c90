# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A web server asked over loopback: what it says of itself, and which TLS versions it takes.

One short request and one handshake a listener; neither reaches a site's code. A server that does
not run is no finding here: its files say what it will do.
"""

from __future__ import annotations

import re
import socket
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

Address = tuple[str, int]
Listener = tuple[Address, bool]  # and whether it speaks TLS


class Server(NamedTuple):
    """A web server by its name for people, its service and the file with its process id."""

    name: str
    service: str
    pid_file: str


_SECONDS = 3.0
_LIMIT = 16384
# No Host header: refused by the server itself, so that no site's code runs.
_BAD_REQUEST = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
_TRACE = b"TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_OLD = "TLSv1 or TLSv1.1"


def address(listen: str, default_port: int = 80) -> Address | None:
    """Where to ask what listens at `listen` (80, *:80, [::]:80, 192.0.2.1:80); None for no port."""
    if listen.startswith("unix:"):
        return None
    match = re.fullmatch(r"(?:(\[[^\]]*\]|[^:\[\]]*):)?(\d{1,5})", listen)
    if match is None:
        bare = listen.strip("[]")
        return (_reachable(bare), default_port)
    return (_reachable((match[1] or "").strip("[]")), int(match[2]))


def _reachable(name: str) -> str:
    if name in ("", "*", "0.0.0.0", "_default_"):  # noqa: S104
        return "127.0.0.1"
    return "::1" if name == "::" else name


def runs(host: Host, pid_file: str) -> bool:
    """Whether the server that keeps this file runs: another one may have its ports."""
    text = (host.text(pid_file) or "").strip()
    return text.isdecimal() and host.exists(f"/proc/{text}")


def server_header(where: Address) -> str | None:
    """The Server header of a refused request; None where nobody listens or it has none."""
    answer = _asked(where, _BAD_REQUEST)
    if answer is None:
        return None
    match = re.search(rb"(?im)^server:[ \t]*([^\r\n]*)", answer.partition(b"\r\n\r\n")[0])
    return match[1].decode("latin-1") if match else ""


def answers_trace(where: Address) -> bool:
    """Whether TRACE is answered with what was sent."""
    answer = _asked(where, _TRACE) or b""
    return answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")) and b"message/http" in answer


def takes_old_tls(where: Address) -> str:
    """The TLS version below 1.2 that a handshake ended in; "" for none."""
    import ssl  # ten milliseconds that hosts without TLS need not spend

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    except (ssl.SSLError, ValueError) as error:
        raise HostError(f"this Python cannot offer {_OLD}: {error}") from error
    try:
        with (
            socket.create_connection(where, timeout=_SECONDS) as plain,
            context.wrap_socket(plain) as secured,
        ):
            return secured.version() or ""
    except TimeoutError as error:
        raise HostError(f"{_text(where)} did not answer within {_SECONDS:.0f} s") from error
    except OSError:  # refused: by the handshake, or because nobody listens
        return ""


def complaints(
    host: Host, control: Control, server: Server, listeners: Callable[[], Iterable[Listener]]
) -> list[str]:
    """What a running server does otherwise than its files say: it has not read them yet.

    The control's parameter `live` says what is asked: server_header or trace of listeners without
    TLS, protocols of those with it.
    """
    live = control.params.get("live")
    if live is None or host.root or server.service in host.awaited:
        return []
    if not runs(host, server.pid_file):
        return []
    asked = [where for where, tls in listeners() if tls == (live == "protocols")]
    found = {where: _complaint(host, control, where) for where in asked}
    still = [f"{_text(where)} still {what}" for where, what in found.items() if what]
    return [f"{what}: {server.name} must reload" for what in still]


def _complaint(host: Host, control: Control, where: Address) -> str:
    live = control.params["live"]
    if live == "server_header":
        said = host.once(f"server header {where}", partial(server_header, where))
        return f"answers as {said}" if said and re.search(r"\d", said) else ""
    if live == "trace":
        answers = control.value == "Off" and host.once(
            f"trace {where}", partial(answers_trace, where)
        )
        return "answers TRACE" if answers else ""
    version = host.once(f"old tls {where}", partial(takes_old_tls, where))
    return f"takes {version}" if version and version not in control.value else ""


def _asked(where: Address, request: bytes) -> bytes | None:
    answer = b""
    try:
        with socket.create_connection(where, timeout=_SECONDS) as connection:
            connection.sendall(request)
            while len(answer) < _LIMIT:
                part = connection.recv(_LIMIT)
                if not part:
                    break
                answer += part
    except TimeoutError as error:
        raise HostError(f"{_text(where)} did not answer within {_SECONDS:.0f} s") from error
    except ConnectionRefusedError:
        return None
    except OSError:
        return answer or None
    return answer


def _text(where: Address) -> str:
    return f"{where[0]}:{where[1]}"
