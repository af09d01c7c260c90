# SPDX-License-Identifier: GPL-3.0-or-later
"""What all pages are made with: templates that escape, files beside them, and how times look."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ringfence.report.text import visible

_CODE = re.compile(r"`([^`]+)`")


def environment(package: str, **options: Any) -> Environment:
    """Jinja2 over the templates of a package; `options` are those of its Environment."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        **options,
    )
    made.filters.update(
        day=lambda time: when(time, "%-d %B %Y"),
        moment=lambda time: when(time, "%-d %B %Y, %H:%M UTC"),
        words=lambda name: str(name).replace("_", " "),
        coded=coded,
    )
    return made


@cache
def asset(name: str, package: str = "ringfence.report") -> str:
    """A style or script beside a package's templates, as text."""
    return files(package).joinpath("templates", name).read_text(encoding="utf-8")


def shown(value: Any) -> Any:
    """For `finalize`: a text with what would be obeyed made visible."""
    return visible(value) if type(value) is str else value


def coded(text: str) -> Markup:
    """What stands between backticks, as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 # escaped first


def when(time: str, form: str) -> str:
    """An ISO time in the form of strftime; as it is where it is none."""
    try:
        return datetime.fromisoformat(time).strftime(form)
    except ValueError:
        return time
