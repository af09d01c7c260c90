# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the get-pip script that ansible-test would download: Python ships pip already."""

import ensurepip
import runpy
import sys

ensurepip.bootstrap(default_pip=True)
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", *wanted]
sys.modules.pop("pip", None)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
