# From a clean clone, with Python 3.9 or newer and make: `make study`, `make test`.
STUDY ?= study.yaml
BIN := .venv/bin

.PHONY: study verdicts test lab rate lint docs soak bench lock setup
.DEFAULT_GOAL := study

study: setup ## restore, measure, compare, report
	@$(BIN)/evalkit study "$(STUDY)" $(if $(IMAGES),--images "$(IMAGES)") \
	  $(if $(PDF),--pdf)

verdicts: setup ## all that this machine can say to the article's claims
	@$(BIN)/evalkit study verdicts.yaml

test: setup ## all tests but the long ones
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

lab: setup ## JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir notebooks

rate: setup ## blind rating of the latest run, one secret link per subject
	@$(BIN)/evalkit rate

lint: .venv/ready-ci
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/nbstripout --verify notebooks/*.ipynb

docs: .venv/ready-ci ## the site, of the run folder RUN, else of the set quick
	@$(if $(RUN),,$(BIN)/evalkit study "$(STUDY)" --images quick)
	@$(BIN)/python docs/build.py $(or $(RUN),$(or $(EVALKIT_RUNS),runs)/latest)

soak: setup ## the long tests
	@$(BIN)/python -m pytest -m soak --timeout 3600

bench: setup ## ratios against named alternatives
	@for name in real_esrgan gpen gpu monitor; do $(BIN)/python benchmarks/$$name.py; done

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
