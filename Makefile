# Set-up is tools/setup.py, checks are tools/check.py, tests are tools/test.py: plain Python, quick when there is nothing to do.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
ifeq ($(PYTHON),)
$(error Python 3.11 or newer is needed. On Debian 12: sudo apt-get install python3 python3-venv python3-pip)
endif

.DEFAULT_GOAL := help
.PHONY: help setup up test check bench soak gen

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install and build what is missing; quick when nothing is
	@$(PYTHON) -m tools.setup

up: setup ## Set up and start the platform at http://localhost:8080; Ctrl-C stops it
	@exec .venv/bin/auralink up

test: ## Set up and run all tests: Python, Rust, console, browser
	@$(PYTHON) -m tools.setup --tests
	@.venv/bin/python -m tools.test

check: ## Format, lint, types, import contracts; under a minute when warm
	@$(PYTHON) -m tools.check

bench: setup ## Measure the media server; PEER=<livekit-server binary> measures LiveKit beside it
	@exec .venv/bin/python -m bench $(if $(PEER),--peer $(PEER))

soak: setup ## Join and leave for MINUTES=60 and say whether the media server's memory stays flat
	@exec .venv/bin/python -m bench.soak --minutes $(or $(MINUTES),60)

gen: setup ## Write what is generated: the console's API client from our OpenAPI document
	@.venv/bin/python -m tools.gen
