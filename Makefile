PYTHON ?= python3
# The last one whose asyncio has child watchers to compare with, where it is there.
BENCH_PYTHON ?= $(shell python3.13 -c "import sys; print(sys.executable)" 2>/dev/null || echo $(PYTHON))
WINDOWS_PYTHON ?= python-windows
# The newest one that is there: what hurts with the other libraries changes with the versions.
PAINS_PYTHON ?= $(shell for python in python3.15 python3.14 $(PYTHON); do command -v $$python && break; done)
# Tests wait more than they compute. The examples of a page, and the tests of a class, stay together; and each worker goes
# from folder to folder, so that it starts the server of tests/forked only once.
WORKERS ?= -n 4 --dist loadscope --no-loadscope-reorder
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
WINDOWS_PACKAGES := .windows-packages
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
PACKAGE := pyproject.toml setup.py $(wildcard native/*/*)
# What the tests use of what users may install.
EXTRAS := cli,files,metrics,tui
# $(call venv,PYTHON,FOLDER): a new environment, whose pip knows --group.
venv = $(1) -m venv $(2) && $(2)/bin/python -m pip --disable-pip-version-check -qq install 'pip>=25.1'

# Without byte code each of the many interpreters that the tests start would compile all that it imports.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test test-all cluster bench bench-quick campaign campaign-slice sanitize lint types docs docs-check terminal matrix
.PHONY: frameworks peers pains conformance wild windows dist dist-check release release-dry-run all clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.cli ## byte-compile the whole standard library, one child a package, 8 at once
	@demo/compile-stdlib $(BIN)

test: $(VENV)/.test ## the tests, without the slow ones (ARGS='-k pidfd' goes to pytest)
	$(BIN)/python -m pytest -m "not slow" $(WORKERS) $(ARGS)

test-all: $(VENV)/.test ## all tests
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

cluster: $(VENV)/.test ## jobs on a real scheduler and real workers of Dask, and the examples of docs/dask.md
	$(BIN)/python -m pytest -k "not ten and not cost" -n 3 --dist loadgroup docs/dask.md tests/jobs/dask $(ARGS)

bench: $(VENV)/bench/.done ## every benchmark, on a quiet machine: about 12 minutes (ARGS=rate asks one question)
	$(VENV)/bench/bin/python -m benchmarks $(ARGS)

bench-quick: $(VENV)/bench/.done ## a look at every benchmark, under a minute; docs/ stays as it is
	$(VENV)/bench/bin/python -m benchmarks --quick $(ARGS)

campaign: $(VENV)/.test ## wrong statuses, hangs and leaks hunted by a million children and 10,000 faults, and the slow tests: hours
	$(BIN)/python -m campaign $(ARGS)
	$(BIN)/python -m pytest -m slow

campaign-slice: $(VENV)/.test ## ten minutes of the campaign (ARGS='--seed 1 --round 7' runs one round again)
	$(BIN)/python -m campaign --minutes 10 $(ARGS)

sanitize: $(VENV)/.test ## the extensions' tests under ASan, UBSan and valgrind, and before older and other systems' calls
	@PYTHON=$(CURDIR)/$(BIN)/python tests/sanitize/run $(ARGS)

lint: $(VENV)/.dev ## style, layers, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

types: $(VENV)/.dev ## mypy --strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python tests/typing/doc_blocks.py build/doc_blocks && $(BIN)/pyright build/doc_blocks

docs: $(VENV)/.dev ## the documentation, into docs/_build/html
	$(BIN)/sphinx-build -q -W -n --keep-going -b html docs docs/_build/html

docs-check: docs $(VENV)/.docs-check $(VENV)/node_modules/axe-core ## every page in chromium: widths, themes, accessibility; and a report of jobs
	AXE=$(CURDIR)/$(VENV)/node_modules/axe-core/axe.min.js $(BIN)/python -m pytest -q tests/docs/test_look.py tests/cli/test_report_page.py $(ARGS)

terminal: $(VENV)/.docs-check ## record `governess run` and `governess up` anew, as docs/terminal/*.svg
	$(BIN)/python docs/terminal/record.py

matrix: $(VENV)/.dev ## the tests on Python 3.11 to 3.15: with uvloop, without, without the extensions; on a simulated 3.16
	$(BIN)/nox -- $(ARGS)

frameworks: $(VENV)/.dev ## real servers, kernels, clusters and GUI loops over governess
	@$(BIN)/nox -s frameworks-3.13 -- $(ARGS)

peers: $(VENV)/.dev ## anyio's and pytest-asyncio's own tests of child processes, on governess
	@$(BIN)/nox -s peers -- $(ARGS)

pains: $(VENV)/pains/.done $(if $(shell command -v $(WINDOWS_PYTHON)),$(WINDOWS_PACKAGES)/.done)
pains: ## each public pain with governess and with its peers (ARGS=--write makes docs/pains.md)
	@PYTHONPATH=tests $(VENV)/pains/bin/python -m pains $(ARGS)

conformance: $(VENV)/.test ## CPython's own tests of policies, watchers and children, on governess
	@$(PYTHON) -m conformance $(ARGS)

wild: $(VENV)/.test ## distributions of others, plain and with governess (ARGS=--write makes docs/compatibility.md)
	@$(BIN)/python -m wild $(ARGS)

windows: $(WINDOWS_PACKAGES)/.done ## the tests that hold on Windows, by the python-windows on PATH
	@rm -f build/lost-starts && mkdir -p build
	@trap 'test ! -e build/lost-starts || echo "starts that Wine has lost: $$(wc -l < build/lost-starts)"' EXIT; \
	GOVERNESS_LOST_STARTS='Z:$(CURDIR)/build/lost-starts' \
	PYTHONPATH='Z:$(CURDIR)/src;Z:$(CURDIR)/$(WINDOWS_PACKAGES);Z:$(CURDIR)/tests/wine' \
	$(WINDOWS_PYTHON) -m pytest -p no:cacheprovider -m windows $$(grep -rl --include='test_*.py' mark.windows tests) $(ARGS)

dist: $(VENV)/.release ## the sdist and this machine's wheel, into dist/, with all that can be checked without installing them
	$(BIN)/python -m release --dry-run build check

dist-check: $(VENV)/.release ## the same, and the README with each of them installed: 3.11 and 3.15, with a compiler and without
	$(BIN)/python -m release --dry-run build check install

release: $(VENV)/.release ## a release: all of dist-check, then the tag that has the wheels built and published: CONTRIBUTING.md
	$(BIN)/python -m release $(ARGS)

release-dry-run: $(VENV)/.release ## a release without the tag
	$(BIN)/python -m release --dry-run $(ARGS)

all: lint types docs demo test-all matrix conformance peers windows release-dry-run ## everything

clean: ## remove what the other targets made
	rm -rf $(VENV) $(WINDOWS_PACKAGES) .nox build dist docs/_build src/*.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.pip:
	$(call venv,$(PYTHON),$(VENV))
	@touch $@

$(VENV)/.cli: $(VENV)/.pip $(PACKAGE)
	$(PIP) install -e '.[cli]'
	@touch $@

$(VENV)/.test: $(VENV)/.pip $(PACKAGE)
	$(PIP) install -e '.[$(EXTRAS),dask,uvloop]' --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test pyproject.toml
	$(PIP) install --group dev --group docs
	@touch $@

$(VENV)/bench/.done: $(PACKAGE)
	$(call venv,$(BENCH_PYTHON),$(VENV)/bench)
	$(VENV)/bench/bin/python -m pip --disable-pip-version-check -qq install -e '.[cli,uvloop]' --group bench
	@touch $@

$(VENV)/pains/.done: $(PACKAGE)
	$(call venv,$(PAINS_PYTHON),$(VENV)/pains)
	$(VENV)/pains/bin/python -m pip --disable-pip-version-check -qq install -e '.[$(EXTRAS),uvloop]' --group pains
	@touch $@

$(VENV)/.release: $(VENV)/.pip pyproject.toml
	$(PIP) install --group release
	@touch $@

$(VENV)/.docs-check: $(VENV)/.dev pyproject.toml
	$(PIP) install --group docs-check
	@touch $@

$(VENV)/node_modules/axe-core:
	npm install --silent --no-fund --no-audit --prefix $(VENV) axe-core

# pip judges "sys_platform" by the Python that runs it, so what Windows alone needs (cffi, colorama) is named here. No
# hypothesis: it asks `platform.system()`, which asks WMI, which Wine does not have.
$(WINDOWS_PACKAGES)/.done: $(VENV)/.pip pyproject.toml
	rm -rf $(WINDOWS_PACKAGES)
	$(PIP) install --target $(WINDOWS_PACKAGES) --platform win_amd64 --python-version 3.13 --only-binary :all: \
		anyio cffi click colorama pytest pytest-timeout rich trio
	@touch $@
