# From a clean clone, with Python 3.9 or newer and make: `make study`, `make test`.
STUDY ?= study.yaml
RUN := .venv/bin

.PHONY: study test lab rate lint soak bench lock setup
.DEFAULT_GOAL := study

study: setup ## restore, measure, compare, report
	@$(RUN)/evalkit study "$(STUDY)" $(if $(IMAGES),--images "$(IMAGES)") \
	  $(if $(PDF),--pdf)

test: setup ## all tests but the long ones
	@$(RUN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

lab: setup ## JupyterLab on the notebooks
	@$(RUN)/jupyter lab --notebook-dir notebooks

rate: setup ## blind rating of the latest run, one secret link per subject
	@$(RUN)/evalkit rate

lint: .venv/ready-ci
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/nbstripout --verify notebooks/*.ipynb

soak: setup ## the long tests
	@$(RUN)/python -m pytest -m soak --timeout 3600

bench: setup ## ratios against named alternatives
	@for file in benchmarks/[a-z]*.py; do $(RUN)/python "$$file"; done

lock: setup ## every version anew, and how much they weigh
	@.ci/lock

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@.ci/setup requirements.lock
	@rm -f $@-ci
	@touch $@

.venv/ready-ci: requirements-ci.lock pyproject.toml
	@.ci/setup requirements-ci.lock
	@touch $@ .venv/ready
