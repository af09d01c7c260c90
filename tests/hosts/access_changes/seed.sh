#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs as root on a hosting server, with KEY_cho and KEY_ben: cho has something everywhere, ben too.
set -eu
key() { # ACCOUNT KEY
    home=$(getent passwd "$1" | cut -d: -f6)
    install -d -m 0700 -o "$1" "$home/.ssh"
    printf '%s\n' "$2" >> "$home/.ssh/authorized_keys"
    chown "$1" "$home/.ssh/authorized_keys"
    chmod 0600 "$home/.ssh/authorized_keys"
}
for name in cho ben team; do useradd --create-home --shell /bin/bash "$name"; done
usermod --append --groups adm cho
key cho "$KEY_cho"
key ben "$KEY_ben"
key team "# of both"
key team "$KEY_cho"
key team "$KEY_ben"
printf 'cho ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/cho
printf 'ben ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/ben
chmod 0440 /etc/sudoers.d/cho /etc/sudoers.d/ben
mariadb <<'SQL'
CREATE USER 'cho'@'localhost' IDENTIFIED BY 'made-up-cho';
CREATE USER 'ben'@'localhost' IDENTIFIED BY 'made-up-ben';
GRANT SELECT ON shop.* TO 'cho'@'localhost';
GRANT SELECT ON shop.* TO 'ben'@'localhost';
INSERT INTO shop.wp_users (ID, user_login, user_pass, user_email, user_registered)
    VALUES (71, 'cho', MD5('made-up-cho'), 'cho@agency.example', NOW()),
           (72, 'ben', MD5('made-up-ben'), 'ben@agency.example', NOW());
INSERT INTO shop.wp_usermeta (user_id, meta_key, meta_value)
    VALUES (71, 'wp_capabilities', 'a:1:{s:6:"editor";b:1;}'),
           (72, 'wp_capabilities', 'a:1:{s:6:"editor";b:1;}');
SQL
