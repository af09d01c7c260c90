# SPDX-License-Identifier: GPL-3.0-or-later
"""A feature's files on a host: what is written, what goes, what is put back. Reloads are shown on
hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_config as config
from ansible_collections.ringfence.hosting.plugins.module_utils import _site_hooks as hooks
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Completed, Host

NGINX = """\
http {
    include /etc/nginx/conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
stream { server { listen 1; server_name a.example; } }
"""
SHOP = """\
# server { server_name a.example; }
server {
    listen 80;
    server_name a.example www.a.example;
}
server{ # the one with TLS
\tlisten 443 ssl; server_name a.example
      www.a.example; location / { return 200 "server {"; } }
server { server_name other.example; }
"""
APACHE = "IncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n"
BLOG = """\
#<VirtualHost *:80>
<VirtualHost *:80>
    ServerName B.example:80
    # ServerAlias other.example
</VirtualHost>
<IfModule mod_ssl.c>
<VirtualHost *:443 [::]:443>
\tServerAlias \\
      x.example "b.example"
\t</VirtualHost>
</IfModule>
<VirtualHost *:80>
    ServerName other.example
</VirtualHost>
"""
SITES: list[dict[str, Any]] = [
    {"client": "acme", "id": "shop", "domains": ["a.example", "www.a.example"]},
    {"client": "acme", "id": "blog", "domains": ["b.example"]},
]
SHOP_FILE = "/etc/nginx/ringfence/acme__shop/things.conf"
HTTP_FILE = "/etc/nginx/conf.d/ringfence_things.conf"
BLOG_FILE = "/etc/apache2/ringfence/acme__blog/after/things.conf"


class Tree(Host):
    """A host of files. `complaints`: program -> what it says where it refuses, once or for ever."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.complaints: dict[str, str] = {}
        self.ran: list[str] = []

    def run(self, argv: list[str], **_options: Any) -> Completed:  # type: ignore[override]
        self.ran.append(" ".join(argv))
        if argv[0].endswith(("a2enmod", "a2dismod")):
            for name in argv[2:]:
                if not name.startswith("-"):
                    place = Path(self.real(f"/etc/apache2/mods-enabled/{name}.load"))
                    place.touch() if "en" in argv[0] else place.unlink(missing_ok=True)
        said = self.complaints.get(argv[0].rpartition("/")[2], "")
        return Completed(1 if said else 0, "", said)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    for path, text in {
        "/etc/nginx/nginx.conf": NGINX,
        "/etc/nginx/sites-available/shop": SHOP,
        "/etc/apache2/apache2.conf": APACHE,
        "/etc/apache2/sites-enabled/blog.conf": BLOG,
    }.items():
        put(tmp_path, path, text)
    for folder in ("mods-enabled", "conf-available", "conf-enabled"):
        (tmp_path / "etc/apache2" / folder).mkdir()
    for folder in ("conf.d", "sites-enabled"):
        (tmp_path / "etc/nginx" / folder).mkdir()
    (tmp_path / "etc/nginx/sites-enabled/shop").symlink_to("../sites-available/shop")
    monkeypatch.setattr(config, "_reload", lambda _host, _name: True)
    monkeypatch.setattr(config.os, "chown", lambda *_args: None)
    return Tree(str(tmp_path))


def put(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def load(tree: Tree, files: dict[str, str], **more: Any) -> config.Plan:
    """Plan and carry out; what a second plan finds must be nothing."""
    wanted = {path: config.File(text.encode()) for path, text in files.items()}
    feature, modules = more.get("feature", "things"), more.get("modules", [])
    sites = more.get("sites", SITES)
    planned = config.plan(tree, feature, sites, wanted, modules)
    config.carry_out(tree, planned)
    tree.forget()
    assert not config.plan(tree, feature, sites, wanted, modules).changed
    return planned


def everything(tree: Tree) -> dict[str, bytes]:
    root = Path(tree.root)
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b"folder"
        for path in sorted(root.rglob("*"))
        if "var/" not in str(path.relative_to(root)) and path.name != "var"
    }


def test_files_and_their_lines_come_and_go_without_a_trace(tree: Tree) -> None:
    before = everything(tree)
    files = {SHOP_FILE: "deny all;\n", HTTP_FILE: "map a b {}\n", BLOG_FILE: "# b\n"}
    planned = load(tree, files)
    shop = tree.text("/etc/nginx/sites-available/shop") or ""
    line = "\n    include /etc/nginx/ringfence/acme__shop/*.conf;"
    assert shop.count(line) == 2
    assert f"server {{{line}\n    listen 80;" in shop
    assert f"server{{{line} # the one with TLS" in shop
    blog = (tree.text("/etc/apache2/sites-enabled/blog.conf") or "").splitlines()
    hooked = [n for n, row in enumerate(blog) if "IncludeOptional" in row]
    assert hooked == [2, 5, 9, 12]
    assert "before" in blog[2]
    assert "after" in blog[5]
    assert planned.hooked["acme__shop"] == [
        "/etc/nginx/sites-available/shop:2",
        "/etc/nginx/sites-available/shop:6",
    ]
    assert tree.text(SHOP_FILE) == "deny all;\n"
    load(tree, {})
    assert everything(tree) == before


def test_the_line_stays_while_another_feature_needs_it(tree: Tree) -> None:
    other = SHOP_FILE.replace("things", "other")
    load(tree, {SHOP_FILE: "a b;\n"})
    load(tree, {other: "c d;\n"}, feature="other")
    load(tree, {})
    assert "acme__shop" in (tree.text("/etc/nginx/sites-available/shop") or "")
    assert tree.text(other) == "c d;\n"
    load(tree, {}, feature="other")
    assert tree.text("/etc/nginx/sites-available/shop") == SHOP


def test_a_feature_leaves_the_files_of_others(tree: Tree) -> None:
    strange = {
        "/etc/nginx/conf.d/ringfence_thingsmore.conf": "",
        "/etc/nginx/conf.d/things.conf": "",
        "/etc/ringfence/sites/thing/a.txt": "",
    }
    for path, text in strange.items():
        put(Path(tree.root), path, text)
    load(tree, {"/etc/ringfence/sites/things/deep/a.txt": "1"})
    load(tree, {})
    assert all(tree.exists(path) for path in strange)
    assert not tree.exists("/etc/ringfence/sites/things")


@pytest.mark.parametrize(
    ("domains", "said"),
    [
        (["c.example"], "no server block of nginx names c.example"),
        (["a.example", "c.example"], "no server block of nginx names c.example"),
        (["other.example"], ""),
    ],
)
def test_a_site_that_does_not_fit_is_told_and_left_alone(
    tree: Tree, domains: list[str], said: str
) -> None:
    sites = [SITES[0], {"client": "acme", "id": "odd", "domains": domains}]
    odd = SHOP_FILE.replace("shop", "odd")
    put(Path(tree.root), odd, "as it was\n")
    wanted = {path: config.File(b"new\n") for path in (odd, SHOP_FILE)}
    if "a.example" in domains:
        sites = sites[1:]
        wanted.pop(SHOP_FILE)
    planned = config.plan(tree, "things", sites, wanted)
    config.carry_out(tree, planned)
    assert planned.refused == ([f"acme/odd: {said}"] if said else [])
    assert tree.text(odd) == ("as it was\n" if said else "new\n")
    assert (tree.text(SHOP_FILE) == "new\n") is (SHOP_FILE in wanted)


@pytest.mark.parametrize(
    ("configuration", "domain", "others", "said"),
    [
        ("server { server_name a.example b.example; }", "a.example", ["b.example"],
         ":1 serves b.example of another site as well: expected a block of its own"),
        ("server { server_name *.a.example; }", "x.a.example", ["y.a.example"],
         ":1 serves y.a.example of another site as well: expected a block of its own"),
        ("server { server_name ~^a\\.; }", "a.example", [],
         "no server block of nginx names a.example; {}:1 may match it by a pattern"),
        ("server { server_name .a.example; }", "x.a.example", [], None),
        ("server { server_name *.a.example; } server { server_name y.a.example; }",
         "x.a.example", ["y.a.example"], None),
    ],
)  # fmt: skip
def test_blocks_are_named_for_sure_or_not_at_all(
    tree: Tree, configuration: str, domain: str, others: list[str], said: str | None
) -> None:
    path = "/etc/nginx/sites-available/shop"
    put(Path(tree.root), path, configuration)
    blocks = hooks.nginx_blocks(tree)
    if said is None:
        assert [block.line for block in hooks.chosen(blocks, [domain], others, "nginx")] == [1]
        return
    with pytest.raises(hooks.HookError) as caught:
        hooks.chosen(blocks, [domain], others, "nginx")
    text = said.format(path)
    assert str(caught.value) == (f"{path}{text}" if text.startswith(":") else text)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/nginx/conf.d/ringfence_other.conf",
        "/etc/nginx/conf.d/ringfence_thingsx.conf",
        "/etc/nginx/ringfence/acme/things.conf",
        "/etc/nginx/ringfence/acme__shop/../../things.conf",
        "/etc/ringfence/sites/things/../x",
        "/etc/apache2/ringfence/acme__shop/things.conf",
    ],
)
def test_files_elsewhere_are_refused(tree: Tree, path: str) -> None:
    with pytest.raises(config.ConfigError, match="is no place for files of things"):
        config.plan(tree, "things", SITES, {path: config.File(b"")})


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        ("nginx", "nginx: [warn] x\nnginx: [emerg] unknown directive \"a\" in /f:3\nnginx: failed",
         'nginx refuses it: unknown directive "a" in /f:3; everything was put back'),
        ("apachectl", "AH00526: Syntax error on line 3 of /f:\nInvalid command 'x'\n",
         "Apache refuses it: Syntax error on line 3 of /f: Invalid command 'x'"),
        ("a2enmod", "ERROR: Module nonsense does not exist!", "nonsense does not exist"),
    ],
)  # fmt: skip
def test_what_a_server_refuses_is_put_back(tree: Tree, program: str, words: str, said: str) -> None:
    load(tree, {SHOP_FILE: "first;\n"})
    before = everything(tree)
    files = {
        "/etc/apache2/conf-available/ringfence_things.conf": "a\n",
        BLOG_FILE: "b\n",
        HTTP_FILE: "c\n",
    }
    wanted = {path: config.File(text.encode()) for path, text in files.items()}
    tree.forget()
    planned = config.plan(tree, "things", SITES, wanted, ["nonsense"])
    fails = Tree(tree.root)
    real = fails.run

    def once(argv: list[str], **options: Any) -> Completed:
        name = argv[0].rpartition("/")[2]
        # A test is passed before anything is written, and the next one is not.
        if name == program and (name in seen or name == "a2enmod"):
            fails.complaints[name] = words if name not in told else ""
            told.add(name)
        seen.add(name)
        return real(argv, **options)

    seen: set[str] = set()
    told: set[str] = set()
    fails.run = once  # type: ignore[method-assign]
    with pytest.raises(config.ConfigError) as caught:
        config.carry_out(fails, planned)
    assert said in str(caught.value)
    assert "everything was put back" in str(caught.value)
    assert everything(tree) == before


def test_data_are_there_until_workers_that_read_them_are_told_otherwise(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = "/etc/ringfence/sites/things/acme__blog.lua"
    load(tree, {BLOG_FILE: "a\n", data: "b\n"})
    seen: list[tuple[bool, bool]] = []

    def reload(host: Host, _name: str) -> bool:
        seen.append((host.exists(BLOG_FILE), host.exists(data)))
        return True

    monkeypatch.setattr(config, "_reload", reload)
    planned = load(tree, {}, sites=[])
    assert planned.changed
    assert set(seen) == {(False, True)}
    assert not tree.exists(data)
    assert not tree.exists("/etc/ringfence/sites")


def test_a_configuration_that_is_broken_already_is_told_and_nothing_is_written(tree: Tree) -> None:
    tree.complaints["nginx"] = 'nginx: [emerg] unknown directive "a" in /f:3'
    before = everything(tree)
    planned = config.plan(tree, "things", SITES, {HTTP_FILE: config.File(b"c\n")})
    with pytest.raises(config.ConfigError) as caught:
        config.carry_out(tree, planned)
    assert str(caught.value) == (
        "nginx refuses its configuration as it is, and nothing was changed: "
        'unknown directive "a" in /f:3'
    )
    assert everything(tree) == before


def test_modules_of_apache_go_with_the_last_need_unless_they_were_on_before(tree: Tree) -> None:
    put(Path(tree.root), "/etc/apache2/mods-enabled/rewrite.load", "")
    load(tree, {BLOG_FILE: "a\n"}, modules=["remoteip", "rewrite"])
    load(tree, {BLOG_FILE.replace("things", "other"): ""}, feature="other", modules=["remoteip"])
    load(tree, {})
    names = tree.names("/etc/apache2/mods-enabled")
    assert names == ["remoteip.load", "rewrite.load"]
    load(tree, {}, feature="other")
    assert tree.names("/etc/apache2/mods-enabled") == ["rewrite.load"]
    assert not tree.exists("/var/lib/ringfence")
    assert not tree.exists("/etc/ringfence")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feature": "a_b"}, "feature: found a_b, expected 2 to 30 small letters"),
        ({"files": {HTTP_FILE: {"text": "", "mode": "0666"}}}, "found mode 0666, expected one of"),
        ({"files": {HTTP_FILE: {"staged": "/nowhere"}}}, "/nowhere cannot be read"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(change: dict[str, Any], said: str) -> None:
    given = {"feature": "things", "sites": [], "files": {}, **change}
    with pytest.raises(config.ConfigError, match=said):
        config.parse(json.dumps(given))


def test_a_server_that_is_not_there_is_told(tree: Tree) -> None:
    Path(tree.real("/etc/apache2/apache2.conf")).unlink()
    planned = config.plan(tree, "things", SITES, {BLOG_FILE: config.File(b"")})
    assert planned.refused == ["acme/blog: Apache is not installed"]
    whole = "/etc/apache2/conf-available/ringfence_things.conf"
    with pytest.raises(config.ConfigError, match="Apache is not installed on this host"):
        config.plan(tree, "things", SITES, {whole: config.File(b"")})
    put(Path(tree.root), "/etc/nginx/nginx.conf", "http { }\n")
    with pytest.raises(config.ConfigError, match=r"does not include conf.d/\*.conf in http"):
        config.plan(tree, "things", SITES, {HTTP_FILE: config.File(b"")})


def test_long_files_are_shown_by_their_length() -> None:
    change = config.Change("/x", None, b"1.1.1.1;\n" * 1000)
    planned = config.Plan(changes=[change])
    assert config.diffs(planned)[0]["after"] == "(1000 lines, 9000 bytes)\n"
