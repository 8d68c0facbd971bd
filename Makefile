# Every command a developer types. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup check format test test-long demo up down bench bench-guard lock sbom licences audit chaos soak

VENV := .venv
BIN := $(VENV)/bin

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: system $(VENV)/.ready ## install whatever is missing: Debian packages, the Python environment

.PHONY: system
system:
	@./setup.sh

$(VENV)/.ready: requirements.lock pyproject.toml
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@echo "installing the Python environment (.venv)"
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

check: $(VENV)/.ready ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: base-image
base-image: setup
	@$(BIN)/python -m tests.provision.local.base_image

test: base-image ## the tests, long matrices at sample points
	$(BIN)/pytest -m "not long" -n 3 --dist loadfile --no-loadscope-reorder

test-long: base-image ## every test, unsampled
	$(BIN)/pytest

chaos: setup ## faults by random schedules: SEEDS=200 of them, or SEED=17 once more
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),20))

soak: setup ## half load for MINUTES=30: nothing may grow
	$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),30)

demo: setup ## install what is missing, run the quickstart on a stack of its own, clean up
	@./demo.sh

up: setup ## bring up the embedded stack in this folder
	@$(BIN)/streamboss up

down: $(VENV)/.ready ## end it; the data stay
	@$(BIN)/streamboss down

bench: setup ## the benchmarks, all (15 minutes) or ONLY=service; writes docs/performance.md
	$(BIN)/python -m bench $(ONLY)

bench-guard: setup ## did a change make the hot path slower? by instructions counted: half a minute
	@$(BIN)/python -m bench.guard

lock: ## write requirements.lock anew from pyproject.toml
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock

sbom: $(VENV)/.ready ## what is installed, with versions and licences: dist/sbom.json (CycloneDX)
	@mkdir -p dist
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/sbom.json $(BIN)/python
	@echo dist/sbom.json

licences: sbom ## the licence of each installed package
	@$(BIN)/python -c 'import json; print(*sorted("{name} {version}: ".format(**c) + \
	  (", ".join(l.get("expression") or l["license"].get("id") or l["license"]["name"] \
	  for l in c.get("licenses", ())) or "not said in its metadata") for c in json.load(open("dist/sbom.json"))["components"]), sep="\n")'

audit: $(VENV)/.ready ## ask the database of known holes about each package; needs the internet
	@$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict || \
	  { echo "make audit: a package with a known hole, or one that pypi.org couldn't be asked about, is named above:" \
	  "nothing is known of what comes after it" >&2; exit 1; }
