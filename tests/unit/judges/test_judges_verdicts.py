# SPDX-License-Identifier: GPL-3.0-or-later
"""What the judges write is read as they mean it; what has no end is no verdict."""

from __future__ import annotations

import json

import pytest

from tests.hosts.judges import verdicts

REPORT = """\
# Lynis Report
lynis_version=3.1.4
suggestion[]=LYNIS|This release is more than 4 months old.|-|-|
suggestion[]=AUTH-9286|Configure minimum password age in /etc/login.defs|-|-|
suggestion[]=AUTH-9286|Configure maximum password age in /etc/login.defs|-|-|
suggestion[]=FILE-6310|To decrease the impact, place /home on a separate partition|-|-|
suggestion[]=NETW-3200|Determine if protocol 'dccp' is really needed on this system|-|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|MaxAuthTries (set 4 to 3)|-|
details[]=SSH-7408|sshd|desc:sshd option MaxAuthTries;field:MaxAuthTries;prefval:3;value:4;|
suggestion[]=SSH-7408|Consider hardening SSH configuration|Port (set 22 to )|-|
details[]=SSH-7408|sshd|desc:sshd option Port;field:Port;prefval:;value:22;|
suggestion[]=FILE-7524|Consider restricting file permissions|See log file|text:Use chmod|
warning[]=FIRE-4512|iptables module(s) loaded, but no rules active|-|-|
hardening_index=68
tests_executed=SSH-7408|FILE-7524|KRNL-5820|NETW-3200|AUTH-9262|BOOT-5104|
"""
LOOSE = "permissions of file /etc/cron.allow are not matching expected value (640 != 600)"
LOG = f"""\
2026-11-24 00:19:34 Performing test ID KRNL-5820 (Checking core dumps configuration)
2026-11-24 00:19:34 Hardening: assigned partial number of hardening points (0 of 1).
2026-11-24 00:19:34 Hardening: assigned partial number of hardening points (2 of 3).
2026-11-24 00:19:35 Performing test ID AUTH-9262 (Checking presence password strength)
2026-11-24 00:19:35 Hardening: assigned maximum number of hardening points for this item (3).
2026-11-24 00:19:35 Hardening: assigned partial number of hardening points (2 of 2).
2026-11-24 00:19:36 Performing test ID FILE-7524 (Perform file permissions check)
2026-11-24 00:19:36 Outcome: correct permissions (600)
2026-11-24 00:19:36 Outcome: {LOOSE}
"""


def lynis() -> verdicts.Verdict:
    return verdicts.lynis(REPORT, LOG)


@pytest.mark.parametrize(
    "finding",
    [
        "LYNIS",
        "AUTH-9286/minimum",
        "AUTH-9286/maximum",
        "FILE-6310//home",
        "NETW-3200/dccp",
        "SSH-7408/MaxAuthTries",
        "SSH-7408/Port",
        "FILE-7524//etc/cron.allow",
        "FIRE-4512",
        "KRNL-5820",
    ],
)
def test_lynis_finds(finding: str) -> None:
    assert lynis().says(finding) == "found"


def test_lynis_finds_no_more_than_that() -> None:
    verdict = lynis()

    assert len(verdict.findings) == 10
    assert verdict.score == {"hardening index": 68, "findings": 10}
    assert verdict.version == "3.1.4"
    assert verdict.details["SSH-7408/MaxAuthTries"] == "4, wanted 3"
    assert verdict.details["SSH-7408/Port"] == "22, wanted another"
    assert verdict.details["FILE-7524//etc/cron.allow"] == "640, wanted 600"
    assert verdict.details["KRNL-5820"] == "2 of 4 points given"


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ("AUTH-9262", "passed"),  # all points given
        ("BOOT-5104", "passed"),  # executed, not a word
        ("SSH-7408/LogLevel", "passed"),  # its test names other options alone
        ("NETW-3200/sctp", "passed"),
        ("HTTP-6622", "not asked"),  # not executed
    ],
)
def test_lynis_passes_what_it_executed_and_did_not_name(finding: str, said: str) -> None:
    assert lynis().says(finding) == said


def test_a_report_of_lynis_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="did not reach its end"):
        verdicts.lynis(REPORT.partition("hardening_index")[0], LOG)


def xccdf(**answers: str) -> str:
    rows = "".join(
        f'<rule-result idref="xccdf_org.ssgproject.content_rule_{name}" severity="medium">'
        f"<result>{said}</result></rule-result>"
        for name, said in answers.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2" id="b">'
        f'<TestResult id="t">{rows}</TestResult></Benchmark>'
    )


def test_openscap_answers() -> None:
    verdict = verdicts.openscap(
        xccdf(
            accounts_tmout="pass",
            mended="fixed",
            sudo_add_noexec="fail",
            broke="error",
            puzzled="unknown",
            grub2_password="notapplicable",
            left_out="notselected",
            by_hand="notchecked",
            told="informational",
        ),
        "1.4.2",
    )

    assert verdict.passed == ("accounts_tmout", "mended")
    # What the tool could not tell is no pass.
    assert verdict.findings == ("broke", "puzzled", "sudo_add_noexec")
    assert verdict.score == {"passed": 2, "answered": 5}
    assert verdict.says("grub2_password") == "not asked"


@pytest.mark.parametrize("answers", [{}, {"one": "notapplicable", "two": "notselected"}])
def test_openscap_that_answered_nothing_is_refused(answers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="answered no rule"):
        verdicts.openscap(xccdf(**answers), "1.3.7")


SSH = {
    "kex": [
        {"algorithm": "sntrup761x25519-sha512", "notes": {"info": ["available since OpenSSH 9.9"]}},
        {"algorithm": "ecdh-sha2-nistp256", "notes": {"fail": ["NIST curve"], "warn": ["quantum"]}},
    ],
    "key": [{"algorithm": "ssh-ed25519", "notes": {}}],
    "enc": [{"algorithm": "aes256-gcm@openssh.com", "notes": {"info": []}}],
    "mac": [{"algorithm": "hmac-sha2-256", "notes": {"warn": ["encrypt-and-MAC mode"]}}],
    "cves": [{"name": "CVE-2023-48795", "description": "Terrapin"}],
}


def test_ssh_audit() -> None:
    verdict = verdicts.ssh_audit(json.dumps(SSH), "3.9.0")

    assert verdict.details == {
        "kex:ecdh-sha2-nistp256": "NIST curve; quantum",
        "mac:hmac-sha2-256": "encrypt-and-MAC mode",
        "CVE-2023-48795": "Terrapin",
    }
    assert verdict.passed == (
        "cipher:aes256-gcm@openssh.com",
        "kex:sntrup761x25519-sha512",
        "key:ssh-ed25519",
    )
    assert verdict.score == {"failed algorithms": 1, "findings": 3}


@pytest.mark.parametrize("answer", ["{}", '{"kex": []}'])
def test_ssh_audit_that_reached_nobody_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="did not reach the server"):
        verdicts.ssh_audit(answer, "3.9.0")
