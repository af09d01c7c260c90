# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a machine's apt sources, in both formats, with what people write into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.command import FleetError
from tests.fleet.sources import (
    DEFAULT_MIRROR,
    KEYRING,
    Source,
    apt_options,
    machine_codename,
    parse_deb822,
    parse_one_line,
    read_machine_sources,
    sources_for,
)

MIRROR = "http://mirror.example/debian"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"deb {MIRROR} bookworm main", [Source(MIRROR, "bookworm", ("main",))], id="plain"
        ),
        pytest.param(
            f"  deb [arch=amd64 signed-by=/k.gpg]  {MIRROR}/  bookworm main contrib # why\n",
            [Source(MIRROR, "bookworm", ("main", "contrib"), "/k.gpg")],
            id="options, trailing slash and comment",
        ),
        pytest.param(f"# deb {MIRROR} bookworm main\n\n", [], id="commented out"),
        pytest.param(f"deb-src {MIRROR} bookworm main", [], id="source packages"),
        pytest.param(f"deb {MIRROR} ./", [], id="flat repository"),
        pytest.param("deb \ufffd\x00 garbage", [], id="odd bytes"),
    ],
)
def test_one_line_format(text: str, expected: list[Source]) -> None:
    assert list(parse_one_line(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"Types: deb deb-src\nURIs: {MIRROR}/\nSuites: bookworm bookworm-updates\n"
            "Components: main\nSigned-By: /k.gpg\n",
            [
                Source(MIRROR, "bookworm", ("main",), "/k.gpg"),
                Source(MIRROR, "bookworm-updates", ("main",), "/k.gpg"),
            ],
            id="two suites",
        ),
        pytest.param(
            f"TYPES: deb\r\nuris: {MIRROR}\r\nSuites:\r\n bookworm\r\n# remark\r\n trixie\r\n"
            "Components: main\r\n",
            [Source(MIRROR, "bookworm", ("main",)), Source(MIRROR, "trixie", ("main",))],
            id="continued lines, remark inside, Windows line ends",
        ),
        pytest.param(
            f"Types: deb\nURIs: {MIRROR}\nSuites: a\nComponents: main\n \t\n\n"
            f"Enabled: no\nTypes: deb\nURIs: {MIRROR}\nSuites: b\nComponents: main\n",
            [Source(MIRROR, "a", ("main",))],
            id="second stanza disabled",
        ),
        pytest.param(
            f"Types: deb\nURIs: {MIRROR}\nSuites: a\nComponents: main\nSigned-By:\n"
            " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY\n",
            [Source(MIRROR, "a", ("main",), KEYRING)],
            id="key written into the file",
        ),
        pytest.param("Types: deb-src\nURIs: x\nSuites: a\n", [], id="source packages"),
        pytest.param(" stray continuation\n\nno colon here\n", [], id="not stanzas"),
    ],
)
def test_deb822_format(text: str, expected: list[Source]) -> None:
    assert list(parse_deb822(text)) == expected


def test_files_are_read_in_apt_s_order_and_others_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (tmp_path / "sources.list").write_text("deb http://one/ a main\n")
    (folder / "b.sources").write_text("Types: deb\nURIs: http://three\nSuites: a\nComponents: c\n")
    (folder / "a.list").write_bytes(b"# \xff\xfe\ndeb http://two a main\n")
    (folder / "c.list.save").write_text("deb http://saved a main\n")
    (folder / "d.list").symlink_to("nowhere")
    found = read_machine_sources(tmp_path)
    assert [source.uri for source in found] == ["http://one", "http://two", "http://three"]


def test_a_machine_without_sources_has_none(tmp_path: Path) -> None:
    assert read_machine_sources(tmp_path) == []


def test_suites_of_this_machine_become_those_of_the_other_release() -> None:
    machine = [
        Source(MIRROR, "bookworm", ("main", "contrib")),
        Source(MIRROR, "bookworm-updates", ("main",)),
        Source(f"{MIRROR}-security", "bookworm-security", ("main",), "/k.gpg"),
        Source(MIRROR, "bookworm-backports", ("main",)),
        Source("https://vendor.example", "bookworm", ("stable",)),
        Source(MIRROR, "bookworm", ("main",)),
    ]
    assert sources_for("trixie", machine, "bookworm") == [
        Source(MIRROR, "trixie", ("main",)),
        Source(MIRROR, "trixie-updates", ("main",)),
        Source(f"{MIRROR}-security", "trixie-security", ("main",), "/k.gpg"),
    ]


def test_a_machine_with_none_of_debian_s_suites_uses_the_public_mirror() -> None:
    machine = [Source(MIRROR, "stable", ("main",)), Source("https://vendor", "any", ("main",))]
    chosen = sources_for("bookworm", machine, "bookworm")
    assert [(source.uri, source.suite) for source in chosen] == [
        (DEFAULT_MIRROR, "bookworm"),
        (DEFAULT_MIRROR, "bookworm-updates"),
        (f"{DEFAULT_MIRROR}-security", "bookworm-security"),
    ]


def test_a_source_is_written_as_apt_reads_it() -> None:
    source = Source(MIRROR, "trixie", ("main", "contrib"))
    assert str(source) == f"deb [signed-by={KEYRING}] {MIRROR} trixie main contrib"
    assert list(parse_one_line(str(source))) == [source]


def test_codename(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text('PRETTY_NAME="Debian"\nID=debian\nVERSION_CODENAME="trixie"\n')
    assert machine_codename(path) == "trixie"


@pytest.mark.parametrize(
    "text", ["ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", "ID=debian\n", ""]
)
def test_another_system_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "os-release"
    path.write_text(text)
    with pytest.raises(FleetError, match=r"os-release: expected a Debian release"):
        machine_codename(path)


def test_proxy_and_date_settings_are_shared_and_nothing_else() -> None:
    dump = (
        'Acquire "";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy:3128";\n'
        'Acquire::https::Proxy::mirror.example "DIRECT";\nAcquire::Check-Valid-Until "false";\n'
        'APT::Install-Recommends "1";\nDir::State "var";\n'
    )
    assert apt_options(dump) == [
        'Acquire::http::Proxy "http://proxy:3128";',
        'Acquire::https::Proxy::mirror.example "DIRECT";',
        'Acquire::Check-Valid-Until "false";',
    ]
