# SPDX-License-Identifier: GPL-3.0-or-later
"""The strict reader of Apache's configuration: nothing skipped, nothing guessed, never a crash."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _apache, _apache_request
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_LINES = st.text(alphabet="ab$_/.~\\\"'{}<>#! \n\té*[", max_size=60)
_PIECES = st.sampled_from(
    [
        "<Directory /a>",
        "</Directory>",
        "<IfModule mod_x.c>",
        "<IfModule !mod_x.c>",
        "</IfModule>",
        "<VirtualHost *:80>",
        "</VirtualHost>",
        "<Macro M $a>",
        "</Macro>",
        "Use M b",
        "Define X y",
        "Include conf-enabled/*.conf",
        "ServerTokens ${X} $a",
        "Options -Indexes \\",
    ]
)


def _read(folder: Path, text: str) -> _apache.Configuration:
    (folder / "etc/apache2").mkdir(parents=True, exist_ok=True)
    (folder / "etc/apache2/apache2.conf").write_text(text, encoding="utf-8")
    return _apache.read(Host(str(folder)))


def _site(folder: Path, text: str) -> _apache.Site:
    return _read(folder, f"<VirtualHost *:80>\n{text}\n</VirtualHost>").sites()[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<Directory /a>", "apache2.conf:1 cannot be understood: <directory> is not closed"),
        ("A b\n</Directory>", "apache2.conf:2 cannot be understood: </Directory> closes nothing"),
        ("<Directory /a>\n</Files>\n", "apache2.conf:2 cannot be understood: </Files> closes <dir"),
        ("<Directory /a\n", "apache2.conf:1 cannot be understood: a section without its closing >"),
        (
            "<IfModule mod_none.c>\n",
            "apache2.conf:1 cannot be understood: <ifmodule> is not closed",
        ),
        ("Include a b", "apache2.conf:1 cannot be understood: it takes one file"),
        ("Include ${NONE}/x", "apache2.conf:1 cannot be followed"),
        ("Use Nothing", "apache2.conf:1 cannot be followed: Use Nothing"),
        ("<IfVersion >= 2.4>\n</IfVersion>", "dpkg-query"),
        ("<IfDirective X>\n</IfDirective>", "apache2.conf:1: <ifdirective> cannot be followed"),
        ("<Perl>\n</Perl>", "apache2.conf:1: <Perl> cannot be followed"),
        ("Include apache2.conf", "includes nest too deep"),
        ("a \0", "holds a null byte"),
    ],
)
def test_what_apache_would_refuse_is_told_by_its_line(
    tmp_path: Path, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_packages(_host: Host) -> dict[str, str]:
        raise HostError("dpkg-query does not answer")

    monkeypatch.setattr(Host, "installed_packages", no_packages)
    with pytest.raises(HostError) as error:
        _read(tmp_path, text)
    assert said in str(error.value)


@given(st.one_of(_LINES, st.lists(st.one_of(_PIECES, _LINES), max_size=8).map("\n".join)))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    with suppress(HostError):
        for site in _read(tmp_path, text).sites():
            assert site.label
            assert _apache_request.answer(_apache_request.Request(Host("/nowhere"), site, "/", ()))


_PLAIN = st.text(
    alphabet=st.characters(
        codec="utf-8", exclude_characters='\0\r\n"\\$', exclude_categories=["Zs", "Zl", "Zp", "Cc"]
    ),
    min_size=1,
    max_size=12,
)


@given(st.lists(_PLAIN, min_size=1, max_size=4))
def test_what_is_quoted_is_read_back_whole(words: list[str]) -> None:
    assert _apache.words(" ".join(f'"{word} x"' for word in words)) == [f"{w} x" for w in words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        (r'"a \"b\" c" d', ['a "b" c', "d"]),
        (r'"^\.ht" "a\\b"', [r"^\.ht", r"a\b"]),
        ("'a b", ["a b"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert _apache.words(text) == expected


def test_conditions_variables_and_macros_are_followed(tmp_path: Path) -> None:
    text = """
        Define ROOT /srv
        LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
        <IfModule mod_ssl.c>
            <IfModule !headers_module>
                ServerTokens Prod
            </IfModule>
            <IfModule headers_module>
                Nonsense <
            </IfModule>
        </IfModule>
        <Macro Site $name $names>
            <VirtualHost *:443>
                ServerName $name
                ServerAlias $names
                DocumentRoot ${ROOT}/$name
                SSLEngine on
            </VirtualHost>
        </Macro>
        Use Site a.example "b.example"
    """
    configuration = _read(tmp_path, text)
    (site,) = configuration.sites()
    assert [at.args for at in configuration.main.own("servertokens")] == [["Prod"]]
    assert (site.names, site.root, site.tls) == (["a.example", "b.example"], "/srv/a.example", True)
    assert site.place == f"{_apache.MAIN}:13"


def test_the_main_server_answers_where_no_virtual_host_listens(tmp_path: Path) -> None:
    hosts = "<VirtualHost 192.0.2.1:443>\n</VirtualHost>\n"
    for listen, count in (("Listen 443", 1), ("Listen 80\nListen 443", 2)):
        assert len(_read(tmp_path, f"{listen}\n{hosts}").sites()) == count


@pytest.mark.parametrize(
    ("uri", "outcome"),
    [
        ("/", "served"),
        ("/x.php", "executed"),
        ("/plain/x.php", "served"),
        ("/api/x", "passed on"),
        ("/api/open", "served"),
        ("/old/x", "denied"),
        ("/older", "served"),
        ("/gone.sql", "denied"),
        ("/blocked/x", "denied"),
        ("/closed/x", "denied"),
        ("/closed/open/x", "served"),
        ("/private/x", "denied"),
        ("/a/.git/x", "denied"),
        ("/.well-known/x", "served"),
        ("/fpm/x.php", "executed"),
    ],
)
def test_a_request_goes_where_apache_would_send_it(tmp_path: Path, uri: str, outcome: str) -> None:
    site = _site(
        tmp_path,
        r"""
        DocumentRoot /srv
        Redirect permanent /old https://b.example/
        RedirectMatch 404 "(?i)\.SQL$"
        ProxyPass /api/open !
        ProxyPass /api http://127.0.0.1:8080/
        ProxyPassMatch "^/fpm/(.*\.php)$" fcgi://127.0.0.1:9000/srv/$1
        RewriteEngine On
        RewriteRule ^/blocked/ - [F]
        RewriteCond %{REMOTE_ADDR} =192.0.2.1
        RewriteRule .* - [F]
        <Directory /srv>
            Require all granted
        </Directory>
        <Directory "/srv/closed">
            Require all denied
        </Directory>
        <Directory ~ "^/srv/closed/open">
            Require all granted
        </Directory>
        <Location /private>
            Require ip 192.0.2.1
            Require valid-user
        </Location>
        <DirectoryMatch "/(?<dot>\.)(?!well-known)">
            Deny from all
        </DirectoryMatch>
        <FilesMatch "\.php$">
            SetHandler "proxy:unix:/run/x.sock|fcgi://x"
        </FilesMatch>
        <LocationMatch "^/plain/">
            SetHandler default-handler
        </LocationMatch>
        """,
    )
    request = _apache_request.Request(Host(str(tmp_path)), site, uri, ())
    assert _apache_request.answer(request)[0] == outcome
