# `make` prints the menu. Needs make (3.81 will do), a POSIX sh and python3 >= 3.11 with venv;
# everything else goes into .venv, which .ci/environment.sh makes and keeps.

PYTHON = .venv/bin/python
# Warnings are errors, in the workers of xdist and in the programs that tests start as well.
# Streams are buffered as users have them, whatever the environment says.
STRICT = PYTHONDEVMODE=1 PYTHONWARNINGS=error PYTHONUNBUFFERED=
PYTEST = $(STRICT) $(PYTHON) -m pytest
# One worker per core; none on one core, where they only cost.
JOBS = $$($(PYTHON) -c "import os; n = os.cpu_count() or 1; print(n if n > 1 else 0)")

.NOTPARALLEL:
.PHONY: menu demo test test-servers check bench fuzz vectors docs clean runtime dev

menu:
	@echo "make demo          type the tutorial's commands: a CA, two people, a sealed letter"
	@echo "make test          run the tests"
	@echo "make test-servers  run the tests that start a server"
	@echo "make check         lint, format, types, and which module may import which"
	@echo "make bench         measure, and write docs/reference/performance.md"
	@echo "make fuzz          feed damaged input for some minutes, and time what does not open"
	@echo "make vectors       make the test messages in vectors/ anew"
	@echo "make docs          run every example of the README and of docs/"
	@echo "make clean         remove what the other targets made"

runtime:
	@sh .ci/environment.sh runtime

dev:
	@sh .ci/environment.sh dev

demo: runtime
	@$(PYTHON) -m tests.docs.demo

test: dev
	$(PYTEST) -m "not server" -n $(JOBS)

test-servers: dev
	$(PYTEST) -m server

check: dev
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy tests/usage
	.venv/bin/lint-imports

bench: dev
	$(PYTHON) -m tests.bench.run

fuzz: dev
	$(PYTHON) tests/fuzz/run.py
	$(PYTHON) tests/fuzz/timing.py

vectors: dev
	$(PYTHON) vectors/make

docs: dev
	$(PYTEST) -n 0 tests/docs

clean:
	rm -rf .venv build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
