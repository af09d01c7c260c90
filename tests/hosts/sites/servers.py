# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the image of a hosting server once a content, and starts hosts from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fleet import Fleet, FleetError
from tests.fleet.image import ensure_image
from tests.fleet.layer import ensure_layer

REPOSITORY = "localhost/ringfence/sites"
# Site -> domain; the first two are WordPress. A site's user is site_<site>, its database <site>.
SITES = {"shop": "shop.example", "blog": "blog.example", "plain": "plain.example"}
DOMAINS = tuple(SITES.values())

_RECIPE = Path(__file__).parent / "recipe"
# none: a host of the same image that serves nothing by itself, such as an attacker.
_UNITS = {"nginx": "nginx.service", "apache": "apache2.service", "none": ""}


def ensure_site_image(
    release: str, *, layer: Path | None = None, say: Callable[[str], None] = print
) -> str:
    """The name of a hosting server's image for `release`, built when there is none of this content.

    `layer`: a folder whose build.sh is run in it, for an image of the tests beside that folder.
    Raises FleetError with the last line of what went wrong.
    """
    base = ensure_image(release, say=say)
    name = ensure_layer(REPOSITORY, release, base, _RECIPE, say=say)
    if layer is None:
        return name
    return ensure_layer(f"localhost/ringfence/{layer.parent.name}", release, name, layer, say=say)


class Servers(Fleet):
    """A fleet of hosting servers: `hosts` name -> release, `web` name -> nginx, apache or none."""

    def __init__(
        self,
        name: str,
        hosts: Mapping[str, str],
        web: Mapping[str, str],
        *,
        directory: str | Path | None = None,
        layer: Path | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        for host in hosts:
            if web.get(host) not in _UNITS:
                raise FleetError(f"host {host!r}: web server must be one of {', '.join(_UNITS)}")
        images = {
            release: ensure_site_image(release, layer=layer, say=say)
            for release in set(hosts.values())
        }
        super().__init__(name, hosts, directory=directory, images=images, say=say)
        self.web = dict(web)

    def start(self, *, detach: bool = False) -> Servers:
        """Start the hosts, and on each its web server; every site answers when this returns."""
        super().start(detach=detach)
        try:
            for host, server in self.web.items():
                if server == "none":
                    continue
                self.exec(host, "systemctl", "enable", "--quiet", "--now", _UNITS[server])
                self.exec(host, "sh", "-c", _WAIT)
        except BaseException:
            self.stop()
            raise
        return self


# The database has more to do at its first start than the web server.
_WAIT = """
for _try in $(seq 60); do
    curl -ksf --resolve shop.example:443:127.0.0.1 https://shop.example/ | grep -q opening-hours \\
        && exit 0
    sleep 0.5
done
echo "shop.example does not answer" >&2
exit 1
"""
