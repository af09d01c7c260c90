# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the interfaces of third parties tell of who can get at what is kept there.

Each connector picks the fields that it names and passes over all others: answers also carry
transfer codes, tokens and passwords. What an interface does not tell is coverage `not_collected`,
to be attested; so is what it refuses. Sources: the vendors' published contracts.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.ringfence.hosting.plugins.module_utils import _access_row as shape
from ansible_collections.ringfence.hosting.plugins.module_utils import _mailchimp, _rest

ATTEST = "its interface does not tell: attest it in third_parties.yml"
_SECRET_SIGNS = re.compile(r"[^ -~]|\s")


class SettingError(Exception):
    """What is missing or wrong among what the operator gave, in one line."""


@dataclass
class Collected:
    """What came of one third party."""

    rows: list[shape.Row] = field(default_factory=list)
    covered: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def read(self, source: str, count: int) -> None:
        """Note that all of a source was read."""
        self.covered.append(shape.coverage(source, "read", count=count))

    def attest(self, *sources: str) -> None:
        """Note what no interface tells."""
        self.covered += [shape.coverage(one, "not_collected", ATTEST) for one in sources]

    def try_to(self, source: str, look: Callable[[], int]) -> None:
        """Have `look` read a source, and note how that went; it returns how many things it saw."""
        try:
            self.read(source, look())
        except _rest.Refused as refused:
            self.covered.append(shape.coverage(source, "not_collected", str(refused)))
        except (_rest.RestError, KeyError, TypeError, ValueError, AttributeError) as error:
            said = (
                str(error) if isinstance(error, _rest.RestError) else "an answer of another shape"
            )
            self.covered.append(shape.coverage(source, "failed", said))


@dataclass(frozen=True)
class Settings:
    """`base`: another address than the vendor's, for tests of it. Secrets go into headers only.

    `emails`: of somebody to be looked up, where the interface can.
    """

    key: str = ""
    secret: str = ""
    base: str = ""
    seconds: float = 20.0
    emails: tuple[str, ...] = ()

    def need(self, *names: str) -> None:
        """Raises SettingError for the first of `names` that is empty or no token."""
        for name in names:
            value = getattr(self, name)
            if not value:
                raise SettingError(f"{name}: is missing")
            if _SECRET_SIGNS.search(value):
                raise SettingError(f"{name}: holds blanks or other signs that no key has")


def collect(connector: str, settings: Settings) -> Collected:
    """Ask a third party by the name of its connector. Raises SettingError."""
    return CONNECTORS[connector](settings)


def _api(settings: Settings, base: str, **headers: str) -> _rest.Api:
    return _rest.Api(settings.base or base, headers, settings.seconds)


# --- GoDaddy: domains


def _godaddy(settings: Settings) -> Collected:
    settings.need("key", "secret")
    authorization = f"sso-key {settings.key}:{settings.secret}"
    api = _api(settings, "https://api.godaddy.com", Authorization=authorization)
    found = Collected()

    def domains() -> int:
        rows: list[dict[str, Any]] = []
        query: dict[str, object] = {"limit": 1000, "includes": "nameServers"}
        while True:
            page = api.get("/v1/domains", query)
            rows += [_godaddy_domain(one) for one in page]
            if len(page) < 1000 or query.get("marker") == page[-1]["domain"]:
                break
            query["marker"] = page[-1]["domain"]
        found.facts["registrations"] = rows
        return len(rows)

    found.try_to("domains", domains)
    found.attest("users and delegates", "second factor", "API keys")
    return found


def _godaddy_domain(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "domain": str(said["domain"]).lower(),
        "status": said.get("status"),
        "transfer_lock": said.get("locked"),
        "protected": said.get("transferProtected"),
        "privacy": said.get("privacy"),
        "auto_renew": said.get("renewAuto"),
        "expires": str(said.get("expires") or "")[:10],
        "name_servers": sorted(str(one).lower() for one in said.get("nameServers") or []),
    }


# --- CDN77: resources and origins


def _cdn77(settings: Settings) -> Collected:
    settings.need("key")
    api = _api(settings, "https://api.cdn77.com", Authorization=f"Bearer {settings.key}")
    found = Collected()

    def resources() -> int:
        rows = [_cdn77_resource(api, one["id"]) for one in api.get("/v3/cdn")]
        found.facts["resources"] = rows
        return len(rows)

    def certificates() -> int:
        rows = api.get("/v3/ssl/sni")
        found.facts["certificates"] = [
            {
                "id": one["id"],
                "names": one.get("cnames") or [],
                "expires": str(one.get("expires_at") or "")[:10],
            }
            for one in rows
        ]
        return len(rows)

    def origins() -> int:
        rows = api.get("/v3/origin")
        for one in rows:
            if one.get("type") == "aws":
                found.rows.append(_cdn77_key(api.get(f"/v3/origin/aws/{one['id']}")))
        return len(rows)

    found.try_to("resources", resources)
    found.try_to("certificates", certificates)
    found.try_to("origins", origins)
    found.attest("users", "second factor", "API tokens")
    return found


def _cdn77_resource(api: _rest.Api, number: object) -> dict[str, Any]:
    said = api.get(f"/v3/cdn/{number}")
    names = api.get(f"/v3/cdn/{number}/cname")
    protections = ("ip_protection", "geo_protection", "hotlink_protection", "secure_token")
    return {
        "id": number,
        "label": said.get("label"),
        "names": sorted(str(one.get("cname")) for one in names),
        **{name: (said.get(name) or {}).get("type") for name in protections},
        "waf": bool((said.get("waf") or {}).get("enabled")) if "waf" in said else None,
        "https_redirect": (said.get("https_redirect") or {}).get("enabled"),
        "ssl": (said.get("ssl") or {}).get("type"),
    }


def _cdn77_key(said: Mapping[str, Any]) -> shape.Row:
    """The key with which the CDN reads a bucket: whose it is, IAM tells."""
    return shape.row(
        "cdn",
        said["id"],
        str(said.get("label") or said["id"]),
        account_type="service",
        roles=["reads an origin"],
        credential_type="aws_access_key",
        details={"credential": said.get("aws_access_key_id"), "bucket": said.get("bucket_name")},
    )


# --- Mailchimp: the key's owner, applications, webhooks


def mailchimp_api(settings: Settings) -> _rest.Api:
    """The interface of an account. Raises SettingError."""
    settings.need("key")
    _key, separator, centre = settings.key.rpartition("-")
    if not separator or not re.fullmatch(r"[a-z]{2,3}\d{1,3}", centre):
        raise SettingError("key: expected one that ends in a data centre, such as -us21")
    packed = base64.b64encode(f"ringfence:{settings.key}".encode()).decode()
    base = f"https://{centre}.api.mailchimp.com/3.0"
    return _api(settings, base, Authorization=f"Basic {packed}")


def _of_mailchimp(settings: Settings) -> Collected:
    api, found = mailchimp_api(settings), Collected()
    for source, look in _MAILCHIMP.items():
        found.try_to(source, partial(look, api, found))
    if settings.emails:
        look = partial(_mailchimp_entries, api, found, settings.emails)
        found.try_to("members and customers looked for", look)
    found.attest("other users", "second factor", "other API keys")
    return found


def _mailchimp_owner(api: _rest.Api, found: Collected) -> int:
    said = api.get("/", {"fields": "account_id,username,email,role,last_login,account_name"})
    found.rows.append(
        shape.row(
            "console",
            said["account_id"],
            str(said.get("email") or said.get("username")),
            roles=[str(said["role"])],
            privileged=said["role"] in ("owner", "admin"),
            last_login=str(said.get("last_login") or ""),
            credential_type="api_key",
            grant_path=["the key that was asked with"],
            details={"login": said.get("username")},
        )
    )
    return 1


def _mailchimp_applications(api: _rest.Api, found: Collected) -> int:
    rows = list(api.counted("/authorized-apps", "apps", {}, 1000))
    found.rows += [
        shape.row(
            "console",
            app["id"],
            str(name),
            account_type="service",
            roles=["linked application"],
            grant_path=[str(app.get("name") or app["id"])],
            credential_type="oauth_application",
            details={"credential": app["id"]},
        )
        for app in rows
        for name in app.get("users") or ["unknown"]
    ]
    return len(rows)


def _mailchimp_webhooks(api: _rest.Api, found: Collected) -> int:
    fields = {"fields": "lists.id,lists.name,total_items"}
    # The address may carry a secret behind its host.
    rows = [
        {"list": one.get("name"), "host": urlsplit(str(hook["url"])).hostname}
        for one in api.counted("/lists", "lists", fields, 1000)
        for hook in api.counted(f"/lists/{one['id']}/webhooks", "webhooks", {}, 1000)
    ]
    found.facts["webhooks"] = rows
    return len(rows)


def _mailchimp_sites(api: _rest.Api, found: Collected) -> int:
    rows = list(api.counted("/connected-sites", "sites", {}, 1000))
    found.facts["connected_sites"] = sorted(str(one.get("domain")) for one in rows)
    return len(rows)


def _mailchimp_domains(api: _rest.Api, found: Collected) -> int:
    rows = list(api.counted("/verified-domains", "domains", {}, 1000))
    kept = ("verified", "authenticated")
    found.facts["sending_domains"] = [
        {"domain": one["domain"], **{key: one.get(key) for key in kept}} for one in rows
    ]
    return len(rows)


def _mailchimp_entries(api: _rest.Api, found: Collected, emails: Iterable[str]) -> int:
    rows = _mailchimp.entries(api, emails)
    # The address is not repeated: the id tells who it is to whoever knows the address.
    found.facts["entries"] = [
        {"kind": one.kind, "holder": one.title, "person": _mailchimp.member_id(one.email),
         "status": one.status}
        for one in rows
    ]  # fmt: skip
    return len(rows)


_MAILCHIMP = {
    "owner of the key": _mailchimp_owner,
    "linked applications": _mailchimp_applications,
    "webhooks": _mailchimp_webhooks,
    "connected sites": _mailchimp_sites,
    "sending domains": _mailchimp_domains,
}


# --- mySites.guru: the account, its sites


def _mysites_guru(settings: Settings) -> Collected:
    settings.need("key")
    base = "https://manage.mysites.guru/api/v1"
    api = _api(settings, base, Authorization=f"Bearer {settings.key}")
    found = Collected()

    def account() -> int:
        said = api.get("/me")
        said = said.get("data", said)
        found.rows.append(
            shape.row(
                "console",
                said["id"],
                str(said.get("email") or said["id"]),
                roles=["owner of the token"],
                privileged=True,
                credential_type="oauth_token",
                grant_path=["reaches every site of the account by its connector"],
            )
        )
        return 1

    def sites() -> int:
        rows = list(
            api.numbered(
                "/sites",
                "data",
                {"per_page": 100},
                last=lambda page: int(page["meta"]["last_page"]),
            )
        )
        found.facts["audited_sites"] = [_mysites_guru_site(api, one) for one in rows]
        return len(rows)

    found.try_to("account", account)
    found.try_to("sites", sites)
    found.attest("other users", "second factor")
    return found


def _mysites_guru_site(api: _rest.Api, said: Mapping[str, Any]) -> dict[str, Any]:
    audits = api.get(f"/sites/{said['hash']}/audits", {"per_page": 1, "page": 1})
    newest = (audits.get("data") or [{}])[0]
    return {
        "hash": said["hash"],
        "site": urlsplit(str(said.get("url") or "")).hostname,
        "cms": said.get("platform"),
        "last_audit": str(newest.get("created_at") or ""),
    }


CONNECTORS: Mapping[str, Callable[[Settings], Collected]] = {
    "cdn77": _cdn77,
    "godaddy": _godaddy,
    "mailchimp": _of_mailchimp,
    "mysites_guru": _mysites_guru,
}
