#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs as root on a hosting server: seed.sh clean|faulty, with KEY_<name> in the environment.
# Every fault has its line; what comes before `faulty` is what the register grants.
set -eu

account() { # NAME [GROUPS] — with a key of its own
    useradd --create-home --shell /bin/bash ${2:+--groups "$2"} "$1"
    install -d -m 0700 -o "$1" -g "$1" "/home/$1/.ssh"
}
key() { # ACCOUNT KEY [OPTIONS]
    eval "text=\$KEY_$2"
    home=$(getent passwd "$1" | cut -d: -f6)
    install -d -m 0700 -o "$1" "$home/.ssh"
    printf '%s%s\n' "${3:+$3 }" "$text" >> "$home/.ssh/authorized_keys"
    chown "$1" "$home/.ssh/authorized_keys"
    chmod 0600 "$home/.ssh/authorized_keys"
}
signed_in() { # ACCOUNT DAYS
    python3 - "$1" "$2" <<'PYTHON'
import struct, sys, time
user, days = sys.argv[1], int(sys.argv[2])
when = int(time.time()) - days * 86400
entry = struct.pack("=hxxi32s4s32s256shhiii16s20s", 7, 1, b"pts/0", b"ts/0", user.encode(), b"",
                    0, 0, 0, when, 0, bytes([203, 0, 113, 9]), b"")
with open("/var/log/wtmp", "ab") as handle:
    handle.write(entry)
PYTHON
}

# As the register says it.
account ada sudo
key ada ada verify-required
account ben
key ben ben
account care_sam
key care_sam sam 'from="203.0.113.0/24"'
for name in ada ben care_sam; do signed_in "$name" 2; done
mariadb <<'SQL'
UPDATE shop.wp_options SET option_value = 'a:1:{i:0;s:25:"two-factor/two-factor.php";}'
    WHERE option_name = 'active_plugins';
UPDATE blog.wp_options SET option_value = 'a:1:{i:0;s:25:"two-factor/two-factor.php";}'
    WHERE option_name = 'active_plugins';
INSERT INTO shop.wp_usermeta (user_id, meta_key, meta_value)
    VALUES (1, '_two_factor_enabled_providers', 'a:1:{i:0;s:15:"Two_Factor_Totp";}');
INSERT INTO blog.wp_usermeta (user_id, meta_key, meta_value)
    VALUES (1, '_two_factor_enabled_providers', 'a:1:{i:0;s:15:"Two_Factor_Totp";}');
SQL
# A visitor is counted, and never listed.
mariadb shop <<'SQL'
INSERT INTO wp_users (ID, user_login, user_pass, user_email, user_registered)
    VALUES (50, 'visitor50', 'x', 'visitor50@people.example', NOW());
INSERT INTO wp_usermeta (user_id, meta_key, meta_value)
    VALUES (50, 'wp_capabilities', 'a:1:{s:10:"subscriber";b:1;}');
SQL
if [ "$1" != faulty ]; then
    # A domain is one site's alone: here the three have names of their own.
    sed -i -E '/[Ss]erver_?[Nn]ame/s/(shop|blog|plain)\.example/\1.twin.example/' \
        /etc/nginx/sites-available/*.conf /etc/apache2/sites-available/*.conf
    exit 0
fi

signed_in ops 120 # so that the host's records reach back
account lena && key lena lena && signed_in lena 1
useradd --create-home --shell /bin/bash ghost && echo 'ghost:correct horse battery' | chpasswd
signed_in ghost 1
key ben strange
account mark sudo && key mark mark && signed_in mark 1
key root mark
key site_plain mark
account team && key team nia && key team omar && signed_in team 1
account dora && key dora dora && signed_in dora 90
account wes && key wes wes && signed_in wes 1
account olga && key olga olga && signed_in olga 1
account vic && key vic vic 'from="203.0.113.0/24"' && signed_in vic 1
account vera && key vera vera 'from="203.0.113.0/24"' && signed_in vera 1
account care_tim && key care_tim tim && signed_in care_tim 1
account backupd && key backupd backupd
account gus && key gus gus && signed_in gus 1
groupadd --force docker
account bea docker && key bea bea && signed_in bea 1
account dev && key dev dev && signed_in dev 1
install -d -o dev /opt/dev && printf '#!/bin/sh\n' > /opt/dev/run && chmod 0755 /opt/dev/run
account cal && key cal cal && signed_in cal 1
account robot && passwd --lock --quiet robot
cat > /etc/sudoers.d/60-seed <<'SUDOERS'
Cmnd_Alias RUN = /opt/dev/run
dev ALL=(root) NOPASSWD: RUN
cal ALL=(robot) ALL
robot ALL=(ALL) NOPASSWD: ALL
SUDOERS
chmod 0440 /etc/sudoers.d/60-seed && visudo -cq
cp /bin/true /opt/tool && chmod 4755 /opt/tool
useradd --create-home --shell /bin/bash pat
usermod --password "$(openssl passwd -1 summer)" pat && signed_in pat 1
account wanda && key wanda wanda && chmod 0775 /home/wanda/.ssh && signed_in wanda 1
useradd --non-unique --uid 0 --no-create-home --home-dir /nonexistent --shell /bin/sh toor
echo 'toor:correct horse battery' | chpasswd && signed_in toor 1
printf '%s\n' "$KEY_authority" > /etc/ssh/user_ca.pub
echo 'TrustedUserCAKeys /etc/ssh/user_ca.pub' > /etc/ssh/sshd_config.d/60-seed.conf && sshd -t
install -d /etc/nginx && printf 'staff:%s\n' "$(openssl passwd -apr1 summer)" > /etc/nginx/staff
sed -i '0,/server_name plain.example;/s||&\n    location /intern/ { auth_basic x; auth_basic_user_file staff; }|' \
    /etc/nginx/sites-available/plain.conf && nginx -t -q
mariadb <<'SQL'
CREATE USER report@'%' IDENTIFIED BY 'correct horse'; GRANT SELECT ON shop.* TO report@'%';
CREATE USER oldsite@localhost IDENTIFIED BY 'correct horse';
GRANT ALL PRIVILEGES ON oldsite.* TO oldsite@localhost;
CREATE ROLE everything; GRANT ALL PRIVILEGES ON *.* TO everything WITH GRANT OPTION;
CREATE USER helper@localhost IDENTIFIED BY 'correct horse'; GRANT everything TO helper@localhost;
GRANT SELECT (ID, user_login), UPDATE (user_email) ON shop.wp_users TO report@'%';
INSERT INTO shop.wp_users (ID, user_login, user_pass, user_email, user_registered)
    VALUES (60, 'wp_support', '$P$secret.hash', 'x@evil.example', NOW());
INSERT INTO shop.wp_usermeta (user_id, meta_key, meta_value)
    VALUES (60, 'wp_capabilities', 'a:1:{s:13:"administrator";b:1;}');
INSERT INTO blog.wp_usermeta (user_id, meta_key, meta_value) VALUES (1, '_application_passwords',
    'a:1:{i:0;a:7:{s:4:"uuid";s:4:"u-u1";s:6:"app_id";s:0:"";s:4:"name";s:5:"phone";s:8:"password";s:11:"secret.hash";s:7:"created";i:1750000000;s:9:"last_used";i:1760000000;s:7:"last_ip";s:9:"192.0.2.7";}}');
SQL

# A Joomla, as far as it can be read: its files and tables.
root=/var/www/plain/public/joomla
install -d "$root/administrator/manifests/files"
echo '<extension><version>5.3.1</version></extension>' > "$root/administrator/manifests/files/joomla.xml"
cat > "$root/configuration.php" <<'PHP'
<?php
class JConfig {
	public $host = 'localhost';
	public $user = 'site_joomla';
	public $password = 'p\'w "of" joomla\\';
	public $db = 'joomla';
	public $dbprefix = 'j5_';
}
PHP
mariadb <<'SQL'
CREATE DATABASE joomla; CREATE USER site_joomla@localhost IDENTIFIED BY 'p''w "of" joomla\\';
GRANT ALL PRIVILEGES ON joomla.* TO site_joomla@localhost;
USE joomla;
CREATE TABLE j5_users (id INT PRIMARY KEY, name TEXT, username TEXT, email TEXT, password TEXT,
    block TINYINT, registerDate DATETIME, lastvisitDate DATETIME);
CREATE TABLE j5_usergroups (id INT PRIMARY KEY, parent_id INT, title TEXT);
CREATE TABLE j5_user_usergroup_map (user_id INT, group_id INT);
CREATE TABLE j5_assets (id INT PRIMARY KEY, name TEXT, rules TEXT);
CREATE TABLE j5_user_mfa (id INT PRIMARY KEY, user_id INT, method TEXT);
CREATE TABLE j5_user_profiles (user_id INT, profile_key TEXT, profile_value TEXT);
INSERT INTO j5_usergroups VALUES (1, 0, 'Public'), (2, 1, 'Registered'), (6, 1, 'Manager'),
    (7, 6, 'Administrator'), (8, 1, 'Super Users');
INSERT INTO j5_assets VALUES (1, 'root.1',
    '{"core.admin":{"8":1},"core.manage":{"7":1},"core.edit":{"6":1}}');
INSERT INTO j5_users VALUES
    (1, 'Boss', 'boss', 'boss@plain.example', 'h.1', 0, '2025-01-01', NOW()),
    (2, 'Intruder', 'sysop', 'x@evil.example', 'h.2', 0, NOW(), NULL),
    (3, 'Once', 'former', 'former@plain.example', 'h.3', 1, '2020-01-01', '2021-01-01'),
    (4, 'Reader', 'reader', 'reader@people.example', 'h.4', 0, NOW(), NULL);
INSERT INTO j5_user_usergroup_map VALUES (1, 8), (2, 8), (3, 8), (4, 2);
INSERT INTO j5_user_mfa VALUES (1, 1, 'totp');
SQL
