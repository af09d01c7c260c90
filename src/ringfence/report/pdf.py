# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as PDF/A-3b, with its findings embedded as JSON for whoever wants to check them."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import NoReturn

from ringfence.report import json_
from ringfence.report.html import render_for_paper
from ringfence.report.model import Report


class PdfError(Exception):
    """PDF cannot be made here; the message says what is missing."""


def render(report: Report) -> bytes:
    """The document: the same bytes for the same report. Raises PdfError."""
    return write(render_for_paper(report), json_.render(report), report.generated, report.run.id)


def write(page: str, findings: str, generated: str, identifier: str) -> bytes:
    """A page as PDF with its findings (JSON) embedded, the same bytes for the same page.

    `generated`: when, in ISO 8601. Raises PdfError.
    """
    try:
        from weasyprint import HTML, Attachment
    except (ImportError, OSError) as error:
        raise PdfError(
            f"PDF needs WeasyPrint and Pango ({error}): "
            "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
        ) from None
    # it warns of each property that only screens know
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    written = datetime.fromisoformat(generated)
    attached = Attachment(
        string=findings,
        name="findings.json",
        description="The findings of this report",
        relationship="Data",
        created=written,
        modified=written,
    )
    document: bytes = HTML(string=page, url_fetcher=_refuse).write_pdf(
        pdf_variant="pdf/a-3b",
        pdf_identifier=identifier.encode(),
        attachments=[attached],
    )
    return document


def _refuse(url: str, *_args: object, **_kwargs: object) -> NoReturn:
    raise ValueError(f"a report fetches nothing: {url}")
