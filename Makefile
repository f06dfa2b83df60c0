# Every target does the set-up that it needs. It takes git, make and Python 3.11 or newer; PYTHON=... names another.

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime.stamp
DEV := .venv/.dev.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench chaos adversary fuzz parsers census cleanups schedules fixtures drill mutants official screenshots docs lock dist clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(DEV) ## Make .venv with all that is needed to work on protokeep; instant when nothing changed
	@echo "protokeep: .venv is ready"

demo: $(RUNTIME) ## See protokeep at work against an emulated v0; no key needed (ARGS="--port 8080")
	@$(BIN)/protokeep demo $(ARGS)

# Without bytecode each of the five processes rewrites all tests, and each one that tests start compiles our modules.
test: $(DEV) ## Run the tests (ARGS="-k reuse")
	@$(BIN)/python -m compileall -q src
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --numprocesses 4 $(ARGS)

check: $(DEV) ## Formatting, lint, lengths, strict types, which module may import which
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python tools/lengths.py
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > .venv/lint-imports.log 2>&1 || { cat .venv/lint-imports.log >&2; exit 1; }
	@$(BIN)/python tools/audit.py
	@echo "check: formatting, lint, types and import contracts are fine"

format: $(DEV) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: $(DEV) ## Measure, and write docs/benchmarks.md (ARGS="requests storm")
	@$(BIN)/python -c 'import dbos' 2>/dev/null || $(BIN)/python -m pip install -qq --require-hashes -r requirements/bench.txt
	@PYTHONPATH=tests:. $(BIN)/python -m benchmarks $(ARGS)

chaos: $(DEV) ## Kill, cut off and restart real processes, and check every promise (ARGS="sqlite --seconds 20")
	@PYTHONPATH=tests:. $(BIN)/python -m chaos $(ARGS)

adversary: $(DEV) ## Break real processes before a v0 that is not ours, and check every promise (ARGS="two_keys --short")
	@PYTHONPATH=tests:. $(BIN)/python -m adversary $(ARGS)

fuzz: $(DEV) ## Send tens of thousands of made-up requests by every role to both databases (FUZZ=300)
	@PROTOKEEP_NEW_EXAMPLES=1 PROTOKEEP_FUZZ=$(or $(FUZZ),300) $(BIN)/python -m pytest --numprocesses 4 -q -s tests/system/access/test_fuzz.py $(ARGS)

parsers: $(DEV) ## Try every parser with texts that somebody else may send (INPUTS=50000)
	@PROTOKEEP_NEW_EXAMPLES=1 PROTOKEEP_PARSER_INPUTS=$(or $(INPUTS),50000) $(BIN)/python -m pytest -q tests/system/access/test_parsers.py $(ARGS)

cleanups: $(DEV) ## Kill and disturb clean-ups of accounts many times (CASES=200)
	@PROTOKEEP_NEW_EXAMPLES=1 PROTOKEEP_CLEAN_UP_CASES=$(or $(CASES),200) $(BIN)/python -m pytest -q tests/service/test_plan_steps.py $(ARGS)

census: $(DEV) ## Read accounts of 4,000 chats while people work there, and count what was missed (CENSUSES=10)
	@PROTOKEEP_NEW_EXAMPLES=1 PROTOKEEP_CENSUSES=$(or $(CENSUSES),10) $(BIN)/python -m pytest -q tests/providers/test_census.py $(ARGS)

schedules: $(DEV) ## Run many random schedules of clicks, crashes and faults (SCHEDULES=10000)
	@PROTOKEEP_NEW_EXAMPLES=1 PROTOKEEP_SCHEDULES=$(or $(SCHEDULES),10000) $(BIN)/python -m pytest -q tests/system/schedules $(ARGS)

fixtures: $(DEV) ## Make the databases anew that tests upgrade later; before a release, never after it
	@PYTHONPATH=tests $(BIN)/python -m old_databases $(ARGS) > .venv/fixtures.log || { cat .venv/fixtures.log >&2; exit 1; }
	@tail -n 1 .venv/fixtures.log

drill: $(DEV) ## Back up, lose and restore an installation on each kind of database, by the documented commands
	@PYTHONPATH=tests $(BIN)/python tools/drill.py $(ARGS)

mutants: $(DEV) ## Change the code in places, and list the changes that no test notices (ARGS="--sample 60 --seed 7" or --guards)
	@PYTHONPATH=tools $(BIN)/python -m mutants $(ARGS)

official: $(DEV) ## Try v0's own npm clients against the emulated v0; needs Node and npm
	@npm ci --silent --ignore-scripts --no-audit --no-fund --prefix tests/system/official
	@$(BIN)/python -m pytest -q tests/system/official $(ARGS)

screenshots: $(DEV) ## Take every page and state, to be looked at; needs Chromium (ARGS="--only home")
	@$(BIN)/python tools/screenshots.py $(ARGS)

docs: $(DEV) ## Build the documentation as a site that asks nobody else for anything, in build/docs/site
	@$(BIN)/python -c 'import furo, myst_parser, sphinx' 2>/dev/null || $(BIN)/python -m pip install -qq --require-hashes -r requirements/docs.txt
	@$(BIN)/python -m tools.docs_site

lock: $(DEV) ## Pin requirements/*.txt anew after a change in pyproject.toml (ARGS=--upgrade for newer versions)
	@$(BIN)/python -m pip install -qq --require-hashes -r requirements/lock.txt
	@$(UV_COMPILE) -o requirements/runtime.txt $(ARGS)
	@$(UV_COMPILE:pyproject.toml=) --group build -c requirements/runtime.txt -o requirements/build.txt $(ARGS)
	@$(UV_COMPILE) --group dev -c requirements/runtime.txt -c requirements/build.txt -o requirements/dev.txt $(ARGS)
	@$(UV_COMPILE) --group bench -c requirements/dev.txt -o requirements/bench.txt $(ARGS)
	@$(UV_COMPILE:pyproject.toml=) --group docs -c requirements/dev.txt -o requirements/docs.txt $(ARGS)
	@$(UV_COMPILE:pyproject.toml=) --group lock -o requirements/lock.txt $(ARGS)
	@if grep -n '://' requirements/*.txt; then echo "these lines hold an address" >&2; exit 1; fi

dist: $(DEV) ## Build wheel, source archive, SBOM, release notes and digests into dist/, the same bytes each time
	@rm -rf dist
	@$(BIN)/python tools/dist.py dist

UV_COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --no-strip-extras --python-version 3.11 \
	--generate-hashes --no-header --no-annotate

clean: ## Remove .venv and all that tools leave behind
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps say that .venv holds what the files of requirements/ pin. The development set contains the runtime one.
$(RUNTIME): requirements/runtime.txt requirements/build.txt pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" tools/setup.sh runtime
	@touch $@

$(DEV): requirements/dev.txt requirements/runtime.txt requirements/build.txt pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" tools/setup.sh dev
	@touch $(RUNTIME) $@
