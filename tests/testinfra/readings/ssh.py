# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of ssh show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, modes


def _sshd(option: str, right: str, wrong: str) -> Reading:
    return Reading(
        read=f"sshd -T | grep -i '^{option} '",
        right=f"{option.lower()} {right}",
        wrong=f"echo '{option} {wrong}' >> /etc/ssh/sshd_config.d/10-weak.conf",
    )


def _algorithms(option: str, right: dict[str, str], wrong: str) -> Reading:
    """The names in the order of the alphabet: a host may prefer them in an order of its own."""
    return Reading(
        read=f"sshd -T | sed -n 's/^{option.lower()} //p' | tr , '\\n' | sort",
        right={release: "\n".join(sorted(text.split(","))) for release, text in right.items()},
        wrong=f"echo '{option} {wrong}' >> /etc/ssh/sshd_config.d/10-weak.conf",
    )


_MACS = (
    "hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com,"
    "hmac-sha2-512,hmac-sha2-256"
)
_CIPHERS = (
    "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,"
    "aes256-ctr,aes192-ctr,aes128-ctr"
)
_KEX = (
    "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,"
    "curve25519-sha256@libssh.org,"
    "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"
)

_HOST_KEYS = (
    "ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,"
    "rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512,rsa-sha2-256"
)
_USER_KEYS = (
    f"{_HOST_KEYS},ecdsa-sha2-nistp256-cert-v01@openssh.com,"
    "ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,"
    "sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,"
    "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"
)


READINGS = {
    "ssh_root_login": _sshd("PermitRootLogin", "no", "yes"),
    "ssh_password_authentication": _sshd("PasswordAuthentication", "no", "yes"),
    "ssh_empty_passwords": _sshd("PermitEmptyPasswords", "no", "yes"),
    "ssh_host_based_authentication": _sshd("HostbasedAuthentication", "no", "yes"),
    "ssh_ignore_rhosts": _sshd("IgnoreRhosts", "yes", "no"),
    "ssh_user_environment": _sshd("PermitUserEnvironment", "no", "yes"),
    # Without PAM sshd refuses accounts whose password field begins with "!".
    "ssh_use_pam": Reading(
        read="sshd -T | grep '^usepam '",
        right="usepam yes",
        wrong="usermod -p '*' ops; sed -i 's/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config",
    ),
    "ssh_max_auth_tries": _sshd("MaxAuthTries", "4", "20"),
    "ssh_login_grace_time": _sshd("LoginGraceTime", "60", "10m"),
    "ssh_max_startups": _sshd("MaxStartups", "10:30:60", "500"),
    "ssh_max_sessions": _sshd("MaxSessions", "10", "50"),
    "ssh_client_alive_interval": _sshd("ClientAliveInterval", "300", "0"),
    "ssh_client_alive_count": _sshd("ClientAliveCountMax", "3", "99"),
    "ssh_x11_forwarding": _sshd("X11Forwarding", "no", "yes"),
    "ssh_log_level": _sshd("LogLevel", "VERBOSE", "QUIET"),
    "ssh_ciphers": _algorithms(
        "Ciphers", {"bookworm": _CIPHERS, "trixie": _CIPHERS}, "aes256-ctr,aes128-cbc"
    ),
    "ssh_macs": _algorithms(
        "MACs", {"bookworm": _MACS, "trixie": _MACS}, "hmac-sha1,hmac-sha2-256"
    ),
    "ssh_key_exchange": _algorithms(
        "KexAlgorithms",
        {"bookworm": _KEX, "trixie": f"mlkem768x25519-sha256,{_KEX}"},
        "curve25519-sha256,diffie-hellman-group14-sha1",
    ),
    "ssh_config_mode": modes("600 root:root", "0666", "/etc/ssh/sshd_config"),
    # One key only: sshd does not start when all its keys lie open.
    "ssh_host_key_mode": modes("600 root:root", "0640", "/etc/ssh/ssh_host_ecdsa_key"),
    "ssh_host_public_key_mode": modes("644 root:root", "0666", "/etc/ssh/ssh_host_ecdsa_key.pub"),
    "ssh_banner": _sshd("Banner", "/etc/issue.net", "none"),
    "ssh_disable_forwarding": _sshd("DisableForwarding", "yes", "no"),
    "ssh_tcp_forwarding": _sshd("AllowTcpForwarding", "no", "yes"),
    "ssh_agent_forwarding": _sshd("AllowAgentForwarding", "no", "yes"),
    "ssh_stream_forwarding": _sshd("AllowStreamLocalForwarding", "no", "yes"),
    "ssh_gateway_ports": _sshd("GatewayPorts", "no", "clientspecified"),
    "ssh_tunnels": _sshd("PermitTunnel", "no", "point-to-point"),
    "ssh_gssapi_authentication": _sshd("GSSAPIAuthentication", "no", "yes"),
    "ssh_kerberos_authentication": _sshd("KerberosAuthentication", "no", "yes"),
    "ssh_strict_modes": _sshd("StrictModes", "yes", "no"),
    "ssh_user_rc": _sshd("PermitUserRC", "no", "yes"),
    "ssh_last_login": Reading(
        read="sshd -T | grep '^printlastlog '",
        right="printlastlog yes",
        wrong="echo 'PrintLastLog no' >> /etc/ssh/sshd_config.d/10-weak.conf",
    ),
    "ssh_compression": _sshd("Compression", "no", "yes"),
    "ssh_tcp_keepalive": _sshd("TCPKeepAlive", "no", "yes"),
    "ssh_rekey_limit": _sshd("RekeyLimit", "1073741824 3600", "default none"),
    # What a stranger is told before anything else.
    "ssh_version_banner": Reading(
        read="ssh-keyscan -t ed25519 127.0.0.1 2>&1 >/dev/null | grep -c Debian",
        right="0",
        wrong="echo 'DebianBanner yes' >> /etc/ssh/sshd_config.d/10-weak.conf",
    ),
    "ssh_host_key_algorithms": _algorithms(
        "HostKeyAlgorithms",
        {"bookworm": _HOST_KEYS, "trixie": _HOST_KEYS},
        "ssh-ed25519,ecdsa-sha2-nistp256,ssh-rsa",
    ),
    "ssh_public_key_algorithms": _algorithms(
        "PubkeyAcceptedAlgorithms",
        {"bookworm": _USER_KEYS, "trixie": _USER_KEYS},
        "ssh-ed25519,rsa-sha2-512,ssh-rsa",
    ),
    "ssh_rsa_key_size": _sshd("RequiredRSASize", "2048", "1024"),
    "ssh_allowed_groups": Reading(
        read="sshd -T | grep '^allowgroups '", right="allowgroups ops", wrong="true"
    ),
    "ssh_host_key_strength": Reading(
        read="for key in $(sshd -T | sed -n 's/^hostkey //p'); do ssh-keygen -lf $key.pub; done "
        "| awk '/RSA/ {print $1}'",
        right="3072",
        wrong="ssh-keygen -q -t rsa -b 2048 -N '' -f /etc/ssh/ssh_host_weak_key; "
        "for name in rsa ecdsa ed25519 weak; do "
        "echo HostKey /etc/ssh/ssh_host_${name}_key; done >> /etc/ssh/sshd_config.d/10-weak.conf",
        by_hand="sed -i /HostKey/d /etc/ssh/sshd_config.d/10-weak.conf; "
        "rm /etc/ssh/ssh_host_weak_key*; systemctl reload ssh",
    ),
}
