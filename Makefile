# Everything one does in this repository, by name. `make` alone lists it.
#
# PYTHON=/path/to/python3.12  picks the interpreter; otherwise the first of 3.11 or later that is found.
# PYTEST_ARGS="-k geometry"   is handed on to pytest, which runs in JOBS=2 processes (JOBS=0: in one, with a debugger).

SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV ?= .venv
PYTHON ?=
PYTEST_ARGS ?=
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH := requirements/torch.txt
ORACLES := requirements/oracles.txt
MODERN := import sys; sys.exit(sys.version_info < (3, 11))

# Stamps lie in the environment, so that removing it removes what they claim.
CREATED := $(VENV)/.created
BASE := $(VENV)/.installed-base
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(BASE) ## install the light base (no torch) and segment two real images into demo-output/
	@$(BIN)/python examples/demo.py
	@echo "The command is $(BIN)/bedside; after 'source $(BIN)/activate' it is simply 'bedside'. Next: make ui"

.PHONY: test
test: $(DEV) browser orthanc ## install all that development needs, then `make check`
	@$(MAKE) --no-print-directory check

.PHONY: ui
ui: ## build the page of `bedside ui` (needs Node 20 or later with npm)
	@command -v npm >/dev/null || { \
		echo "The page needs Node 20 or later with npm; on Debian and Ubuntu: apt-get install nodejs npm" >&2; exit 1; }
	@echo "Building the page"
	@cd web && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --loglevel=error; } && \
		npm run --silent build -- --logLevel warn
	@echo "Open it with: $(BIN)/bedside ui   (or: $(BIN)/bedside ui IMAGE_OR_FOLDER)"

# Chromium and Node come from the system, and only where installing is allowed; without them the tests that drive
# a browser are skipped and say so.
.PHONY: browser
browser: ## what the tests in a real browser need: Chromium, Node, and the page
	@if { ! command -v chromium || ! command -v npm; } >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		{ apt-get update -q && apt-get install -y -q chromium; command -v npm || apt-get install -y -q nodejs npm; } \
			>/dev/null 2>&1 || true; \
	fi
	@$(MAKE) --no-print-directory ui || echo "Without the page the tests in a browser are skipped"

# A PACS of one's own, of which the tests start one on loopback; the service that the package brings stays stopped. Without
# it the tests with a real PACS are skipped and say so.
.PHONY: orthanc
orthanc: ## what the tests with a real PACS need: Orthanc with DICOMweb, and a validator of DICOM
	@if ! { command -v Orthanc && command -v dciodvfy; } >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		{ apt-get update -q && RUNLEVEL=1 apt-get install -y -q orthanc orthanc-dicomweb dicom3tools; } >/dev/null 2>&1 || true; \
		{ command -v service && service orthanc stop; } >/dev/null 2>&1 || true; \
	fi
	@command -v Orthanc >/dev/null || echo "Without Orthanc the tests with a real PACS are skipped"

.PHONY: check
check: lint types page unit ## ruff, mypy --strict, the page's own checks, and all tests with warnings as errors

.PHONY: lint
lint: $(DEV)
	@echo "ruff"
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

.PHONY: types
types: $(DEV)
	@echo "mypy --strict"
	@$(BIN)/python -m mypy --strict

.PHONY: page
page: ## the page's linter, formatter, types and unit tests, where its packages are installed
	@if [ -d web/node_modules ]; then cd web && npm run --silent lint && npm run --silent check && npm test --silent; \
	else echo "The page's own checks are skipped: run 'make ui' first"; fi

# Last, so that the closing line is pytest's.
.PHONY: unit
unit: $(DEV) lint types page
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

.PHONY: docs
docs: $(DOCS) ## build the documentation into site/, from which it can be read; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "Open site/index.html"

.PHONY: format
format: $(DEV) ## put the code into its form and repair what ruff can
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

.PHONY: coverage
coverage: $(DEV) ## the fast tests with coverage of lines and branches, by room
	@$(BIN)/python -m pytest -m "not slow" --ignore tests/web --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/python -m coverage report --format=markdown

.PHONY: pythons
pythons: $(DEV) ## the fast tests on every supported Python that is installed
	@$(BIN)/python -m nox

.PHONY: bench
bench: $(BASE) ## measure start-up, large images, volumes and the server on this machine, side by side
	@$(BIN)/python benchmarks/startup.py
	@$(BIN)/python benchmarks/large_image.py
	@$(BIN)/python benchmarks/volumes.py --without-nninteractive
	@$(BIN)/python benchmarks/server.py

.PHONY: mutants
mutants: $(DEV) ## change small pure modules here and there, and list the changes that no test notices (minutes)
	@$(PIP) -c $(TORCH) -e '.[mutants]'
	@$(BIN)/python -m research.mutants

MINUTES ?= 10
.PHONY: fuzz
fuzz: $(DEV) ## read damaged files of every format for MINUTES=10, and tell of crashes, hangs and foreign exceptions
	@OMP_NUM_THREADS=1 nice -n 10 $(BIN)/python -m research.fuzz --minutes $(MINUTES)

.PHONY: fuzz-api
fuzz-api: $(DEV) ## send right and wrong requests to every operation of the API for MINUTES=10, by its own description
	@$(PIP) -c $(TORCH) -e '.[fuzz-api]'
	@BEDSIDE_API_MINUTES=$(MINUTES) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/serve/test_api_fuzz.py

.PHONY: chaos
chaos: $(DEV) ## kill the server and the commands at random points for MINUTES=10, and tell what was lost or torn
	@OMP_NUM_THREADS=1 nice -n 10 $(BIN)/python -m research.chaos --minutes $(MINUTES)

.PHONY: train-tools
train-tools: $(DEV) ## what training on a CPU gains from: the allocator jemalloc, when it may be installed
	@find_jemalloc() { { ldconfig -p 2>/dev/null || true; } | awk '/libjemalloc\.so\.2/ { print $$NF; exit }'; }; \
	if [ -z "$$(find_jemalloc)" ] && command -v apt-get >/dev/null; then \
		if [ "$$(id -u)" = 0 ]; then apt-get install -y -q libjemalloc2 || true; \
		elif sudo -n true 2>/dev/null; then sudo -n apt-get install -y -q libjemalloc2 || true; fi; \
	fi; \
	library="$$(find_jemalloc)"; \
	if [ -n "$$library" ]; then echo "Train with: LD_PRELOAD=$$library $(BIN)/bedside train ..."; \
	else echo "jemalloc is missing and could not be installed; training works without it, somewhat slower"; fi

.PHONY: clean
clean: ## remove caches, builds and the demo's output, and keep the environment
	@rm -rf build dist site demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -not -path './.git/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove the environment too
	@rm -rf $(VENV)

# An environment that works is kept; one that an interruption left half made is made again.
$(CREATED):
	@if $(BIN)/python -c '$(MODERN)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1; then touch $@; exit; fi; \
	chosen=; \
	for candidate in $(if $(PYTHON),'$(PYTHON)',python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$candidate" -c '$(MODERN)' 2>/dev/null; then chosen="$$candidate"; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
		found="$$($(if $(PYTHON),'$(PYTHON)',python3) --version 2>/dev/null || true)"; \
		echo "Bedside needs Python 3.11 or later; found: $${found:-no $(or $(PYTHON),python3)}" >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$chosen" --version)"; \
	"$$chosen" -m venv $$([ -f $(VENV)/pyvenv.cfg ] && echo --clear) $(VENV) || { \
		echo "Python could not create an environment; on Debian and Ubuntu install python3-venv" >&2; exit 1; }; \
	touch $@

$(BASE): $(CREATED) pyproject.toml
	@echo "Installing Bedside's light base into $(VENV)"
	@$(PIP) -e .
	@touch $@

# torch first and alone: whatever asks for it afterwards then takes the pinned one.
$(DEV): $(CREATED) pyproject.toml $(TORCH) $(ORACLES)
	@echo "Installing what development needs into $(VENV) (torch among it: some minutes the first time)"
	@$(PIP) -r $(TORCH)
	@$(PIP) -c $(TORCH) -e '.[dev]'
	@$(PIP) --no-deps -r $(ORACLES)
	@touch $(BASE) $(DOCS) $@

# Without torch, where that is not there already.
$(DOCS): $(CREATED) pyproject.toml
	@echo "Installing what the documentation needs into $(VENV)"
	@$(PIP) -e '.[docs]'
	@touch $(BASE) $@
