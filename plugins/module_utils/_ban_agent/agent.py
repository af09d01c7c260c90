# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The service ringfence-bans: takes bans from fail2ban, peers and people, and makes them hold."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import select
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent import (
    central,
    kernel,
    share,
    users,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.store import (
    ADDRESS,
    USER,
    Ban,
    Store,
    plain,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent.web import Web

CONFIGURATION = "/etc/ringfence/bans/bans.json"
SOCKET = "/run/ringfence-bans/socket"

_TICK = 0.5
_LOOK_AGAIN = 5.0
_JOOMLA_EVERY = 3.0
_PRUNE_EVERY = 6 * 3600.0
_MAX_MESSAGE = 64 << 10
_LISTED_MATCHES = 5
_STARTS_WITHIN = 60


def main(arguments: list[str] | None = None) -> int:
    """serve | receive PEER | tell JSON."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["serve"]:
        Agent(_configuration()).serve()
        return 0
    if words[:1] == ["receive"] and len(words) == 2:
        return share.receive(words[1])
    if words[:1] == ["tell"] and len(words) == 2:
        answer = tell(json.loads(words[1]))
        sys.stdout.write(f"{json.dumps(answer)}\n")
        return 1 if "error" in answer else 0
    sys.stderr.write("usage: ringfence-bans serve | receive PEER | tell JSON\n")
    return 2


def tell(message: dict[str, Any], path: str = SOCKET, timeout: float = 90) -> dict[str, Any]:
    """Hand the service a message and wait for its answer. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(json.dumps(message).encode() + b"\n")
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while part := connection.recv(_MAX_MESSAGE):
            data += part
    answer: dict[str, Any] = json.loads(data or b'{"error": "no answer"}')
    return answer


def _configuration() -> dict[str, Any]:
    with open(CONFIGURATION, encoding="utf-8") as handle:
        found: dict[str, Any] = json.load(handle)
    return found


class Agent:
    """All of the service; one thread but for the peers and the accounts, who may be slow."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.settings = configuration
        self.host: str = configuration["host"]
        self.sites: dict[str, dict[str, Any]] = configuration["sites"]
        self.told: dict[str, str] = {name.replace("/", "__"): name for name in self.sites}
        self.jails: dict[str, dict[str, Any]] = configuration["jails"]
        self.never = [ipaddress.ip_network(entry) for entry in configuration["never"]]
        self.store = Store()
        self.web = Web(configuration["web"])
        self.peers = {peer["name"]: peer for peer in configuration["peers"]}
        shared = {name for name, jail in self.jails.items() if jail["share"]}
        self.tellers: list[share.Teller | central.Central] = [
            share.Teller(self.host, peer, shared, _say) for peer in self.peers.values()
        ]
        listed = configuration["central"]
        self.central = central.Central(self.host, listed, shared, _say) if listed else None
        self.tellers += [self.central] if self.central else []
        self.seen = self.store.states(central.JAIL)
        self.pool = ThreadPoolExecutor(max_workers=2)
        self._next = dict.fromkeys(("look", "joomla", "prune"), 0.0)

    # --- life

    def serve(self) -> None:
        """Never returns."""
        self._load_table()
        self._put_web()  # web servers do not start without their file
        for teller in self.tellers:
            teller.start()
        listener = _listener()
        _ready()
        while True:
            with contextlib.suppress(InterruptedError):
                if select.select([listener], [], [], _TICK)[0]:
                    self._answer(listener)
            try:
                self.tick()
            except Exception as error:  # the service must go on
                _say(f"{type(error).__name__}: {error}")

    def tick(self) -> None:
        """What time brings: peers' words, ends of bans, a table that somebody flushed."""
        self._hear_peers()
        self._hear_central()
        self._end_users()
        now = time.monotonic()
        if now >= self._next["look"]:
            self._next["look"] = now + _LOOK_AGAIN
            if not kernel.is_loaded():
                self._load_table()
            self._put_web()  # a ban that ended by itself
        if now >= self._next["joomla"]:
            self._next["joomla"] = now + _JOOMLA_EVERY
            self.pool.submit(_guarded, self._watch_joomla)
        if now >= self._next["prune"]:
            self._next["prune"] = now + _PRUNE_EVERY
            self.store.prune(int(time.time()))
        complaint = self.web.reload()
        if complaint:
            _say(complaint)

    def _answer(self, listener: socket.socket) -> None:
        connection, _address = listener.accept()
        with connection:
            connection.settimeout(5)
            answer: dict[str, Any]
            try:
                answer = self.handle(json.loads(_line_of(connection)))
            except (OSError, ValueError, KeyError, TypeError, kernel.KernelError) as error:
                answer = {"error": plain(f"{type(error).__name__}: {error}")}
                _say(answer["error"])
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode())

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a message, whose `do` says what it is about."""
        kinds = {
            "ban": self._ban,
            "ended": self._ended,
            "unban": self._unban,
            "block_user": self._block_by_hand,
            "probe": self._probe,
        }
        return kinds[message["do"]](message)

    # --- addresses

    def _ban(self, message: dict[str, Any]) -> dict[str, Any]:
        """From fail2ban, or from a person where the jail is `by hand`."""
        name = plain(message["jail"])
        jail = self.jails.get(name, {"kind": "by_hand", "share": False})
        if jail["kind"] == "users":
            return self._ban_user(message, name)
        address = ipaddress.ip_address(message["id"])
        mapped = getattr(address, "ipv4_mapped", None)
        subject = str(mapped or address)
        if self._is_never(subject):
            _say(f"{subject} is never banned; {name} asked for it")
            return {"never": True}
        since = int(message["since"])
        ban = Ban(
            0,
            ADDRESS,
            subject,
            self._site_of(message, jail),
            name,
            plain(message.get("reason") or _REASONS.get(jail["kind"], jail["kind"])),
            self.host,
            int(message.get("failures", 0)),
            since,
            since + int(message["seconds"]),
        )
        if self._was_lifted(message, ban):
            return self._drop(message, ban)
        self._put(self.store.add(ban))
        for teller in self.tellers:
            teller.wake()
        return {"banned": subject}

    def _was_lifted(self, message: dict[str, Any], ban: Ban) -> bool:
        """Whether fail2ban, as it starts, brings a ban back that was lifted while it was away."""
        return bool(message.get("restored")) and self.store.was_lifted(ban)

    def _drop(self, message: dict[str, Any], ban: Ban) -> dict[str, Any]:
        self.pool.submit(_guarded, _have_forgotten, ban.jail, str(message["id"]))
        return {"lifted": ban.subject}

    def _put(self, *bans: Ban) -> None:
        """Make bans hold in the kernel, and in the web server."""
        text = kernel.elements(bans, self.host, int(time.time()))
        try:
            kernel.load(text)
        except kernel.KernelError:
            self._load_table()  # the table was flushed; it is made with all that is in force
        self._put_web()
        complaint = self.web.reload()
        if complaint:
            _say(complaint)

    def _put_web(self) -> None:
        self.web.put(ban.subject for ban in self.store.live(int(time.time()), ADDRESS))

    def _load_table(self) -> None:
        now = int(time.time())
        peers = [address for peer in self.peers.values() for address in peer["from"]]
        port, listed = self.settings["port"], self.settings["central"]
        if listed and listed["serve"]:
            peers, port = listed["from"], listed["port"]
        text = kernel.table(self.settings["never"], peers, port)
        live = [ban for ban in self.store.live(now, ADDRESS) if not self._is_never(ban.subject)]
        kernel.load(text + kernel.elements(live, self.host, now))

    def _is_never(self, subject: str) -> bool:
        address = ipaddress.ip_address(subject)
        return address.is_loopback or any(
            address in network for network in self.never if network.version == address.version
        )

    def _site_of(self, message: dict[str, Any], jail: dict[str, Any]) -> str:
        """Which site the lines were about, where that can be told."""
        said = str(message.get("site") or "")
        if said in self.told:
            return str(self.told[said])
        for name in jail.get("sites", ()):
            if said and said in self.sites[name]["domains"]:
                return str(name)
        if jail["kind"] == "joomla":
            for name in jail["sites"]:
                if any(_ends_with(self.sites[name]["log"], line) for line in _lines(message)):
                    return str(name)
        sites = jail.get("sites", ())
        return str(sites[0]) if len(sites) == 1 else ""

    def _ended(self, message: dict[str, Any]) -> dict[str, Any]:
        """fail2ban lifted a ban: by itself at its end, which needs nothing, or told by a person."""
        now, jail = int(time.time()), plain(message["jail"])
        early = [
            ban
            for ban in self.store.live(now + 2)
            if ban.jail == jail and is_named(ban, str(message["id"])) and ban.source == self.host
        ]
        self._withdraw(early)
        return self._lift(early, "lifted by fail2ban-client")

    def _unban(self, message: dict[str, Any]) -> dict[str, Any]:
        """From a person: every ban of an address or a user, peers' words on it included."""
        wanted, why = str(message["subject"]), plain(message.get("why") or "lifted by hand")
        with contextlib.suppress(ValueError):
            wanted = str(ipaddress.ip_address(wanted))
        found = [ban for ban in self.store.live(int(time.time())) if is_named(ban, wanted)]
        if self.central:
            for address in {ban.subject for ban in found if ban.kind == ADDRESS}:
                self.central.withdraw(self.store, address)
        return self._lift(found, why)

    def _withdraw(self, bans: list[Ban]) -> None:
        """What this host alone takes back; what others say of the address stays."""
        for ban in bans:
            if self.central and ban.kind == ADDRESS:
                named = central.scenario(self.host, ban.reason)
                self.central.withdraw(self.store, ban.subject, named)

    def _lift(self, bans: list[Ban], why: str) -> dict[str, Any]:
        now = int(time.time())
        addresses = {ban.subject for ban in bans if ban.kind == ADDRESS}
        self.store.end([ban for ban in bans if ban.kind == ADDRESS], now, why)
        if addresses:
            kernel.load(kernel.removal(addresses))
            # Another rule's ban of the same network may still be in force.
            live = self.store.live(now, ADDRESS)
            kernel.load(kernel.elements(live, self.host, now))
            self._put_web()
            self.web.reload()
        problems = []
        for ban in bans:
            if ban.kind == USER:
                complaint = self._let_in(ban, why)
                problems += [complaint] if complaint else []
        lifted = [f"{ban.site} {ban.subject}" if ban.kind == USER else ban.subject for ban in bans]
        answer: dict[str, Any] = {"lifted": sorted(set(lifted))}
        answer["jails"] = sorted({ban.jail for ban in bans if ban.source == self.host})
        if problems:
            answer["error"] = "; ".join(problems)
        return answer

    # --- peers

    def _hear_peers(self) -> None:
        limits = share.Limits(self.settings["peer_bans_an_hour"], self.settings["peer_seconds"])
        now = int(time.time())
        for peer, data in share.spooled(set(self.peers)):
            already = self.store.received_since(peer, now - 3600)
            bans, complaint = share.taken(peer, data, limits, already, now)
            refused = [ban.subject for ban in bans if self._is_never(ban.subject)]
            if refused:
                complaint += f"; {peer} asked for {len(refused)} who are never banned"
            if complaint:
                _say(complaint.lstrip("; "))
                self.store.note(f"refused {peer}", f"{now} {plain(complaint.lstrip('; '))}")
            good = [self.store.add(ban) for ban in bans if ban.subject not in refused]
            self.store.note(f"told {peer}", str(now))
            if good:
                self._put(*good)

    def _hear_central(self) -> None:
        listed = self.central.take() if self.central else None
        if listed is None:
            return
        now = int(time.time())
        others = max(1, int(self.settings["central"]["others"]))
        limits = share.Limits(
            self.settings["peer_bans_an_hour"] * others, self.settings["peer_seconds"]
        )
        live = [ban for ban in self.store.live(now, ADDRESS) if ban.jail == central.JAIL]
        already = self.store.made_since(central.JAIL, now - 3600)
        found = central.compare(
            listed, live, self.seen, limits, already, self.host, now, self._is_never
        )
        self.seen = found.keys
        if found.complaint:
            _say(found.complaint)
            self.store.note(f"refused {central.NAME}", f"{now} {found.complaint}")
        if found.ended:
            self._lift(found.ended, f"lifted on the {central.NAME}")
        kept = [self.store.add(ban) for ban in found.bans]
        for ban, one in zip(kept, found.bans, strict=True):
            if ban.state != one.state:
                self.store.set_state(ban, one.state)
        if kept:
            self._put(*kept)

    def _probe(self, _message: dict[str, Any]) -> dict[str, Any]:
        """Call every peer now, with nothing to tell."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            said = dict(zip(self.peers, pool.map(share.probe, self.peers.values()), strict=True))
        return {"peers": said}

    # --- users

    def _ban_user(self, message: dict[str, Any], jail: str) -> dict[str, Any]:
        site, _space, user = str(message["id"]).partition(" ")
        site = self.told.get(site.removeprefix("site="), "")
        user = user.removeprefix("user=")
        since = int(message["since"])
        until = since + int(message["seconds"])
        reason = _REASONS["users"]
        ban = Ban(0, USER, user, site, jail, reason, self.host, 0, since, until)
        ban = ban._replace(failures=int(message.get("failures", 0)))
        if self._was_lifted(message, ban._replace(subject=_decoded(user))):
            return self._drop(message, ban)
        self.pool.submit(_guarded, self._shut_out, ban)
        return {"blocking": user}

    def _block_by_hand(self, message: dict[str, Any]) -> dict[str, Any]:
        now = int(time.time())
        until = now + int(message["seconds"])
        reason = plain(message.get("why") or "blocked by hand")
        subject, site = str(message["user"]), str(message["site"])
        ban = Ban(0, USER, subject, site, "by hand", reason, self.host, 0, now, until)
        try:
            self._shut_out(ban)
        except users.UserError as error:
            return {"error": str(error)}
        return {"blocked": subject}

    def _shut_out(self, ban: Ban) -> None:
        """In a thread of its own: a site may be slow."""
        if ban.site not in self.sites:
            raise users.UserError(f"there is no site {plain(ban.site)} on this host")
        site = self.sites[ban.site]
        state = users.block(site, _decoded(ban.subject), ban.until)
        store = Store()
        try:
            kept = store.add(ban._replace(subject=_decoded(ban.subject)))
            if not kept.state:
                store.set_state(kept, state)
        finally:
            store.close()
        _say(f"{ban.site}: user {plain(ban.subject)} is blocked until {ban.until}: {ban.reason}")

    def _end_users(self) -> None:
        now = int(time.time())
        for ban in self.store.due(now):
            complaint = self._let_in(ban, "")
            if complaint:
                _say(complaint)

    def _let_in(self, ban: Ban, why: str) -> str:
        """Unblock an account; returns what went wrong, or nothing."""
        site = self.sites.get(ban.site)
        try:
            if site is not None:
                users.unblock(site, ban.subject, ban.state)
        except users.UserError as error:
            return str(error)
        if why:
            self.store.end([ban], int(time.time()), why)
        else:
            self.store.set_state(ban, "")
        return ""

    def _watch_joomla(self) -> None:
        """Joomla's own log of actions names the accounts, which its log of errors does not."""
        for site in self.sites.values():
            rule = site.get("users")
            if site["cms"] != "joomla" or not rule:
                continue
            for user, times in users.joomla_failures(site, rule["within"]).items():
                self._judge_joomla(site, rule, user, times)

    def _judge_joomla(
        self, site: dict[str, Any], rule: dict[str, int], user: str, times: list[int]
    ) -> None:
        store = Store()
        try:
            # What led to an earlier ban does not count again.
            count = sum(when > store.last_end(site["id"], user) for when in times)
        finally:
            store.close()
        if count >= rule["attempts"]:
            now = int(time.time())
            ban = Ban(0, USER, user, site["id"], site["users_jail"], _REASONS["users"], self.host,
                      count, now, now + rule["ban"])  # fmt: skip
            self._shut_out(ban)


_REASONS = {
    "ssh": "bad sign-ins over SSH",
    "wordpress": "bad sign-ins to WordPress",
    "joomla": "bad sign-ins to Joomla",
    "exploits": "scans for holes",
    "gate": "bad sign-ins at the gate",
    "users": "bad sign-ins to this account",
    "by_hand": "banned by hand",
}


def is_named(ban: Ban, wanted: str) -> bool:
    """Whether `wanted` means a ban: an address, a user, or `client/site user`."""
    if ban.kind == ADDRESS:
        return ban.subject == wanted
    return wanted in (
        ban.subject,
        f"{ban.site} {ban.subject}",
        f"site={ban.site} user={ban.subject}",
    )


def _have_forgotten(jail: str, name: str) -> None:
    """Tell fail2ban of a lifted ban; while it starts, it does not listen yet."""
    for _second in range(_STARTS_WITHIN):
        done = subprocess.run(
            ["/usr/bin/fail2ban-client", "set", jail, "unbanip", name],
            capture_output=True,
            timeout=_STARTS_WITHIN,
            check=False,
        )
        if done.returncode == 0:
            return
        time.sleep(1)
    _say(f"fail2ban still counts {plain(name)} as banned in {jail}")


def _decoded(user: str) -> str:
    """The must-use plugin writes what is no letter, digit or one of @._- as %XX."""
    from urllib.parse import unquote

    return unquote(user)


def _lines(message: dict[str, Any]) -> list[str]:
    lines = [line.strip() for line in str(message.get("matches") or "").splitlines()]
    return [line for line in lines if line][-_LISTED_MATCHES:]


def _ends_with(path: str, line: str) -> bool:
    """Whether a line is among the last of a log."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as handle:
            handle.seek(max(0, os.fstat(descriptor).st_size - (256 << 10)))
            return line.encode() in handle.read(256 << 10)
    except OSError:
        return False


def _line_of(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _MAX_MESSAGE:
        part = connection.recv(_MAX_MESSAGE)
        if not part:
            break
        data += part
    return data


def _listener() -> socket.socket:
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        return socket.socket(fileno=3)  # systemd's: messages wait there while this starts
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET)
    os.makedirs(os.path.dirname(SOCKET), mode=0o700, exist_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(SOCKET)
    os.chmod(SOCKET, 0o600)
    made.listen(128)
    return made


def _ready() -> None:
    """Tell systemd that bans hold from here on."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + path[1:] if path.startswith("@") else path)
            notify.sendall(b"READY=1")


def _guarded(work: Any, *arguments: Any) -> None:
    try:
        work(*arguments)
    except Exception as error:  # a thread's failure would be lost
        _say(f"{type(error).__name__}: {error}")


def _say(text: str) -> None:
    """To the journal."""
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    sys.stdout.flush()
