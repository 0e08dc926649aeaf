# The developer's commands. What each needs (system packages, a virtual environment, the build) it makes first, and only
# what is missing or out of date. PYTHON=… picks the interpreter, VENV=… the environment, ARGS=… goes to the command.

VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
PROCESSES ?= 8
SECONDS ?= 60
TOOLS ?= go=golang-go testssl=testssl.sh chromium=chromium node=nodejs curl=curl openssl=openssl h2load=nghttp2-client
RUN ?=

export PYTHON

.PHONY: help serve test build bench lint debug asan fuzz fuzz-in-place conformance all-pythons reference sdist clean system

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

serve: system  ## build, and serve examples/hello.py on http://HOST:PORT
	@tools/venv.sh $(VENV)
	$(VENV)/bin/granite run --working-dir examples --host $(HOST) --port $(PORT) $(ARGS) hello:app

test: system  ## build, and run the tests (ARGS="-k name" to choose, PROCESSES=0 for one process)
	@tools/venv.sh $(VENV) test
	$(RUN) $(VENV)/bin/pytest --numprocesses $(PROCESSES) --dist worksteal $(ARGS)

build: system  ## build in place
	@tools/venv.sh $(VENV)

lint: system  ## formatting, lint and types
	@tools/venv.sh $(VENV) test,dev
	$(VENV)/bin/ruff format --check . && $(VENV)/bin/ruff check . && $(VENV)/bin/mypy

debug: system  ## the tests on a debug build: asserts on, live objects counted
	@tools/tree.sh build/tree-debug
	GRANITE_DEBUG=1 $(MAKE) --no-print-directory -C build/tree-debug test VENV=.venv

# Fewer than for other builds, whose tests wait more than they compute and take less memory.
asan: PROCESSES = 6
asan: system  ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/tree.sh build/tree-asan
	@tools/sanitize.sh build/tree-asan test PROCESSES=$(PROCESSES) ARGS="-m 'not no_sanitizer' --timeout 600 $(ARGS)"

fuzz: system  ## broken requests against that build, for SECONDS=60 (ARGS="--seed X --round N" repeats a round)
	@tools/tree.sh build/tree-asan
	@tools/sanitize.sh build/tree-asan fuzz-in-place SECONDS=$(SECONDS) ARGS="--keep $(CURDIR)/build/fuzz $(ARGS)"

fuzz-in-place: system
	@tools/venv.sh $(VENV) test
	$(RUN) $(VENV)/bin/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

conformance: system  ## public suites, judged case by case, into docs/conformance.md (ARGS=h2spec for one; TOOLS= installs nothing)
	@tools/system.sh $(TOOLS)
	@tools/venv.sh $(VENV) test
	$(VENV)/bin/python -m tests.conformance $(ARGS)

all-pythons: system  ## the tests on every supported Python that is found
	@tools/all-pythons.sh

bench: system  ## granite beside its peers on this machine (ARGS=--quick: under a minute)
	@tools/venv.sh $(VENV) test
	$(VENV)/bin/python -m bench $(ARGS)

reference: build  ## docs/settings.md, from the table of settings
	$(VENV)/bin/python -m granite settings --markdown > docs/settings.md

sdist: system  ## dist/granite-*.tar.gz, third-party sources included
	@tools/venv.sh $(VENV) test,dev
	$(VENV)/bin/python -m build --sdist

clean:  ## remove everything that was built, the environments too
	rm -rf build dist .venv .venv-* granite.egg-info granite/_core/*.so vendor/src .mypy_cache .ruff_cache .pytest_cache

system:
	@tools/system.sh
