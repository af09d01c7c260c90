# SPDX-License-Identifier: GPL-3.0-or-later
# make demo       three real hosts with sites, hardened, backed up and audited, with the report
# make demo-down  removes them and their S3 server
# make test       all set-up and all tests; `make test STAGES="lint unit"` for some
# make bench      the speed harness

PYTHON := .venv/bin/python
export PYTHONPATH := $(CURDIR)
STAGES ?=

.PHONY: setup demo demo-down test bench lock clean

setup:
	@tools/setup.sh

demo: setup
	@$(PYTHON) tools/demo.py up

demo-down:
	@$(PYTHON) tools/demo.py down

test:
	@tools/setup.sh --vm --browser --database
	@$(PYTHON) tools/stages.py $(STAGES)

bench: setup
	@$(PYTHON) -m bench

lock:
	@tools/lock.sh

clean:
	@rm -rf build .cache .mypy_cache .ruff_cache .pytest_cache
