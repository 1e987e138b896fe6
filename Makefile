# Everything a fresh machine needs is python3 (with venv) and make.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin

.PHONY: test fast lint crash oldest torture demo bench scale clean browser

test: lint fast crash oldest

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: $(VENV)/.ready
	$(BIN)/python -m pytest tests -m "not slow" -q -n 2

# Tests that crawl in processes mostly wait: several files run at once. The crash suite starts several crawls by itself.
crash: $(VENV)/.ready browser
	$(BIN)/python -m pytest tests/crash -m slow -q
	$(BIN)/python -m pytest tests --ignore=tests/crash -m slow -q -n 3 --dist worksteal

# The oldest supported Scrapy. Without a reactor it downloads with httpx.
oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/python -m pytest tests -m "not slow" -q -n 2
	$(OLDEST)/bin/python -m pytest tests/crash/test_crash_kills.py -m slow -q --trials 5
	$(OLDEST)/bin/python -m pytest tests/integration/crawl/test_graceful_stop.py tests/integration/resume_points/test_media_spider.py \
	tests/integration/resume_points/test_detail_spider.py -m slow -q -n 3

# The tests of report.html use a real browser.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	{ test "$$(id -u)" = 0 && command -v apt-get && \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } || \
	{ echo "The tests of report.html need Chromium: install it (Debian: apt-get install chromium)"; exit 1; }

# Hundreds of kills, about an hour.
torture: $(VENV)/.ready
	$(BIN)/python -m pytest tests/crash -m slow --trials 300

demo: $(VENV)/.ready
	$(BIN)/python example_project/demo.py

bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks.overhead

scale: $(VENV)/.ready
	$(BIN)/python -m benchmarks.scale

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

$(OLDEST)/.ready: pyproject.toml
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]" "scrapy[httpx]==2.18.0"
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
