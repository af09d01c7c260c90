# SPDX-License-Identifier: GPL-3.0-or-later
"""Who passes a gate and who does not, on real hosts with real WordPress behind it."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hosts.gate.conftest import HOSTS, PASSWORD, WEB, Gates, shell
from tests.hosts.gate.visitor import Page, Visitor
from tests.hosts.sites import visits

pytestmark = pytest.mark.hosts

ADMIN = "https://shop.example/wp-admin/"
_WRONG_PASSWORD, _WRONG_CODE, _LOCKED, _SIGNED_OUT = 5, 96, 86, 47
_LEFT = """
find /etc /usr/local /var/lib /run -xdev -name '*ringfence*gate*'
getent passwd ringfence-gate || true
grep -rls ringfence /etc/nginx /etc/apache2 || true
"""
each_host = pytest.mark.parametrize("host", HOSTS)


@pytest.fixture(scope="module", autouse=True)
def enrolled(gates: Gates) -> None:
    """Dana and ada have enrolled on both hosts; other files begin with nobody."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(gates.enrol, HOSTS))


def code_page(
    gates: Gates, host: str, user: str = "dana", site: str = ADMIN
) -> tuple[Visitor, Page]:
    """Somebody who gave user and password, and is asked for the code."""
    visitor = gates.visitor(host)
    page = visitor.sign_in(site, user, PASSWORD)
    assert "code" in page.form(), page.text
    return visitor, page


@each_host
@pytest.mark.parametrize(
    "path",
    ["/wp-admin/", "/wp-login.php", "//wp-admin/", "/%77p-admin/index.php", "/wp-login.php/x",
     "/x/../wp-admin/", "/wp-admin/admin-post.php", "/wp-admin/admin-ajax.php/x", "/wp-admin"],
)  # fmt: skip
def test_no_spelling_of_an_admin_path_opens_without_a_session(
    gates: Gates, host: str, path: str
) -> None:
    ask = "curl -ks --path-as-is -o /dev/null -w '%{http_code} %{redirect_url}'"
    ask += " --resolve shop.example:443:127.0.0.1"
    said = shell(gates, host, f"{ask} 'https://shop.example{path}'")
    assert re.match(r"302 https://gate\.example/\?url=", said), said


@each_host
def test_the_session_of_one_site_opens_no_other_whatever_is_written_in_the_request(
    gates: Gates, host: str
) -> None:
    person = gates.people[host, "dana"]
    visitor, page = code_page(gates, host)
    assert visitor.give_code(page, person.token.next()).host == "shop.example"
    found = {(one.domain.lstrip("."), one.name): one.value for one in visitor.cookies}
    shops, portals = (found[name, "ringfencegate"] for name in ("shop.example", "gate.example"))

    def says(cookie: str, site: str, *more: str) -> str:
        return shell(
            gates, host,
            "curl -ks -o /dev/null -w '%{http_code}' --resolve '*:443:127.0.0.1' "
            f"-H 'Cookie: ringfencegate={cookie}' {' '.join(more)} https://{site}/wp-login.php",
        ).strip()  # fmt: skip

    assert says(shops, "shop.example") == "200"
    absolute = "--request-target https://blog.example/wp-login.php"
    for cookie in (shops, portals):
        tried = {
            "the cookie as it is": says(cookie, "blog.example"),
            "the blog in the request line": says(cookie, "shop.example", absolute),
            "the blog in the header": says(cookie, "shop.example", "-H 'Host: blog.example'"),
            "the shop in the header": says(
                cookie, "blog.example", "-H 'Host: shop.example'", absolute
            ),
            "with another's name": says(cookie, "blog.example", "-H 'Auth-User: ada'"),
            "posted": says(cookie, "blog.example", "-d log=boss -d pwd=sign-in-blog"),
        }
        assert set(tried.values()) <= {"302", "400", "403", "421"}, tried
    visitor.get("https://gate.example/?logout=1")
    assert says(shops, "shop.example") == "302"


@each_host
def test_what_visitors_need_stays_open_and_what_nobody_needs_is_shut(
    gates: Gates, host: str
) -> None:
    visitor = gates.visitor(host)
    assert gates.crawl(host) == gates.public[host]
    assert visitor.get("https://shop.example/wp-admin/admin-ajax.php").status == 400
    assert visitor.get("https://shop.example/xmlrpc.php").status == 403
    assert visitor.get("https://plain.example/").status == 200
    for path in ("sessions/global", "config/latest", "index.psgi", "metadata"):
        assert visitor.get(f"https://gate.example/{path}").status == 404


def test_a_password_that_the_site_itself_asks_for_is_asked_for_as_before(gates: Gates) -> None:
    own = 'location /members/ { auth_basic "members"; auth_basic_user_file /dev/null; }'
    path = "/etc/nginx/sites-available/shop.conf"
    edit = f"cp {path} /root/kept && sed -i 's|client_max_body_size 16m;|& {own}|' {path}"
    shell(gates, "web1", f"{edit} && nginx -t -q && systemctl reload nginx")
    ask = "curl -ksi --resolve shop.example:443:127.0.0.1 https://shop.example/members/"
    said = shell(
        gates, "web1", f"for _ in $(seq 50); do {ask} | grep -q ' 401' && break; done; {ask}"
    )
    shell(gates, "web1", f"cat /root/kept > {path} && nginx -t -q && systemctl reload nginx")
    assert " 401" in said.splitlines()[0], said
    assert 'www-authenticate: basic realm="members"' in said.lower(), said


# The site itself, or somebody on its server, opens the sign-in of WordPress past the gate.
_PAST_THE_GATE = {
    "web1": "sed -i 's|client_max_body_size 16m;|& location = /wp-login.php "
    "{ auth_request off; return 200 open; }|' /etc/nginx/sites-available/shop.conf"
    " && nginx -t -q && systemctl reload nginx",
    "web2": "sed -i /acme__shop.after/d /etc/apache2/sites-available/shop.conf"
    " && systemctl reload apache2",
}


@each_host
def test_the_audit_sees_by_trying_that_a_gate_can_be_passed(gates: Gates, host: str) -> None:
    server, closed = WEB[host], "second_factor_site_gate_closed"
    found, said = gates.audit(host)
    assert found[closed] == "pass", said
    conf = f"/etc/{'nginx' if server == 'nginx' else 'apache2'}/sites-available/shop.conf"
    shell(gates, host, f"cp -p {conf} /root/kept-shop && {_PAST_THE_GATE[host]}")
    _until(gates, host, "200")
    found, said = gates.audit(host)
    unit = "nginx" if server == "nginx" else "apache2"
    shell(gates, host, f"cat /root/kept-shop > {conf} && systemctl reload {unit}")
    _until(gates, host, "302")
    assert found[closed] == "fail", said
    assert re.search(r"/wp-\S+ answers (200|302 to shop\.example)", said), said
    assert gates.audit(host)[0][closed] == "pass"


def _until(gates: Gates, host: str, status: str) -> None:
    """A reload takes effect when new workers answer."""
    ask = "curl -ks -o /dev/null -w '%{http_code}' --resolve shop.example:443:127.0.0.1"
    ask += f" https://shop.example/wp-login.php | grep -q {status} && exit 0; sleep 0.5"
    shell(gates, host, f"for _ in $(seq 60); do {ask}; done; exit 1")


@each_host
def test_a_password_alone_opens_nothing(gates: Gates, host: str) -> None:
    visitor, _page = code_page(gates, host)
    assert visitor.get(ADMIN).host == "gate.example"
    assert visitor.get("https://gate.example/2fregisters").host == "gate.example"
    assert visitor.get(ADMIN).host == "gate.example"


@each_host
def test_the_right_code_opens_the_site_and_no_other(gates: Gates, host: str) -> None:
    person = gates.people[host, "dana"]
    visitor, page = code_page(gates, host)
    code = person.token.ahead()
    done = visitor.give_code(page, code)
    assert done.host == "shop.example"
    assert "Log In" in done.text
    watcher, page = code_page(gates, host)
    assert watcher.give_code(page, code).says(_WRONG_CODE), "it would still be taken, but was used"
    assert watcher.get(ADMIN).host == "gate.example"
    assert visitor.get("https://blog.example/wp-login.php").status == 403
    assert visitor.get("https://gate.example/?logout=1").says(_SIGNED_OUT)
    assert visitor.get("https://shop.example/wp-login.php").host == "gate.example"


@each_host
def test_a_wrong_code_a_used_one_and_a_wrong_password_are_refused(gates: Gates, host: str) -> None:
    person = gates.people[host, "dana"]
    for code in ("000000", person.token.shown):
        visitor, page = code_page(gates, host)
        said = visitor.give_code(page, code)
        assert said.says(_WRONG_CODE), said.text
        assert visitor.get(ADMIN).host == "gate.example"
    assert gates.visitor(host).sign_in(ADMIN, "dana", "a wrong one").says(_WRONG_PASSWORD)
    assert gates.visitor(host).sign_in(ADMIN, "nobody", PASSWORD).says(_WRONG_PASSWORD)
    visitor, page = code_page(gates, host)
    done = visitor.give_code(page, person.token.next())
    assert done.host == "shop.example", "three refusals in a row are no lockout yet"


@each_host
def test_a_recovery_code_works_once(gates: Gates, host: str) -> None:
    code = gates.people[host, "ada"].recovery[0]
    visitor, page = code_page(gates, host, "ada")
    assert visitor.give_code(page, code.upper()).host == "shop.example"
    visitor, page = code_page(gates, host, "ada")
    assert visitor.give_code(page, code).says(_WRONG_CODE)


@each_host
def test_a_session_ends_when_it_should(gates: Gates, host: str) -> None:
    """The clock of a session is turned back on the host, in the session itself."""
    person = gates.people[host, "ada"]
    visitor, page = code_page(gates, host, "ada")
    visitor.give_code(page, person.token.next())
    assert visitor.get("https://shop.example/wp-login.php").host == "shop.example"
    shell(gates, host, _AGE.format(seconds=8 * 3600 + 60))
    assert visitor.get("https://shop.example/wp-login.php").host == "gate.example"


_AGE = r"""
python3 - <<'PY'
import json, pathlib
aged = 0
for path in pathlib.Path('/var/lib/ringfence-gate/sessions').iterdir():
    if path.is_file():
        session = json.loads(path.read_text())
        if '_utime' in session:
            session['_utime'] = int(session['_utime']) - {seconds}
            path.write_text(json.dumps(session))
            aged += 1
assert aged
PY
"""


@each_host
def test_too_many_refusals_lock_the_person_out_and_the_right_password_too(
    gates: Gates, host: str
) -> None:
    for _number in range(5):
        said = gates.visitor(host).sign_in(ADMIN, "ada", "a wrong one")
    assert said.says(_WRONG_PASSWORD) or said.says(_LOCKED)
    assert gates.visitor(host).sign_in(ADMIN, "ada", PASSWORD).says(_LOCKED)
    visitor, page = code_page(gates, host, "dana")
    done = visitor.give_code(page, gates.people[host, "dana"].token.next())
    assert done.host == "shop.example", "another person is not hit"
    log = shell(gates, host, "journalctl -t ringfence-gate -o cat --no-pager")
    assert "refused reason=locked user=ada address=" in log
    assert "refused reason=used_code user=dana address=" in log
    table = gates.apply(name="gate_status.yml").output
    assert re.search(r"ada +may pass acme/blog, acme/shop; enrolled .*; locked until", table), table


@each_host
def test_wrong_and_used_codes_lock_as_well_until_the_time_is_over(gates: Gates, host: str) -> None:
    person = gates.people[host, "dana"]
    for code in ("000000", person.token.shown, "no-code", "000000", person.token.shown):
        visitor, page = code_page(gates, host)
        assert visitor.give_code(page, code).host == "gate.example"
    assert gates.visitor(host).sign_in(ADMIN, "dana", PASSWORD).says(_LOCKED)
    shell(gates, host, _UNLOCK)
    visitor, page = code_page(gates, host)
    done = visitor.give_code(page, person.token.next())
    assert done.host == "shop.example", "the lock is over"


# The lock was to end a second ago.
_UNLOCK = r"""
python3 - <<'PY'
import json, pathlib, time
path = pathlib.Path('/var/lib/ringfence-gate/users/dana.json')
account = json.loads(path.read_text())
assert 1700 < account['locked_until'] - time.time() <= 1800
account['locked_until'] = int(time.time()) - 1
path.write_text(json.dumps(account))
PY
"""


@each_host
def test_nothing_secret_is_told(gates: Gates, host: str) -> None:
    """Not in the web servers' logs nor in the journal; at rest it is the gate's own."""
    person = gates.people[host, "dana"]
    link, screen = gates.link_refused(host, "dana")
    assert link == "", screen
    logs = "cat /var/log/nginx/*.log /var/log/apache2/*.log 2>/dev/null"
    seen = shell(gates, host, f"{logs}; journalctl --no-pager")
    for secret in (person.token.secret, PASSWORD, "/enrol/", *person.recovery):
        assert secret not in seen
    state = "/var/lib/ringfence-gate"
    paths = f"{state} {state}/users {state}/users/dana.json /etc/ringfence-gate/conf/lmConf-1.json"
    modes = shell(gates, host, f"stat -c '%a %U' {paths}")
    assert modes.split("\n")[:4] == [
        "700 ringfence-gate", "700 ringfence-gate", "600 ringfence-gate", "640 root",
    ]  # fmt: skip
    run_as = "systemctl show -p User --value ringfence-gate"
    assert shell(gates, host, run_as).strip() == "ringfence-gate"


_MOVE_END = r"""
python3 - <<'PY'
import json, pathlib
[path] = pathlib.Path('/var/lib/ringfence-gate/links').glob('*.json')
link = json.loads(path.read_text())
link['expires'] += {seconds}
path.write_text(json.dumps(link))
PY
"""


def test_the_operator_sees_the_link_once_and_nowhere_else(gates: Gates) -> None:
    given = ("-e", "gate_user=dana", "-e", "gate_reason='phone lost'")
    done = gates.apply("--limit", "web1", *given, name="gate_reset.yml")
    assert done.returncode == 0, done.output
    older, _screen = gates.link("web1", "dana")
    assert gates.visitor("web1").get(older).status == 200
    link, screen = gates.link("web1", "dana")
    assert gates.visitor("web1").get(older).status == 404, "a new link takes the older one back"
    shell(gates, "web1", _MOVE_END.format(seconds=-25 * 3600))
    assert gates.visitor("web1").get(link).status == 404, "a link ends after a day"
    shell(gates, "web1", _MOVE_END.format(seconds=25 * 3600))
    token = link.rpartition("/")[2]
    assert screen.text.count(token) == 1
    assert token not in screen.after_leaving()
    visitor = gates.visitor("web1")
    assert visitor.get(link).status == 200
    assert "Begin" in visitor.get(link).text, "to look at a link uses nothing up"
    short = visitor.post(link, step="finish", password="short", again="short", code="1")
    assert "at least 12" in short.text
    gates.people["web1", "dana"] = visitor.enrol(link, PASSWORD)
    assert gates.visitor("web1").get(link).status == 404
    history = shell(gates, "web1", "cat /var/lib/ringfence-gate/history.jsonl")
    assert '"event": "reset"' in history
    assert "phone lost" in history


def test_a_second_apply_changes_nothing_and_who_is_named_no_more_is_out(gates: Gates) -> None:
    again = gates.apply()
    assert again.returncode == 0, again.output
    assert len(re.findall(r"changed=0 ", again.output)) == len(HOSTS), again.output
    visitor, page = code_page(gates, "web1", "dana")
    visitor.give_code(page, gates.people["web1", "dana"].token.next())
    assert visitor.get("https://shop.example/wp-login.php").host == "shop.example"
    checked = gates.apply("--limit", "web1", "--check", "--diff", users=("ada",))
    assert "changed=1" in checked.output
    key = json.loads(shell(gates, "web1", "cat /etc/ringfence-gate/conf/lmConf-1.json"))["key"]
    assert len(key) > 20
    assert key not in checked.output
    assert visitor.get("https://shop.example/wp-login.php").status == 200, "--check changes nothing"
    gates.apply("--limit", "web1", users=("ada",))
    assert visitor.get("https://shop.example/wp-login.php").status == 403
    assert gates.visitor("web1").sign_in(ADMIN, "dana", PASSWORD).says(_WRONG_PASSWORD)


def test_what_cannot_be_is_refused_in_one_line_before_anything_is_written(gates: Gates) -> None:
    for options, said in (
        (("-e", "site_gate_portal=shop.example"), "shop.example is a domain of acme/shop"),
        (("-e", "site_gate_portal=''"), "expected the domain that its sign-in page has"),
        (("-e", "site_gate_certificate=/etc/ssl/none.pem"), "/etc/ssl/none.pem: there is no such"),
    ):
        done = gates.apply("--limit", "web1", *options)
        assert done.returncode != 0
        assert said in done.output, done.output
    assert "changed=0" in gates.apply("--limit", "web1", users=("ada",)).output


def test_taken_out_of_the_register_nothing_is_left(gates: Gates) -> None:
    """The last one: the gate goes, and each site is what it was."""
    gone = gates.apply(gate=False)
    assert gone.returncode == 0, gone.output
    again = gates.apply(gate=False)
    assert len(re.findall(r"changed=0 ", again.output)) == len(HOSTS), again.output
    for host in HOSTS:
        assert gates.crawl(host) == gates.public[host]
        assert "Log In" in gates.visitor(host).get("https://shop.example/wp-login.php").text
        left = shell(gates, host, _LEFT)
        assert left.strip() == "", left
        visits.end(gates.servers, host)
