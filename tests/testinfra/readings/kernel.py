# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of kernel show on a host."""

from __future__ import annotations

from dataclasses import replace

from tests.testinfra.readings._shared import Reading, blocked, live

_V4, _V6 = "net.ipv4.conf", "net.ipv6.conf"
_RA = (f"{_V6}.all.accept_ra", f"{_V6}.default.accept_ra")
_ROUTING = [
    f"{_V4}.{where}.{key}"
    for where in ("all", "default")
    for key in ("accept_local", "bootp_relay", "proxy_arp", "route_localnet")
]


READINGS = {
    "kernel_address_randomisation": live(0, 2, "kernel.randomize_va_space", own_kernel=True),
    "kernel_pointer_restriction": live(0, 2, "kernel.kptr_restrict", own_kernel=True),
    "kernel_log_restriction": live(0, 1, "kernel.dmesg_restrict", own_kernel=True),
    "kernel_process_tracing": live(0, 1, "kernel.yama.ptrace_scope", own_kernel=True),
    "kernel_unprivileged_bpf": live(0, 2, "kernel.unprivileged_bpf_disabled", own_kernel=True),
    "kernel_bpf_hardening": live(0, 2, "net.core.bpf_jit_harden", own_kernel=True),
    "kernel_core_dumps": live(2, 0, "fs.suid_dumpable", own_kernel=True),
    "kernel_protected_links": live(
        0, 1, "fs.protected_symlinks", "fs.protected_hardlinks", own_kernel=True
    ),
    "kernel_protected_files": live(
        0, 2, "fs.protected_fifos", "fs.protected_regular", own_kernel=True
    ),
    "kernel_syn_cookies": live(0, 1, "net.ipv4.tcp_syncookies"),
    "kernel_icmp_redirects": live(
        1,
        0,
        f"{_V4}.all.accept_redirects",
        f"{_V4}.default.accept_redirects",
        f"{_V4}.all.secure_redirects",
        f"{_V4}.default.secure_redirects",
    ),
    "kernel_icmp_redirects_ipv6": live(
        1, 0, f"{_V6}.all.accept_redirects", f"{_V6}.default.accept_redirects"
    ),
    "kernel_send_redirects": live(
        1, 0, f"{_V4}.all.send_redirects", f"{_V4}.default.send_redirects"
    ),
    "kernel_source_routing": live(
        1, 0, f"{_V4}.all.accept_source_route", f"{_V4}.default.accept_source_route"
    ),
    "kernel_source_routing_ipv6": live(
        1, 0, f"{_V6}.all.accept_source_route", f"{_V6}.default.accept_source_route"
    ),
    "kernel_reverse_path_filter": live(0, 1, f"{_V4}.all.rp_filter", f"{_V4}.default.rp_filter"),
    "kernel_log_martians": live(0, 1, f"{_V4}.all.log_martians", f"{_V4}.default.log_martians"),
    "kernel_broadcast_ping": live(0, 1, "net.ipv4.icmp_echo_ignore_broadcasts"),
    "kernel_bogus_icmp": live(0, 1, "net.ipv4.icmp_ignore_bogus_error_responses"),
    "kernel_rare_filesystems": blocked("cramfs", "freevxfs", "hfs", "hfsplus", "jffs2"),
    "kernel_rare_protocols": blocked("dccp", "rds", "sctp", "tipc"),
    "kernel_usb_storage": blocked("usb_storage"),
    "kernel_magic_keys": live(438, 0, "kernel.sysrq", own_kernel=True),
    "kernel_console_restart": live(1, 0, "kernel.ctrl-alt-del", own_kernel=True),
    "kernel_performance_events": live(1, 3, "kernel.perf_event_paranoid", own_kernel=True),
    "kernel_performance_limits": live(
        25,
        1,
        "kernel.perf_event_max_sample_rate",
        "kernel.perf_cpu_time_max_percent",
        own_kernel=True,
    ),
    # systemd's own file asks for more than the control, so that nothing of ours is written.
    "kernel_process_numbers": live(32768, 4194304, "kernel.pid_max", own_kernel=True),
    "kernel_oops": live(0, 1, "kernel.panic_on_oops", own_kernel=True),
    "kernel_restart": live(0, 60, "kernel.panic", own_kernel=True),
    "kernel_replacement": live(0, 1, "kernel.kexec_load_disabled", own_kernel=True),
    "kernel_terminal_drivers": live(1, 0, "dev.tty.ldisc_autoload", own_kernel=True),
    "kernel_core_names": live(0, 1, "kernel.core_uses_pid", own_kernel=True),
    "kernel_low_memory": live(4096, 65536, "vm.mmap_min_addr", own_kernel=True),
    "kernel_page_faults": live(1, 0, "vm.unprivileged_userfaultfd", own_kernel=True),
    "kernel_user_namespaces": live(1, 0, "kernel.unprivileged_userns_clone", own_kernel=True),
    "kernel_forwarding": live(1, 0, "net.ipv4.ip_forward"),
    "kernel_forwarding_ipv6": live(1, 0, f"{_V6}.all.forwarding", f"{_V6}.default.forwarding"),
    "kernel_router_advertisements": replace(
        live(1, 0, *_RA),
        by_hand=f"printf '{_RA[0]}=0\\n{_RA[1]}=0\\n' > /etc/sysctl.d/60-routes.conf;"
        " sysctl -qp /etc/sysctl.d/60-routes.conf",
    ),
    "kernel_time_wait": live(0, 1, "net.ipv4.tcp_rfc1337"),
    "kernel_router_features": live(1, 0, *_ROUTING),
    "kernel_squashfs": blocked("squashfs"),
    "kernel_udf": blocked("udf"),
    "kernel_overlay": blocked("overlay"),
    "kernel_exotic_filesystems": blocked("minix", "ufs"),
    "kernel_exotic_protocols": blocked("ax25", "can"),
    "kernel_memory_buses": blocked("firewire_core", "firewire_ohci"),
    "kernel_wireless": blocked("cfg80211"),
    "kernel_bluetooth": blocked("bluetooth"),
    "kernel_stored_core_dumps": Reading(
        read="systemd-analyze cat-config systemd/coredump.conf | grep '^Storage' | tail -n 1",
        right="Storage=none",
        wrong="mkdir -p /etc/systemd/coredump.conf.d; printf '[Coredump]\\nStorage=external\\n'"
        " > /etc/systemd/coredump.conf.d/50-kept.conf",
    ),
    "kernel_core_dump_size": Reading(
        read="systemd-analyze cat-config systemd/coredump.conf | grep ^ProcessSizeMax | tail -n 1",
        right="ProcessSizeMax=0",
        wrong="mkdir -p /etc/systemd/coredump.conf.d; printf '[Coredump]\\nProcessSizeMax=1G\\n'"
        " > /etc/systemd/coredump.conf.d/50-size.conf",
    ),
}
