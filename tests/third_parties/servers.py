# SPDX-License-Identifier: GPL-3.0-or-later
"""Small servers on loopback that keep state and follow the contracts of third parties.

Each answer that is a success is held against the contract's schema before it is sent, so that the
tests cannot drift from it. `fail(path, …)` has the next requests of a path refused, delayed or cut.
Written from the vendors' published specifications; no live interface was reached.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response


class Failure(NamedTuple):
    """What comes in place of an answer."""

    status: int = 500
    body: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    delay: float = 0.0


DENIED = Failure(403, {"code": "ACCESS_DENIED", "message": "Authenticated user is not allowed"})
UNAUTHORIZED = Failure(401, {"code": "UNABLE_TO_AUTHENTICATE", "message": "Unauthorized"})
BUSY = Failure(429, {"code": "TOO_MANY_REQUESTS"}, {"Retry-After": "1"})
BUSY_IN_BODY = Failure(429, {"code": "TOO_MANY_REQUESTS", "retryAfterSec": 2})
BROKEN = Failure(503)
SLOW = Failure(200, {}, {}, 3.0)
REDIRECT = Failure(302, {}, {"Location": "http://127.0.0.1:9/"})

_TEXT, _FLAG, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}


def _object(needed: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(needed), "properties": {**needed, **more}}


def _many(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


class Vendor:
    """One third party: `authorization` is the header that it takes."""

    authorization = ""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._failures: dict[str, deque[Failure]] = defaultdict(deque)

    def fail(self, path: str, *failures: Failure) -> None:
        """The next requests of `path` end so, one each."""
        self._failures[path].extend(failures)

    def answer(self, request: Request) -> tuple[int, Any, Mapping[str, Any] | None]:
        """Status, body, and the schema that the body must hold."""
        raise NotImplementedError

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """The WSGI application."""
        request = Request(environ)
        self.asked.append(request.full_path.rstrip("?"))
        response = self._respond(request)
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if self._failures[request.path]:
            failure = self._failures[request.path].popleft()
            time.sleep(failure.delay)
            return _json(failure.status, failure.body, failure.headers)
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return _json(401, UNAUTHORIZED.body)
        status, body, schema = self.answer(request)
        if schema is not None and status == 200:
            Draft202012Validator(schema).validate(body)
        return _json(status, body)


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    text = "" if body is None else json.dumps(body)
    return Response(text, status, dict(headers or {}), "", "application/json")


class GoDaddy(Vendor):
    """`rows`: the domains of the account, each with the secrets that real answers carry."""

    key, secret = "gd-key", "gd-secret"
    authorization = f"sso-key {key}:{secret}"
    auth_code = "EPP-TRANSFER-CODE"
    _DOMAIN = _object(
        {"domain": _TEXT, "status": _TEXT, "locked": _FLAG, "privacy": _FLAG, "renewAuto": _FLAG},
        expires=_TEXT, transferProtected=_FLAG, nameServers=_many(_TEXT),
    )  # fmt: skip

    def __init__(self, count: int = 1) -> None:
        super().__init__()
        self.rows = [self.domain(f"d{number:04}.example") for number in range(count)]

    def domain(self, name: str, **more: Any) -> dict[str, Any]:
        """A domain as the interface has it."""
        return {
            "domain": name,
            "status": "ACTIVE",
            "locked": True,
            "privacy": True,
            "renewAuto": True,
            "transferProtected": False,
            "expires": "2031-05-01T23:59:59.000Z",
            "nameServers": ["NS2.example", "ns1.example"],
            "authCode": self.auth_code,
            "contactRegistrant": {"email": "registrant@private.example"},
            **more,
        }

    def answer(self, request: Request) -> tuple[int, Any, Mapping[str, Any] | None]:
        if request.path != "/v1/domains":
            return 404, {"code": "NOT_FOUND"}, None
        limit = int(request.args.get("limit", 100))
        if not 1 <= limit <= 1000:
            return 422, {"code": "INVALID_BODY"}, None
        rows = sorted(self.rows, key=lambda row: row["domain"])
        rows = [row for row in rows if row["domain"] > request.args.get("marker", "")]
        if request.args.get("includes") != "nameServers":
            rows = [{k: v for k, v in row.items() if k != "nameServers"} for row in rows]
        return 200, rows[:limit], _many(self._DOMAIN)


class Cdn77(Vendor):
    """Two resources, of which one has nothing on; an origin in a bucket."""

    key = "cdn-token"
    authorization = f"Bearer {key}"
    token = "SECURE-TOKEN-VALUE"
    _SUMMARY = _many(_object({"id": _NUMBER, "label": _TEXT}))
    _DETAIL = _object(
        {
            name: _object({"type": _TEXT})
            for name in (
                "ip_protection",
                "geo_protection",
                "hotlink_protection",
                "secure_token",
                "ssl",
            )
        }
        | {"id": _NUMBER, "https_redirect": _object({"enabled": _FLAG})}
    )

    def __init__(self) -> None:
        super().__init__()
        self.resources = {1: self.resource(1, "whitelist"), 2: self.resource(2, "none")}

    def resource(self, number: int, protection: str) -> dict[str, Any]:
        """A resource's detail as the interface has it."""
        return {
            "id": number,
            "label": f"cdn {number}",
            "ip_protection": {"type": protection},
            "geo_protection": {"type": protection},
            "hotlink_protection": {"type": protection},
            "secure_token": {
                "type": "path" if protection != "none" else "none",
                "token": self.token,
            },
            "waf": {"enabled": protection != "none"},
            "https_redirect": {"enabled": protection != "none"},
            "ssl": {"type": "SNI"},
            "stream": {"password": self.token},
        }

    def answer(self, request: Request) -> tuple[int, Any, Mapping[str, Any] | None]:
        parts = request.path.strip("/").split("/")
        if parts == ["v3", "cdn"]:
            rows = [{"id": one["id"], "label": one["label"]} for one in self.resources.values()]
            return 200, rows, self._SUMMARY
        if parts[:2] == ["v3", "cdn"] and int(parts[2]) in self.resources:
            if parts[3:] == ["cname"]:
                rows = [{"cname": f"static{parts[2]}.example"}]
                return 200, rows, _many(_object({"cname": _TEXT}))
            return 200, self.resources[int(parts[2])], self._DETAIL
        if parts == ["v3", "ssl", "sni"]:
            row = {"id": "s1", "cnames": ["static1.example"], "expires_at": "2030-01-02 03:04:05"}
            return 200, [row], _many(_object({"id": _TEXT, "expires_at": _TEXT}))
        if parts == ["v3", "origin"]:
            rows = [{"id": "o1", "type": "aws"}, {"id": "o2", "type": "url"}]
            return 200, rows, _many(_object({"id": _TEXT, "type": _TEXT}))
        if parts == ["v3", "origin", "aws", "o1"]:
            row = {
                "id": "o1", "label": "media", "bucket_name": "media",
                "aws_access_key_id": "AKIACDN", "aws_access_key_secret": self.token,
            }  # fmt: skip
            return 200, row, _object({"id": _TEXT, "aws_access_key_id": _TEXT})
        return 404, {"code": "not_found"}, None


class Mailchimp(Vendor):
    """Members that can be looked up, archived and erased; customers; applications and hooks.

    `lists`: audience -> id of a member -> its status; `customers`: shop -> id -> address.
    """

    key = "0123456789abcdef-us21"
    authorization = "Basic cmluZ2ZlbmNlOjAxMjM0NTY3ODlhYmNkZWYtdXMyMQ=="
    hook_secret = "HOOK-SECRET"

    def __init__(self, applications: int = 2) -> None:
        super().__init__()
        self.linked = [f"user{number}@acme.example" for number in range(applications)]
        self.owner, self.last_login = "boss@acme.example", "2026-10-01T08:00:00+00:00"
        self.members = {self.hashed("pat@acme.example"): "subscribed"}
        self.lists = {"l1": self.members}
        self.customers: dict[str, dict[str, str]] = {}
        self.forgotten: set[str] = set()

    @staticmethod
    def hashed(email: str) -> str:
        """The id of a member: MD5 of the address in small letters, as the contract says."""
        return hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()

    def answer(self, request: Request) -> tuple[int, Any, Mapping[str, Any] | None]:
        path = request.path.removeprefix("/3.0")
        if path in ("", "/"):
            row = {
                "account_id": "a1b2", "username": "acme", "email": self.owner,
                "role": "owner", "last_login": self.last_login,
            }  # fmt: skip
            return 200, row, _object({"account_id": _TEXT, "role": _TEXT, "last_login": _TEXT})
        parts = path.strip("/").split("/")
        if parts[0] == "lists" and parts[2:3] == ["members"] and parts[1] in self.lists:
            return self._member(request.method, self.lists[parts[1]], "/".join(parts[3:]))
        if parts[:2] == ["ecommerce", "stores"] and parts[2:]:
            return self._customer(request, parts[2], parts[3:])
        lists: dict[str, tuple[str, list[Any]]] = {
            "/authorized-apps": ("apps", [
                {"id": n, "name": f"app {n}", "users": [user]}
                for n, user in enumerate(self.linked)
            ]),
            "/lists": ("lists", [
                {"id": one, "name": "News" if one == "l1" else f"News {one}"} for one in self.lists
            ]),
            **{f"/lists/{one}/webhooks": ("webhooks", [
                {"id": "h", "url": f"https://hook.example/?secret={self.hook_secret}"}
            ]) for one in self.lists},
            "/ecommerce/stores": ("stores", [
                {"id": one, "name": f"Shop {one}"} for one in self.customers
            ]),
            "/connected-sites": ("sites", [{"id": "s", "domain": "www.acme.example"}]),
            "/verified-domains": ("domains", [
                {"domain": "acme.example", "verified": True, "authenticated": False}
            ]),
        }  # fmt: skip
        if path not in lists:
            return 404, {"title": "Resource Not Found"}, None
        return self._paged(request, *lists[path])

    @staticmethod
    def _paged(
        request: Request, key: str, rows: list[Any]
    ) -> tuple[int, Any, Mapping[str, Any] | None]:
        count, offset = int(request.args.get("count", 10)), int(request.args.get("offset", 0))
        if count > 1000:
            return 400, {"title": "Invalid Resource"}, None
        body = {key: rows[offset : offset + count], "total_items": len(rows)}
        return 200, body, _object({key: {"type": "array"}, "total_items": _NUMBER})

    def _customer(
        self, request: Request, shop: str, rest: list[str]
    ) -> tuple[int, Any, Mapping[str, Any] | None]:
        known = self.customers.get(shop)
        if known is None or rest[:1] != ["customers"]:
            return 404, {"title": "Resource Not Found"}, None
        if not rest[1:]:
            wanted = request.args.get("email_address", "")
            rows = [{"id": n, "email_address": email} for n, email in known.items()]
            rows = [row for row in rows if wanted in ("", row["email_address"])]
            return self._paged(request, "customers", rows)
        if rest[1] not in known:
            return 404, {"title": "Resource Not Found"}, None
        if request.method == "DELETE":
            del known[rest[1]]
            return 204, None, None
        row = {"id": rest[1], "email_address": known[rest[1]]}
        return 200, row, _object({"id": _TEXT, "email_address": _TEXT})

    def _member(
        self, method: str, members: dict[str, str], rest: str
    ) -> tuple[int, Any, Mapping[str, Any] | None]:
        member, _slash, action = rest.partition("/")
        if member not in members:
            return 404, {"title": "Resource Not Found"}, None
        if method == "POST" and action == "actions/delete-permanent":
            del members[member]
            self.forgotten.add(member)
            return 204, None, None
        if method == "DELETE":
            if members[member] == "archived":
                return 405, {"title": "Method Not Allowed"}, None
            members[member] = "archived"
            return 204, None, None
        return 200, {"id": member, "status": members[member]}, _object({"status": _TEXT})


class MySitesGuru(Vendor):
    """An account with sites, by pages."""

    key = "oauth-access-token"
    authorization = f"Bearer {key}"

    def __init__(self, sites: int = 3) -> None:
        super().__init__()
        self.sites = [
            {"hash": f"h{n}", "url": f"https://www{n}.acme.example/", "platform": "joomla"}
            for n in range(sites)
        ]

    def answer(self, request: Request) -> tuple[int, Any, Mapping[str, Any] | None]:
        path = request.path.removeprefix("/api/v1")
        if path == "/me":
            body = {"data": {"id": 7, "email": "audit@agency.example"}}
            return 200, body, _object({"data": _object({"id": _NUMBER})})
        if path == "/sites":
            return self._page(request, self.sites)
        if path.startswith("/sites/") and path.endswith("/audits"):
            return self._page(request, [{"id": 1, "created_at": "2026-11-01T05:00:00Z"}])
        return 404, {"message": "Not Found"}, None

    def _page(self, request: Request, rows: list[Any]) -> tuple[int, Any, Mapping[str, Any]]:
        size, number = min(100, int(request.args["per_page"])), int(request.args.get("page", 1))
        last = max(1, -(-len(rows) // size))
        body = {"data": rows[(number - 1) * size : number * size], "meta": {"last_page": last}}
        return (
            200,
            body,
            _object({"data": {"type": "array"}, "meta": _object({"last_page": _NUMBER})}),
        )


class Rdap(Vendor):
    """A registry: domain -> answer (RFC 9083)."""

    def __init__(self) -> None:
        super().__init__()
        self.domains: dict[str, dict[str, Any]] = {}

    def add(self, name: str, status: list[str], *, signed: bool, expires: str) -> None:
        """Register a domain."""
        card = ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", "Fast Names Ltd"]]]
        self.domains[name] = {
            "objectClassName": "domain",
            "ldhName": name,
            "status": status,
            "secureDNS": {"delegationSigned": signed},
            "events": [{"eventAction": "expiration", "eventDate": f"{expires}T00:00:00Z"}],
            "entities": [{"roles": ["registrar"], "vcardArray": card}],
        }

    def answer(self, request: Request) -> tuple[int, Any, Mapping[str, Any] | None]:
        found = self.domains.get(request.path.removeprefix("/domain/"))
        if found is None:
            return 404, {"errorCode": 404}, None
        return 200, found, _object({"objectClassName": _TEXT, "ldhName": _TEXT})


@contextmanager
def serving(application: Callable[..., Any]) -> Iterator[str]:
    """The address of `application` while it is served."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
