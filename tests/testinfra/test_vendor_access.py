# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves on a host, read with sshd's and sudo's own mouths."""

from __future__ import annotations

from testinfra.host import Host

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ+Jpb1okulewJ6HAbBo7qUZt6M25sTSGUKD0eh0K2L"


def test_the_account_ends_with_the_grant(host: Host) -> None:
    user = host.user("sc_sam")
    assert "ringfence-vendors" in user.groups
    assert user.gecos == "Sam Vale (servercare)"
    with host.sudo():
        assert "Account expires\t\t\t\t\t\t: Apr 02, 2099" in host.check_output("chage -l sc_sam")


def test_its_key_is_bound_and_its_holder_cannot_add_one(host: Host) -> None:
    file = host.file("/etc/ssh/ringfence-vendors/sc_sam")
    lines = [line for line in file.content_string.splitlines() if not line.startswith("#")]
    options = 'from="203.0.113.64/29",expiry-time="20990401235959Z"'
    assert lines == [f"{options} {KEY} sam@servercare"]
    assert (file.user, file.mode) == ("root", 0o644)
    with host.sudo():
        said = host.check_output("sshd -T -C user=sc_sam,host=x,addr=203.0.113.65").splitlines()
        other = host.check_output("sshd -T -C user=root,host=x,addr=203.0.113.65").splitlines()
    assert "authorizedkeysfile /etc/ssh/ringfence-vendors/%u" in said
    assert "disableforwarding yes" in said
    assert "authorizedkeysfile /etc/ssh/ringfence-vendors/%u" not in other


def test_it_may_run_what_was_granted_and_each_command_is_kept(host: Host) -> None:
    with host.sudo():
        said = host.check_output("sudo -l -U sc_sam")
        assert "log_output" in said
        assert "log_subcmds" in said
        assert "NOPASSWD: /usr/bin/systemctl status cron" in said
        host.run("sudo -u sc_sam sudo -n /usr/bin/systemctl status cron")
        assert host.run("sudo -u sc_sam sudo -n /usr/bin/id").rc != 0
        assert host.check_output("ls /var/log/sudo-io/sc_sam")
        assert host.run("visudo -c").rc == 0


def test_an_old_record_goes_and_a_new_one_and_that_of_others_stay(host: Host) -> None:
    def record(path: str, days: int) -> str:
        made = f"mkdir -p {path} && echo x > {path}/log"
        return f"{made} && touch -d '{days} days ago' {path}/log {path} && touch -a {path}/log"

    logs = "/var/log/sudo-io"
    old, new = f"{logs}/sc_sam/20200101-000001", f"{logs}/sc_sam/20200101-000002"
    other = f"{logs}/00/00/01"
    with host.sudo():
        assert host.service("systemd-tmpfiles-clean.timer").is_running
        for path, days in ((old, 31), (new, 29), (other, 3000)):
            assert host.run(record(path, days)).rc == 0
        # the whole folder, as the timer's service does, but nothing beside it
        assert host.run(f"systemd-tmpfiles --clean --prefix={logs}").rc == 0
        assert not host.file(old).exists
        assert host.file(f"{new}/log").exists
        assert host.file(f"{other}/log").exists
        assert host.run(f"rm -r {new} {logs}/00").rc == 0


def test_who_has_ended_has_no_account(host: Host) -> None:
    assert not host.user("sc_tom").exists


def test_the_timer_waits_for_the_end(host: Host) -> None:
    assert host.service("ringfence-vendor-access.timer").is_enabled
    assert host.service("ringfence-vendor-access.timer").is_running
    with host.sudo():
        assert host.file("/var/lib/ringfence/vendor-access/state.json").mode == 0o600
        assert not host.file("/var/lib/ringfence/guard/armed.json").exists
