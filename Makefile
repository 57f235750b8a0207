# From a clean clone, with Python 3.11 or 3.12 and make: `make study`, `make test`.
STUDY ?= study.yaml
UV_VERSION := 0.13.8
RUN := .venv/bin

.PHONY: study test lab rate lint soak bench lock setup
.DEFAULT_GOAL := study

study: setup ## restore, measure, compare, report
	@$(RUN)/evalkit study "$(STUDY)" $(if $(IMAGES),--images "$(IMAGES)") \
	  $(if $(PDF),--pdf)

test: setup ## all tests but the long ones
	@$(RUN)/python -m pytest

lab: setup ## JupyterLab on the notebooks
	@$(RUN)/jupyter lab --notebook-dir notebooks

rate: setup ## blind rating of the latest run, one secret link per subject
	@$(RUN)/evalkit rate

lint: setup
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/nbstripout --verify notebooks/*.ipynb

soak: setup ## the long tests
	@$(RUN)/python -m pytest -m soak --timeout 3600

bench: setup ## ratios against named alternatives
	@for file in benchmarks/[a-z]*.py; do $(RUN)/python "$$file"; done

lock: ## every version anew, and how much they weigh
	@.ci/lock

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@UV_VERSION=$(UV_VERSION) .ci/setup
	@touch $@
