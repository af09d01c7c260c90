# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of accounts show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_PWQUALITY = "grep -h '^ *{} *=' /etc/security/pwquality.conf.d/*.conf /etc/security/pwquality.conf"


def _pwquality(option: str, right: int, wrong: int) -> Reading:
    """The main file is read last: whatever a drop-in says, it decides."""
    return Reading(
        read=f"{_PWQUALITY.format(option)}; grep -c '^password.*requisite.*pam_pwquality.so' "
        "/etc/pam.d/common-password",
        right=f"{option} = {right}\n1",
        wrong=f"mkdir -p /etc/security; echo '{option} = {wrong}' >> /etc/security/pwquality.conf",
    )


_FAILLOCK = (
    "grep pam_faillock.so /etc/pam.d/common-auth | grep -ow '{}=[0-9]*'; "
    "grep -c 'pam_faillock.so' /etc/pam.d/common-account"
)

_AS_NOBODY = "env -i HOME=/nonexistent setpriv --reuid=65534 --clear-groups bash -lc"


def _age(user: str, field: int, right: str) -> Reading:
    """An account with a password of today; `field` is its place in the shadow file."""
    options = {3: "-m 0", 4: "-M 99999", 5: "-W 0", 6: "-I -1"}
    return Reading(
        read=f"getent shadow {user} | cut -d: -f{field + 1}",
        right=right,
        wrong=f"useradd -u 308{field} -M -s /bin/bash -p '$y$j9T$x$yz' {user}; "
        f"chage {options[field]} {user}",
    )


def _word(module: str, kind: str, word: str, spoil: str = "true") -> Reading:
    stack = f"/etc/pam.d/common-{kind}"
    return Reading(
        read=f"grep '^{kind}.*pam_{module}.so' {stack} | grep -ow {word} | sort -u",
        right=word,
        wrong=spoil if spoil == "true" else f"{spoil} {stack}",
    )


READINGS = {
    "accounts_only_root_is_root": Reading(
        read="awk -F: '$3 == 0 {print $1}' /etc/passwd",
        right="root",
        wrong="useradd -o -u 0 -M -d /root toor",
        by_hand="sed -i /^toor:/d /etc/passwd /etc/shadow",
    ),
    "accounts_root_group": Reading(
        read="awk -F: '$4 == 0 {print $1}' /etc/passwd",
        right="root",
        wrong="useradd -u 3050 -g 0 -M rootly",
        by_hand="usermod -g nogroup rootly",
    ),
    "accounts_empty_passwords": Reading(
        read="awk -F: '$2 == \"\" {print $1}' /etc/passwd /etc/shadow; "
        "passwd -S hollow | cut -d' ' -f2",
        right="L",
        wrong="useradd -u 3051 -M hollow; passwd -d hollow > /dev/null",
    ),
    "accounts_shadowed_passwords": Reading(
        read="awk -F: '$2 != \"x\" {print $1}' /etc/passwd; grep -c '^open:[$]6[$]' /etc/shadow",
        right="1",
        wrong="useradd -u 3052 -M open; chage -m 1 -M 365 -W 7 -I 45 open; "
        "sed -i 's|^open:x:|open:$6$ab$cdefgh:|' /etc/passwd",
    ),
    "accounts_weak_hashes": Reading(
        read="grep -cE '^[^:]*:!?[$]1[$]' /etc/shadow",
        right="0",
        wrong="useradd -u 3053 -M -p '$1$salt$qJH7.N4xYta3aEG/dfqo/0' dated",
        by_hand="usermod -p '!' dated",
    ),
    "accounts_system_shells": Reading(
        read="getent passwd machinery | cut -d: -f7",
        right="/usr/sbin/nologin",
        wrong="useradd -r -M -s /bin/bash machinery",
        by_hand="usermod -s /usr/sbin/nologin machinery",
    ),
    "accounts_system_passwords": Reading(
        read="passwd -S engine | cut -d' ' -f2",
        right="L",
        wrong="useradd -r -M -s /usr/sbin/nologin -p '$y$j9T$x$yz' engine",
    ),
    "accounts_duplicate_uids": Reading(
        read="cut -d: -f3 /etc/passwd | sort | uniq -d",
        right="",
        wrong="useradd -u 3054 -M castor; useradd -o -u 3054 -M pollux",
        by_hand="usermod -u 3055 pollux",
    ),
    "accounts_duplicate_gids": Reading(
        read="cut -d: -f3 /etc/group | sort | uniq -d",
        right="",
        wrong="groupadd -g 3060 left; groupadd -o -g 3060 right",
        by_hand="groupmod -g 3061 right",
    ),
    "accounts_duplicate_names": Reading(
        read="cut -d: -f1 /etc/group | sort | uniq -d",
        right="",
        wrong="printf 'again:x:3062:\\nagain:x:3063:\\n' >> /etc/group",
        by_hand="sed -i '/^again:x:3063:/d' /etc/group",
    ),
    "accounts_inactive_days": Reading(
        read="useradd -D | grep ^INACTIVE", right="INACTIVE=45", wrong="useradd -D -f -1"
    ),
    "accounts_password_hashing": Reading(
        read="awk '$1 == \"ENCRYPT_METHOD\" {print $2}' /etc/login.defs | tail -1",
        right="YESCRYPT",
        wrong="echo 'ENCRYPT_METHOD MD5' >> /etc/login.defs",
    ),
    "accounts_hash_rounds": Reading(
        read="awk '$1 == \"SHA_CRYPT_MIN_ROUNDS\" {print $2}' /etc/login.defs | tail -1",
        right="65536",
        wrong="echo 'SHA_CRYPT_MIN_ROUNDS 1000' >> /etc/login.defs",
    ),
    "accounts_hash_rounds_most": Reading(
        read="awk '$1 == \"SHA_CRYPT_MAX_ROUNDS\" {print $2}' /etc/login.defs | tail -1",
        right="65536",
        wrong="echo 'SHA_CRYPT_MAX_ROUNDS 1000' >> /etc/login.defs",
    ),
    "accounts_umask": Reading(
        read="awk '$1 == \"UMASK\" {print $2}' /etc/login.defs | tail -1",
        right="022",
        wrong="echo 'UMASK 000' >> /etc/login.defs",
    ),
    "accounts_home_mode": Reading(
        read="useradd -m -u 3070 newcomer; stat -c %a /home/newcomer; userdel -rf newcomer",
        right="750",
        wrong="echo 'HOME_MODE 0777' >> /etc/login.defs",
    ),
    "accounts_password_length": _pwquality("minlen", 14, 6),
    "accounts_password_dictionary": _pwquality("dictcheck", 1, 0),
    "accounts_password_repeats": _pwquality("maxrepeat", 3, 0),
    "accounts_password_sequences": _pwquality("maxsequence", 3, 0),
    "accounts_password_history": Reading(
        read="grep pam_pwhistory.so /etc/pam.d/common-password | tr -s '[:blank:]' ' '",
        right="password requisite pam_pwhistory.so use_authtok enforce_for_root remember=24",
        wrong="true",
    ),
    "accounts_lockout_attempts": Reading(
        read=_FAILLOCK.format("deny"), right="deny=5\ndeny=5\n1", wrong="true"
    ),
    "accounts_lockout_time": Reading(
        read=_FAILLOCK.format("unlock_time"),
        right="unlock_time=900\nunlock_time=900\n1",
        wrong="echo 'unlock_time = 1' >> /etc/security/faillock.conf",
    ),
    "accounts_root_group_alone": Reading(
        read="awk -F: '$3 == 0 {print $1}' /etc/group",
        right="root",
        wrong="groupadd -o -g 0 rooted",
        by_hand="sed -i /^rooted:/d /etc/group /etc/gshadow",
    ),
    "accounts_groups_exist": Reading(
        read="getent group $(id -g orphan) | cut -d: -f1",
        right="found",
        wrong="useradd -u 3056 -M orphan; sed -i '/^orphan:/d' /etc/group",
        by_hand="groupadd -g $(id -g orphan) found",
    ),
    "accounts_members_exist": Reading(
        read="getent group games | cut -d: -f4",
        right="",
        wrong="sed -i 's/^games:x:60:/&gone/' /etc/group",
        by_hand="sed -i 's/^games:x:60:.*/games:x:60:/' /etc/group",
    ),
    "accounts_shadow_group": Reading(
        read="getent group shadow | cut -d: -f4",
        right="",
        wrong="gpasswd -a games shadow > /dev/null",
        by_hand="gpasswd -d games shadow > /dev/null",
    ),
    "accounts_password_dates": Reading(
        read="passwd -S later | cut -d' ' -f2,3",
        right="P 2020-01-01",
        wrong="useradd -u 3057 -M -s /bin/bash -p '$y$j9T$x$yz' later; chage -d 2090-01-01 later",
        by_hand="chage -d 2020-01-01 later",
    ),
    "accounts_known_shells": Reading(
        read="getent passwd queer | cut -d: -f7",
        right="/bin/bash",
        wrong="useradd -u 3058 -M -s /usr/bin/env queer",
        by_hand="usermod -s /bin/bash queer",
    ),
    "accounts_passwords_without_shell": Reading(
        read="passwd -S boxed | cut -d' ' -f2",
        right="L",
        wrong="useradd -u 3059 -M -s /usr/sbin/nologin -p '$y$j9T$x$yz' boxed",
        by_hand="usermod -L boxed",
    ),
    "accounts_new_password_maximum": Reading(
        read="awk '$1 == \"PASS_MAX_DAYS\" {print $2}' /etc/login.defs | tail -1",
        right="365",
        wrong="echo 'PASS_MAX_DAYS 99999' >> /etc/login.defs",
    ),
    "accounts_new_password_minimum": Reading(
        read="awk '$1 == \"PASS_MIN_DAYS\" {print $2}' /etc/login.defs | tail -1",
        right="1",
        wrong="echo 'PASS_MIN_DAYS 0' >> /etc/login.defs",
    ),
    "accounts_new_password_warning": Reading(
        read="awk '$1 == \"PASS_WARN_AGE\" {print $2}' /etc/login.defs | tail -1",
        right="7",
        wrong="echo 'PASS_WARN_AGE 0' >> /etc/login.defs",
    ),
    "accounts_password_maximum": _age("elder", 4, "365"),
    "accounts_password_minimum": _age("hasty", 3, "1"),
    "accounts_password_warning": _age("warned", 5, "7"),
    "accounts_password_inactive": _age("idle", 6, "45"),
    "accounts_password_difference": _pwquality("difok", 2, 0),
    "accounts_password_classes": _pwquality("minclass", 2, 1),
    "accounts_password_digits": _pwquality("dcredit", -1, 0),
    "accounts_password_capitals": _pwquality("ucredit", -1, 1),
    "accounts_password_small_letters": _pwquality("lcredit", -1, 0),
    "accounts_password_signs": _pwquality("ocredit", -1, 1),
    "accounts_password_user_name": _pwquality("usercheck", 1, 0),
    "accounts_password_root_quality": Reading(
        read="grep -hx enforce_for_root /etc/security/pwquality.conf",
        right="enforce_for_root",
        wrong="true",
    ),
    "accounts_password_root_history": _word("pwhistory", "password", "enforce_for_root"),
    "accounts_password_history_checked": _word("pwhistory", "password", "use_authtok"),
    "accounts_lockout_root": Reading(
        read="grep -c 'pam_faillock.so.* even_deny_root' /etc/pam.d/common-auth",
        right="2",
        wrong="true",
    ),
    "accounts_lockout_root_time": Reading(
        read=_FAILLOCK.format("root_unlock_time"),
        right="root_unlock_time=60\nroot_unlock_time=60\n1",
        wrong="echo 'root_unlock_time = 0' >> /etc/security/faillock.conf",
    ),
    "accounts_no_empty_password_sign_in": Reading(
        read="grep -c 'pam_unix.so.*nullok' /etc/pam.d/common-auth; "
        "grep -c '^auth.*pam_unix.so' /etc/pam.d/common-auth",
        right="0\n1",
        wrong="true",
    ),
    "accounts_no_plain_history": Reading(
        read="grep -c 'pam_unix.so.*remember' /etc/pam.d/common-password",
        right="0",
        wrong="sed -i 's/pam_unix.so.*/& remember=5/' /etc/pam.d/common-password",
    ),
    "accounts_stored_hash": _word("unix", "password", "yescrypt", "sed -i s/yescrypt/md5/"),
    "accounts_checked_password_stored": _word("unix", "password", "use_authtok"),
    "accounts_homes_exist": Reading(
        read="stat -c %F /home/homeless",
        right="directory",
        wrong="useradd -u 3071 -M -s /bin/bash homeless",
        # Readings above make accounts without a home, too.
        by_hand="awk -F: '$3 >= 1000 && $7 ~ /sh$/ {print $1, $6}' /etc/passwd | "
        "while read -r name home; do [ -e $home ] || install -d -o $name -m 700 $home; done",
    ),
    "accounts_homes_owned": Reading(
        read="stat -c '%U %a' /home/ousted",
        right="ousted 700",
        wrong="useradd -u 3072 -m -s /bin/bash ousted; chmod 700 /home/ousted; "
        "chown games /home/ousted",
        by_hand="chown ousted /home/ousted",
    ),
    "accounts_homes_mode": Reading(
        read="stat -c %a /home/openly",
        right="750",
        wrong="useradd -u 3073 -m -s /bin/bash openly; chmod 755 /home/openly",
        by_hand="chmod 750 /home/openly /home/ops",
    ),
    "accounts_dot_files": Reading(
        read="stat -c '%a %n' /home/dotty/.profile /home/dotty/.bash_history",
        right="644 /home/dotty/.profile\n600 /home/dotty/.bash_history",
        wrong="useradd -u 3074 -m -s /bin/bash dotty; chmod 700 /home/dotty; "
        "chmod 666 /home/dotty/.profile; runuser -u dotty -- sh -c 'umask 0; cd; "
        "echo id > /home/dotty/.bash_history'",
    ),
    "accounts_trust_files": Reading(
        read="ls -A /home/trusty | grep -c netrc",
        right="0",
        wrong="useradd -u 3075 -m -s /bin/bash trusty; chmod 700 /home/trusty; "
        "install -m 600 -o trusty /dev/null /home/trusty/.netrc",
        by_hand="rm /home/trusty/.netrc",
    ),
    "accounts_cron_users": Reading(
        read="cat /etc/cron.allow; stat -c '%a %U:%G' /etc/cron.allow; "
        "runuser -u games -- crontab -l 2>&1 | grep -c 'not allowed'",
        right="root\n640 root:crontab\n1",
        wrong="printf 'root\\ngames\\n' > /etc/cron.allow",
    ),
    # The program itself is not needed to see the list.
    "accounts_at_users": Reading(
        read="cat /etc/at.allow; stat -c '%a %U:%G' /etc/at.allow",
        right="root\n640 root:daemon",
        wrong="[ -e /usr/bin/at ] || install -m 755 /dev/null /usr/bin/at; rm -f /etc/at.allow",
    ),
    "accounts_idle_shells": Reading(
        read=f"{_AS_NOBODY} 'echo $TMOUT; TMOUT=0; echo $TMOUT'",
        right="900",
        wrong="echo 'TMOUT=0' >> /etc/profile.d/weak.sh",
    ),
    "accounts_shell_umask": Reading(
        read=f"{_AS_NOBODY} umask", right="0022", wrong="echo 'umask 0' >> /etc/profile.d/weak.sh"
    ),
    "accounts_root_umask": Reading(
        read="env -i HOME=/root bash -lc umask",
        right="0027",
        wrong="echo 'umask 0' >> /etc/profile.d/weak.sh",
    ),
    "accounts_root_path": Reading(
        read="env -i HOME=/root bash -lc 'echo $PATH'",
        right="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        wrong="echo 'PATH=$PATH:/tmp' >> /etc/profile.d/weak.sh",
        by_hand="sed -i /tmp/d /etc/profile.d/weak.sh",
    ),
    # Root hands the limit on where a session begins.
    "accounts_core_dumps": Reading(
        read="su -s /bin/sh games -c 'ulimit -Hc'",
        right="0",
        wrong="echo '* hard core unlimited' >> /etc/security/limits.d/weak.conf",
    ),
}
