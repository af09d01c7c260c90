# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m tests.fleet`."""

from __future__ import annotations

import sys

from tests.fleet.cli import main

sys.exit(main())
