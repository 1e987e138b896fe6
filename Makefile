# Everything a fresh machine needs is python3 (with venv) and make.
PYTHON ?= python3
VENV := .venv
OLDEST ?= .venv-oldest
OLDEST_SCRAPY ?= "scrapy[httpx]==2.18.0"
BIN := $(VENV)/bin
XDIST := -n 4 --dist worksteal
OLDEST_TESTS := $(addprefix tests/, \
	unit/commands unit/components unit/config unit/core unit/model unit/pipelines unit/test_addon.py contract \
	crash/test_crash_kills.py integration/crawl/test_graceful_stop.py \
	integration/resume_points/test_detail_spider.py integration/resume_points/test_media_spider.py)

# Python keeps what it has compiled, even where the environment forbids that: hundreds of processes would do it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: test lint compiled package all fast slow oldest torture torture-verdict torture-properties field demo docs \
	pictures bench scale clean browser

# What uses one core runs two at a time; but two builds at a time would write the same egg-info. The tests use all cores.
test:
	$(MAKE) -j2 $(VENV)/.ready browser
	$(MAKE) -j2 BUILT=package package lint $(OLDEST)/.ready compiled
	$(MAKE) all oldest

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Builds the sdist and the wheel in dist/, and checks both strictly.
package: $(VENV)/.ready
	rm -rf dist
	$(BIN)/python -m build --quiet .
	$(BIN)/python -m twine check --strict dist/*

# Pytest compiles the tests in a form of its own. Workers that begin together would each compile all of them.
compiled: $(VENV)/.ready
	$(BIN)/python -m pytest -q --collect-only >/dev/null || true

# Crawls in processes wait for sites and clocks now and then, so there are more workers than cores.
all: $(VENV)/.ready browser
	$(BIN)/python -m pytest -q $(XDIST)

# The tests that start no crawls in processes.
fast: $(VENV)/.ready
	$(BIN)/python -m pytest -q $(XDIST) -m "not slow"

slow: $(VENV)/.ready browser
	$(BIN)/python -m pytest -q $(XDIST) -m slow

# The oldest supported Scrapy, which downloads with httpx where there is no reactor. Only what touches Scrapy runs again.
oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/python -m pytest -q $(XDIST) --trials 5 $(OLDEST_TESTS) \
	$(addprefix --ignore tests/unit/core/, items/test_keys.py items/test_ledger.py retry/test_simulation.py)

# The tests of report.html use a real browser.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	{ test "$$(id -u)" = 0 && command -v apt-get && \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } || \
	{ echo "The tests of report.html need Chromium: install it (Debian: apt-get install chromium)"; exit 1; }

# Hundreds of kills, about an hour.
torture: $(VENV)/.ready
	$(BIN)/python -m pytest -q $(XDIST) tests/crash --trials 300

# A thousand hostile projects, drawn at random: no verdict that a recount denies. About half an hour.
torture-verdict: $(VENV)/.ready
	$(BIN)/python -m pytest -q $(XDIST) tests/verdict --verdicts 1000

# Other examples of the properties than those of each session, and more of them.
torture-properties: $(VENV)/.ready
	$(BIN)/python -m pytest -q $(XDIST) tests/unit --hypothesis-profile random

# Black-box cases that are kept beside the project, where they are there. FIELD_OPTIONS, such as: --trials 5 V1 V4
FIELD ?= ../shared/field
field: $(VENV)/.ready
	$(BIN)/python $(FIELD)/run.py --python $(abspath $(BIN)/python) --jobs 2 $(FIELD_OPTIONS)

# The environment of the tests if it is there; else one with what the demo needs, a fifth of that.
DEMO := $(if $(wildcard $(VENV)/.ready),$(VENV),.venv-demo)

demo: $(DEMO)/.ready
	$(DEMO)/bin/python example_project/demo.py

# The documentation as a site in site/. A warning is an error: a link that leads nowhere, a page that is in no menu.
docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks.overhead

scale: $(VENV)/.ready
	$(BIN)/python -m benchmarks.scale

# The pictures of the README, in docs/pictures: of real commands, and of a real report in a browser.
pictures: $(VENV)/.ready browser
	$(BIN)/python example_project/pictures.py

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

.venv-demo/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	touch $@

.venv-docs/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	touch $@

$(OLDEST)/.ready: pyproject.toml | $(BUILT)
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[test]" $(OLDEST_SCRAPY)
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) .venv-demo .venv-docs site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
