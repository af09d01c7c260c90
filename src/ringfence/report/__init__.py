# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports: `build` makes plain data of runs; `html`, `json_`, `csv_` and `pdf` render it."""

from ringfence.report.build import build
from ringfence.report.model import Evidence, Report, Score
from ringfence.report.scope import Scope, ScopeError

__all__ = ["Evidence", "Report", "Scope", "ScopeError", "Score", "build"]
