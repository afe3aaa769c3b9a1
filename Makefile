# `make help` lists the targets. Each makes what it needs first, in .venv; GNU make 3.81 suffices.

VENV := .venv
PYTHON := $(VENV)/bin/python
SOURCES := $(wildcard neighio tests examples benchmarks tools docs)

# Most of the suite's time goes by waiting for the kernel's timers: more workers than cores use it.
WORKERS := 4

# The tests start hundreds of interpreters, each of which would compile all of neighio again.
unexport PYTHONDONTWRITEBYTECODE

# The environment holds this folder's name and an interpreter: it is of no use where either has gone.
ifneq ($(shell test "`cat $(VENV)/stamp-run 2>/dev/null`" = "`pwd -P`" && $(PYTHON) -c '' 2>/dev/null && echo good),good)
STALE := stale
endif

.PHONY: help demo test parity mutants walk bench check lint typing door docs wheel clean stale
.DEFAULT_GOAL := help

help:
	@echo 'make demo     watch neighbours live and die (under 20 s, no root)'
	@echo 'make test     run the tests; PYTEST_ARGS="-k name" narrows them'
	@echo 'make parity   play every scenario on this kernel, on a host and on the engine; writes docs/parity.md'
	@echo 'make mutants  break the core in small ways; the scenarios must notice each (two minutes)'
	@echo 'make walk     take steps by chance on this kernel and on the engine, and compare after each; STEPS=100000 SEED=name'
	@echo 'make bench    measure beside peers and floors (half an hour); writes docs/benchmarks.md; ROW="name ..." renews rows'
	@echo 'make check    everything below, in this order'
	@echo '  make lint     ruff (check and format), flake8-async'
	@echo '  make typing   mypy --strict, pyright --verifytypes'
	@echo '  make door     layers, what importing brings in, README code, packaging'
	@echo '  make docs     the documentation, in docs/_build/html; warnings are errors'
	@echo '  make wheel    the built wheel: that it is whole and runs'
	@echo 'make clean    remove the environment, caches and everything built'

$(VENV)/stamp-run: pyproject.toml tools/setup $(STALE)
	@sh tools/setup run

$(VENV)/stamp-test: $(VENV)/stamp-run
	@sh tools/setup test

$(VENV)/stamp-dev: $(VENV)/stamp-test
	@sh tools/setup dev

$(VENV)/stamp-bench: $(VENV)/stamp-test
	@sh tools/setup bench

$(VENV)/stamp-wheel: $(VENV)/stamp-dev
	@sh tools/setup wheel

demo: $(VENV)/stamp-run
	@echo 'demo: neighbours on a private network'
	@$(PYTHON) -m neighio demo

# A few tests are done before four workers have started. Some are to have the machine alone.
test: $(VENV)/stamp-test
	@echo 'test: $(if $(PYTEST_ARGS),as asked,the whole suite)'
	@$(if $(PYTEST_ARGS),,$(PYTHON) -m pytest -m alone)
	@$(PYTHON) -m pytest $(or $(PYTEST_ARGS),--numprocesses=$(WORKERS) --dist=worksteal -m 'not alone')

parity: $(VENV)/stamp-run
	@echo 'parity: the kernel as oracle'
	@$(PYTHON) -m neighio.testing.scenario parity tests/scenarios --write docs/parity.md

mutants: $(VENV)/stamp-run
	@echo 'mutants: the core, broken in small ways'
	@$(PYTHON) tools/mutants.py

walk: $(VENV)/stamp-run
	@echo 'walk: the kernel and the engine, by chance'
	@$(PYTHON) -m neighio.testing.scenario.walk $(if $(STEPS),--steps $(STEPS)) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/stamp-bench
	@echo 'bench: side by side with the peers'
	@$(PYTHON) -m benchmarks $(ROW:%=--row %) --write docs

check: lint typing door docs wheel
	@echo 'check: all passed'

# A public coroutine must checkpoint on every return (910, 911) and never loop without one (913); tests need not.
# Tests also catch what they judge (103) and close what a task of theirs still reads (111).
# Each file takes flake8-async a second or so: those that say none of these words can break none of its rules.
ASYNC := xargs grep -lwE 'async|await|trio|anyio|asyncio|BaseException'
FLAKE8_ASYNC := xargs -n 8 -P $(WORKERS) $(PYTHON) -m flake8_async

lint: $(VENV)/stamp-dev
	@echo 'lint: ruff, flake8-async'
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@find neighio $(wildcard examples) -name '*.py' | $(ASYNC) | $(FLAKE8_ASYNC) --enable=ASYNC,ASYNC900,ASYNC910,ASYNC911,ASYNC913 --startable-in-context-manager=add_address,answer_echo,detect,serve
	@find $(filter-out neighio examples,$(SOURCES)) -name '*.py' | $(ASYNC) | $(FLAKE8_ASYNC) --enable=ASYNC,ASYNC900 --disable=ASYNC103,ASYNC111,ASYNC910,ASYNC911,ASYNC912,ASYNC913,ASYNC114

typing: $(VENV)/stamp-dev
	@echo 'typing: mypy, pyright'
	@$(PYTHON) -m mypy --strict neighio $(wildcard docs/*.py tools/*.py examples/*.py benchmarks/*.py)
	@$(PYTHON) tools/verify_types.py

door: $(VENV)/stamp-test
	@echo 'door: layers, imports, README, packaging'
	@$(PYTHON) -m pytest -q tests/test_layers.py tests/test_imports.py tests/test_readme.py tests/test_packaging.py

docs: $(VENV)/stamp-dev
	@echo 'docs: into docs/_build/html'
	@$(PYTHON) -m sphinx --fail-on-warning --keep-going --nitpicky --quiet --fresh-env -b html -d docs/_build/doctrees docs docs/_build/html

wheel: $(VENV)/stamp-wheel
	@echo 'wheel: the built wheel, away from the checkout'
	@sh tools/check-wheel

clean:
	@echo 'clean: the environment, caches, everything built'
	@rm -rf $(VENV) dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
