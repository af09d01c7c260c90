# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the attacker and on the edge of the CDN, and a Joomla's shape on the servers."""

from __future__ import annotations

_CONNECT = """
import http.client, json, socket, ssl, sys, urllib.parse
host, port, source, domain = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl._create_unverified_context()
def ask(method, path, body=None, headers={}):
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=4)
    try:
        plain = socket.create_connection((host, port), 4, (source, 0))
        connection.sock = context.wrap_socket(plain, server_hostname=domain)
        connection.request(method, path, body, {"Host": domain, **headers})
        answer = connection.getresponse()
        answer.body = answer.read().decode("utf-8", "replace")
        return answer
    except OSError:
        return None
    finally:
        connection.close()
def sign_in(user, password):
    form = urllib.parse.urlencode({"log": user, "pwd": password, "testcookie": 1})
    return ask("POST", "/wp-login.php", form, {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": "wordpress_test_cookie=WP%20Cookie%20check"})
"""
# host port source domain path
GET = (
    _CONNECT
    + """
answer = ask("GET", sys.argv[5])
print(answer.status if answer else 0)
"""
)
# host port source domain user count
SIGN_IN = (
    _CONNECT
    + """
print(json.dumps([
    answer.status if (answer := sign_in(sys.argv[5], f"wrong-{n}")) else 0
    for n in range(int(sys.argv[6]))]))
"""
)
# host port source domain user password: the cookies of a session
SESSION = (
    _CONNECT
    + """
answer = sign_in(sys.argv[5], sys.argv[6])
cookies = [value.split(";")[0] for name, value in answer.getheaders()
           if name.lower() == "set-cookie" and "wordpress_" in value]
print(json.dumps([answer.status, "; ".join(cookies), "blocked for a while" in answer.body]))
"""
)
# host port source domain cookies: the status of the admin area
ADMIN = (
    _CONNECT
    + """
answer = ask("GET", "/wp-admin/profile.php", None, {"Cookie": sys.argv[5]})
print(answer.status if answer else 0)
"""
)
EDGE = """
server {{
    listen {port} ssl;
    server_name shop.example;
    ssl_certificate /etc/ssl/certs/shop.example.pem;
    ssl_certificate_key /etc/ssl/private/shop.example.key;
    location / {{
        proxy_pass https://{address};
        proxy_ssl_name shop.example;
        proxy_ssl_server_name on;
        proxy_set_header Host shop.example;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
}}
"""
# The tables, the settings and the log of a Joomla, as far as bans have to do with them.
JOOMLA = r"""
root=/var/www/plain/public
mkdir -p $root/administrator/logs
cat > $root/configuration.php <<'END'
<?php
class JConfig {
    public $db = 'joomla';
    public $dbprefix = 'j_';
    public $log_path = '/var/www/plain/public/administrator/logs';
}
END
chown -R site_plain:site_plain $root/administrator $root/configuration.php
mariadb <<'END'
CREATE DATABASE joomla;
USE joomla;
CREATE TABLE j_users (id INT PRIMARY KEY AUTO_INCREMENT, username VARCHAR(150) NOT NULL,
    block TINYINT NOT NULL DEFAULT 0);
CREATE TABLE j_session (session_id VARBINARY(192) PRIMARY KEY, userid INT DEFAULT 0,
    username VARCHAR(150));
CREATE TABLE j_user_keys (id INT PRIMARY KEY AUTO_INCREMENT, user_id VARCHAR(150) NOT NULL);
CREATE TABLE j_action_logs (id INT PRIMARY KEY AUTO_INCREMENT,
    message_language_key VARCHAR(255) NOT NULL, log_date DATETIME NOT NULL, user_id INT NOT NULL);
INSERT INTO j_users (id, username) VALUES (7, 'ann'), (8, 'o''hara'), (9, 'bob');
INSERT INTO j_session VALUES ('a', 7, 'ann'), ('b', 8, 'o''hara'), ('c', 9, 'bob');
INSERT INTO j_user_keys (user_id) VALUES ('ann'), ('bob');
END
"""
# ADDRESS COUNT
JOOMLA_FAILURES = r"""
for n in $(seq {count}); do
    printf '%s\tINFO {address}\tjoomlafailure\tUsername and password do not match\n' \
        "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)" >> /var/www/plain/public/administrator/logs/error.php
done
"""
# What Joomla's plugin "Action Log - Joomla" writes: three bad sign-ins of one user, one of another.
JOOMLA_ACTIONS = r"""
for user in 8 8 8 9; do
    mariadb joomla -e "INSERT INTO j_action_logs (message_language_key, log_date, user_id)
        VALUES ('PLG_ACTIONLOG_JOOMLA_USER_LOGIN_FAILED', UTC_TIMESTAMP(), $user)"
done
"""
