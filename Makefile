# Everything there is to run. Needs Python 3.11+ and a Rust toolchain; the rest is made here, under .venv.
# What was made is remembered by stamps in .venv/.stamps, so that a second run starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
unexport CONDA_PREFIX

RUST := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs' 2>/dev/null)
VECTORS := $(wildcard tests/vectors/*.json)
LOCKS := waton/parity/oracle/package-lock.json $(wildcard tests/peers/*/package-lock.json)
PEERS := $(patsubst %/package-lock.json,%/node_modules/.package-lock.json,$(LOCKS))
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement

.DEFAULT_GOAL := help
.PHONY: help notebook demo parity test soak check fix bench build peers lock clean

help: ## what each target does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

notebook: $(STAMPS)/notebook $(STAMPS)/build ## build, install and open the live session in JupyterLab (HEADLESS=1: run it and print what happened)
ifeq ($(HEADLESS),1)
	$(BIN)/python -m waton notebook notebooks/live_session.ipynb --headless
else
	$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/live_session.ipynb
endif

demo: $(STAMPS)/notebook $(STAMPS)/build ## the same story in this terminal
	$(BIN)/python -m waton demo $(ARGS)

parity: $(STAMPS)/notebook $(STAMPS)/build peers ## compare with the real Baileys and renew docs/parity (ARGS="--domain noise" for a part)
	$(BIN)/python -m waton parity run $(ARGS)

test: $(STAMPS)/test $(STAMPS)/build $(STAMPS)/rust-tests peers ## build, install what tests need, run them all (ARGS="-k noise" for some)
	$(BIN)/python -m pytest $(ARGS)

soak: $(STAMPS)/test $(STAMPS)/build peers ## the crash and chaos tests whole, for minutes (of which `make test` runs a part)
	WATON_SOAK=1 $(BIN)/python -m pytest tests/crash/test_delivery_crash.py tests/soak $(ARGS)

check: $(STAMPS)/dev $(STAMPS)/build peers ## format, lint, types, stubs, import floors, Rust lints
	tools/check

fix: $(STAMPS)/dev ## what the tools can mend by themselves
	tools/fix

bench: $(STAMPS)/test $(STAMPS)/build peers ## benchmarks, side by side with Baileys
	tools/bench $(ARGS)

build: $(STAMPS)/build ## the extension and the package, into .venv

lock: $(STAMPS)/dev ## pin every dependency anew (requirements/, Cargo.lock, tests/peers/)
	tools/lock

clean: ## remove what was built and installed
	rm -rf $(VENV) target dist waton/_core*.so waton/parity/oracle/node_modules tests/peers/*/node_modules tests/peers/*/.venv .hypothesis
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

# The environment. Each list of pins contains the one before it.
$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'waton needs Python 3.11 or newer: make PYTHON=/path/to/python3.11'; exit 1; }
	@command -v cargo >/dev/null || { echo 'waton needs a Rust toolchain: see https://rustup.rs'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/notebook $(STAMPS)/test $(STAMPS)/dev: $(STAMPS)/%: requirements/%.txt | $(STAMPS)/venv
	$(INSTALL) $<
	@touch $@

$(STAMPS)/build: $(RUST) | $(STAMPS)/notebook
	PIP_QUIET=1 $(BIN)/maturin develop --release --locked --quiet
	@touch $@

$(STAMPS)/rust-tests: $(RUST) $(VECTORS) | $(STAMPS)/venv
	cargo test --quiet --locked --no-default-features
	@touch $@

# The other implementations that peer tests talk to. Without Node the tests that need them say so themselves.
ifneq ($(filter test soak check bench parity peers,$(MAKECMDGOALS)),)
HAVE_NODE := $(shell command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' && echo yes)
endif
peers: $(if $(HAVE_NODE),$(PEERS)) $(if $(filter Linux,$(shell uname -s)),tests/peers/whatsmeow/.venv/.stamp)

# whatsmeow comes inside a Python package whose dependencies are not ours.
tests/peers/whatsmeow/.venv/.stamp: tests/peers/whatsmeow/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json %/package.json
	cd $* && npm ci --no-audit --no-fund --ignore-scripts --silent
	@touch $@
