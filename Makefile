# `make demo`, `make test` and `make docs` make .venv and install what they need, once, and then run.
# PYTHON=python3.12 chooses the interpreter that .venv is made with; it is not used again once .venv exists.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
BIN := .venv/bin
INSTALLED := .venv/installed
DOCS_INSTALLED := .venv/docs-installed

.PHONY: demo test lint format results docs clean help venv

help:
	@echo "make demo    adapt the shipped model of phones to synthetic Welsh and compare it with training from scratch"
	@echo "make test    run all tests"
	@echo "make lint    ruff and mypy --strict"
	@echo "make format  rewrite the code in the house style"
	@echo "make venv    only install, into .venv"
	@echo "make results render all pages of results: RESULTS.md of the recipes, docs/results.md, table and picture of README.md"
	@echo "make docs    build the documentation as a site: site/index.html"
	@echo "make clean   delete .venv and what the tools left"

demo: $(INSTALLED)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/demo/run.sh

venv: $(INSTALLED)

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict speechxfer data_scripts recipes benchmarks

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Renders every recipe's results.json into its RESULTS.md, docs/results.md, and the table and picture of README.md.
results: $(INSTALLED)
	$(BIN)/python -m recipes.rendering

# Strict: a link or an anchor that does not exist is an error.
docs: $(DOCS_INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Documentation, to open in a browser: site/index.html" >&2

clean:
	rm -rf .venv site .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist speechxfer.egg-info

# The stamp is written last, so an interrupted installation is taken up again; new requirements in setup.py renew it.
$(INSTALLED): setup.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into .venv, once; PyTorch is a large download."
	test -x $(BIN)/pip || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[docs]'
	@touch $@
