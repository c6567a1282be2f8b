# make demo needs nothing but Python 3.12 or newer: setup makes the environment in .venv first.

# The first of these that runs and is new enough: pyenv leaves names behind that do not run.
CANDIDATES := python3.13 python3.12 python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOG := $(VENV)/setup.log
PIP := $(BIN)/pip install --disable-pip-version-check

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

.PHONY: setup demo test lint check fmt bench soak picture lock
.DEFAULT_GOAL := check

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@python=; for candidate in $(CANDIDATES); do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: the gateway needs Python 3.12 or newer; none of $(CANDIDATES) is. Install one and run make again." >&2; \
	  exit 1; \
	fi; \
	echo "setup: environment in $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { echo "make: no venv; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "setup: packages of requirements.lock, each checked against its hash"
	@$(PIP) --require-hashes -r requirements.lock 2>&1 | tee $(LOG) | awk '/^Collecting/ {printf "."; fflush()} END {print ""}' \
	  || { tail -n 20 $(LOG) >&2; exit 1; }
	@$(PIP) --no-build-isolation --no-deps -e . >>$(LOG) 2>&1 || { tail -n 20 $(LOG) >&2; exit 1; }
	@touch $@
	@echo "setup: done"

demo: setup
	@$(BIN)/gateway demo $(if $(KEEP),--keep)

# One process for each core; `.venv/bin/pytest PATH` runs a part in one.
test: setup
	@$(BIN)/pytest --numprocesses auto --dist worksteal

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

fmt: setup
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# Not part of check: some minutes each.
bench: setup
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

soak: setup
	@$(BIN)/python -m tests.soak.memory

picture: setup
	@$(BIN)/python -m tools.picture

# A week's wait after a release, and no addresses in the lock.
lock: setup
	@$(PIP) --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.12 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --exclude-newer "$$(date -u -d '7 days ago' +%F)" --output-file requirements.lock
