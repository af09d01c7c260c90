# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a test host: odd configurations, each judged by ours and tried on the original.

Prints a JSON list of rows: the configuration, whether the original can be had to do what the
control forbids (null where it refuses the configuration), and the status that ours gives.
The mechanisms lie beside this file as ansible_collections.
"""

import http.client
import json
import pathlib
import random
import subprocess
import sys
import time

from ansible_collections.ringfence.hosting.plugins.module_utils import _php, _registry
from ansible_collections.ringfence.hosting.plugins.module_utils._control import Control
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError


def judged(control):
    host = Host()
    mechanism = _registry.load(control.mechanism)
    try:
        if hasattr(mechanism, "prepare"):
            mechanism.prepare(host, [control])
        return mechanism.judge(control, mechanism.observe(host, control)).status
    except HostError:
        return "error"


def ran(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def write(path, text, mode=0o644):
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


# -- sshd: who may sign in as root -----------------------------------------------------

ROOT_LOGIN = Control(
    id="it", mechanism="sshd_option", params={"option": "PermitRootLogin"}, value="no",
    choices=("no", "prohibit-password"), stricter="first",
)  # fmt: skip
SSHD_LINES = [
    "PermitRootLogin yes", "permitrootlogin=yes", "PERMITROOTLOGIN \"yes\"", "PermitRootLogin no",
    "PermitRootLogin no", "PermitRootLogin no # why", "PermitRootLogin forced-commands-only",
    "# PermitRootLogin yes", "X11Forwarding no", "", "Match User eve", "match\tGroup admins",
    "Match all", "Match Address 10.0.0.0/8", "Match User root,eve Address *,!10.1.2.3",
    "Match Host *.example", "Include /etc/ssh/more", "Include /etc/ssh/nothing*",
]  # fmt: skip
CONNECTIONS = [
    "user=eve,host=a.example,addr=10.1.2.3",
    "user=ann,host=b.test,addr=10.9.9.9",
    "user=root,host=b.test,addr=192.0.2.7",
]


def sshd(dice):
    main = dice.choices(SSHD_LINES, k=dice.randrange(1, 8))
    more = dice.choices([one for one in SSHD_LINES if "Include" not in one], k=dice.randrange(5))
    write("/etc/ssh/sshd_config", "\n".join(main) + "\n", 0o600)
    write("/etc/ssh/more", "\n".join(more) + "\n", 0o600)
    tried = [ran("/usr/sbin/sshd", "-T", *words) for words in
             ([], *(["-C", connection] for connection in CONNECTIONS))]  # fmt: skip
    weak = any(
        line.startswith("permitrootlogin ") and line != "permitrootlogin no"
        and line not in ("permitrootlogin without-password", "permitrootlogin prohibit-password")
        for one in tried
        for line in one.stdout.splitlines()
    )  # fmt: skip
    refused = any(one.returncode for one in tried)
    return {"main": main, "more": more}, None if refused else weak, judged(ROOT_LOGIN)


# -- sudo: who becomes root without a password -----------------------------------------

ASKED = Control(
    id="it", mechanism="sudoers", params={"option": "authenticate", "default": "on"}, value=True,
    choices=(False, True),
)  # fmt: skip
PASSWORDLESS = Control(
    id="it", mechanism="sudoers", params={"rules": "without_password"}, value=["root", "ops"]
)
SUDO_LINES = [
    "root ALL=(ALL:ALL) ALL", "ops ALL=(ALL) NOPASSWD: ALL", "eve ALL=(ALL) ALL",
    "eve ALL=(ALL) NOPASSWD: /usr/bin/id", "%admins ALL = NOPASSWD: /usr/bin/true, PASSWD: ALL",
    "%admins ALL=(ALL) PASSWD: /usr/bin/true, NOPASSWD: /usr/bin/id", "PEOPLE ALL=(ALL) ALL",
    "PEOPLE ALL=(root) NOPASSWD: LOOK", "ALL, !eve ALL=(ALL) NOPASSWD: /usr/bin/id",
    "#1777 ALL=(ALL) NOPASSWD: \\\n    /usr/bin/id", "Defaults !authenticate",
    "Defaults:eve !authenticate", "Defaults:%admins !authenticate", "Defaults>root !authenticate",
    "Defaults!/usr/bin/id !authenticate", "Defaults authenticate", "Defaults:eve authenticate",
    "Defaults@ALL !authenticate", "# eve ALL=(ALL) NOPASSWD: ALL", "Defaults use_pty", "",
    "eve ALL=(ALL) NOPASSWD: ALL, !/usr/bin/id", "@include /etc/sudoers.more", "nonsense",
    "ann ALL=(ALL) PASSWD: /usr/bin/id", "%admins ALL=(root) /usr/bin/true", "Defaults env_reset",
]  # fmt: skip
SUDO_ALIASES = ["User_Alias PEOPLE = eve, ann", "Cmnd_Alias LOOK = /usr/bin/id"]


def sudo(dice):
    lines = [*SUDO_ALIASES, *dice.choices(SUDO_LINES, k=dice.randrange(1, 5))]
    more = dice.choices([one for one in SUDO_LINES if "include" not in one], k=dice.randrange(4))
    write("/etc/sudoers", "\n".join(lines) + "\n", 0o440)
    write("/etc/sudoers.more", "\n".join(more) + "\n", 0o440)
    refused = ran("visudo", "-c", "-q").returncode != 0
    became = any(
        ran("runuser", "-u", user, "--", "sudo", "-n", "-k", program).returncode == 0
        for user in ("eve", "ann")
        for program in ("/usr/bin/id", "/usr/bin/true")
    )
    states = [judged(ASKED), judged(PASSWORDLESS)]
    worst = next((one for one in ("error", "fail") if one in states), "pass")
    return {"main": lines, "more": more}, None if refused else became, worst


# -- nginx: which version it tells -----------------------------------------------------

VERSION = Control(
    id="it", mechanism="nginx_option", params={"directive": "server_tokens", "default": "on"},
    value="off", choices=("off", "build", "on"),
)  # fmt: skip
TOKENS = ["", "", "server_tokens off;", "server_tokens 'off';", "server_tokens on;",
          "server_tokens\n  build;", "# server_tokens on;", "include /etc/nginx/more;"]  # fmt: skip


def nginx(dice):
    http, one, inner, other, outer = dice.choices(TOKENS, k=5)
    more = dice.choice([text for text in TOKENS if "include" not in text])
    write("/etc/nginx/more", more + "\n")
    write("/etc/nginx/nginx.conf", f"""
pid /run/nginx.pid;
events {{}}
http {{ {http}
  server {{ listen 127.0.0.1:8123; server_name a; {one}
    location / {{ return 404; }}
    location "/x{{2}}" {{ {inner}
      return 404; }} }}
  server {{ listen 127.0.0.1:8123; server_name b; {other}
    location / {{ {outer}
      return 404; }} }} }}
""")  # fmt: skip
    if ran("nginx", "-t").returncode != 0:
        return {"texts": [http, one, inner, other, outer, more]}, None, judged(VERSION)
    # Its daemon would keep a pipe open.
    subprocess.run(["nginx"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    told = any("/" in answered(name, path) for name in ("a", "b") for path in ("/", "/x{2}"))
    status = judged(VERSION)
    ran("nginx", "-s", "stop")
    while pathlib.Path("/run/nginx.pid").exists():
        time.sleep(0.01)
    return {"texts": [http, one, inner, other, outer, more]}, told, status


def answered(name, path):
    connection = http.client.HTTPConnection("127.0.0.1", 8123, timeout=10)
    connection.request("GET", path, headers={"Host": name})
    said = connection.getresponse().headers["Server"]
    connection.close()
    return said


# -- PHP: what a value in php.ini is ---------------------------------------------------

INI_LINES = [
    "alpha = text", "alpha=0", 'alpha = "a b"', "alpha = 'a;b' ; why", "alpha = 1 ; why",
    "beta.one = x y", "  beta.one\t= 7", "beta.one = \u00e9", "[PHP]", "[PHP] alpha = 2",
    "[PATH=/srv]", "; alpha = 3", "", "alpha", 'beta.one = "two\nlines"', "alpha =", "=",
]  # fmt: skip
READ = """
$found = @parse_ini_file($argv[1], false, INI_SCANNER_NORMAL);
echo json_encode($found === false ? null : (object) $found);
"""


def php(dice):
    text = "\n".join(dice.choices(INI_LINES, k=dice.randrange(1, 8))) + "\n"
    write("/root/odd.ini", text)
    said = ran("php", "-r", READ, "--", "/root/odd.ini").stdout
    original = json.loads(said) if said else None
    ours = {one.key: one.value for one in _php.parse_ini(text)}
    if original is None:
        return {"text": text}, None, "read"
    names = {"alpha", "beta.one"} & original.keys()
    same = all(ours.get(name) == original[name] for name in names)
    return {"text": text, "original": original, "ours": ours}, not same, "read"


def main():
    kind, number = sys.argv[1], int(sys.argv[2])
    dice = random.Random(kind)  # noqa: S311 - the same configurations each time
    rows = [globals()[kind](dice) for _number in range(number)]
    print(json.dumps(rows))


main()
