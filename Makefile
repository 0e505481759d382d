# make run    set up, run the whole pipeline, whose last stage prints the results
# make test   set up, run the tests; TESTS=tests/cli runs some of them
# make check  set up, format, lint, types, import rules
# make docs   set up, build the documentation as a site
# make faults set up, damage inputs, kill runs and fill disks; INPUTS=1000 KILLS=4 DISKS=8 tries fewer
# make mutants set up, change the code in one place after the other: do the tests notice? MUTANTS=100 tries fewer
# make bench  set up, run the benchmarks that need no photographs: at most half an hour
# make bench-photos ARCHIVES=DIR  those on photographs: two hours
# make bench-long  those that take hours: up to a million images
# make lock   resolve the pinned set anew from pyproject.toml
# TORCH=cpu or TORCH=cuda beside these chooses the build of torch

PYTHON ?= python3
VENV := .venv
# the build of torch: cpu, cuda, or auto, which .ci/install.py explains
TORCH ?= auto
# the archives of photographs, see docs/benchmarks.md
ARCHIVES ?=
INPUTS ?= 100000
KILLS ?= 100
DISKS ?=
# every file of benchmarks/ that is a command stands in one of these, or is one of `make faults` and `make mutants`, or gpu.py
BENCHMARKS := stages rerun growth camera exact_search predict cluster
ON_ARCHIVES := features one_pass seed_study near_duplicates known_sets wrong_labels views real_photos backbones heads calibration \
  unknown drift selection_curve seed_recipe planted_noise
LONG := growth million
# what a benchmark is given, and less than by itself, so that all of `make bench` takes no longer
given_growth := --sizes 1000 20000 --curate-to 20000
given_rerun := --images 300 --sizes 1000
given_cluster := --images 300 --rounds 1
MUTANTS ?= 1000
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.PHONY: run test check docs faults mutants bench bench-photos bench-long setup lock

run: setup
	@find .dvc -path .dvc/tmp/rwlock -empty -delete # what a kill can leave of it, and no dvc reads
	@dvc repro
	@tandem check --outputs >/dev/null # DVC can end well though its cache was full, and an output is empty
	@echo 'after `source $(VENV)/bin/activate`: `tandem results` shows the scores, and where to look next'

# Which tests stay on one worker is said in tests/conftest.py.
test: setup
	@python -m pytest -n auto --dist loadscope --no-loadscope-reorder $(TESTS)

check: setup
	ruff format --check .
	ruff check .
	mypy
	lint-imports

docs: setup
	python docs/build_site.py

faults: setup
	python benchmarks/mutated_inputs.py --inputs $(INPUTS)
	python benchmarks/kills.py --kills $(KILLS)
	python benchmarks/disks.py $(if $(DISKS),--trials $(DISKS))

mutants: setup
	python benchmarks/mutants.py --mutants $(MUTANTS)

# Goes on after a benchmark that falls short, and fails at the end. 1: names. 2: options of all.
define run_benchmarks
python benchmarks/figures.py; short=; $(foreach name,$(1),echo; echo "== benchmarks/$(name).py"; \
  python benchmarks/$(name).py $(given_$(name)) $(2) || short="$$short $(name)";) \
test -z "$$short" || { echo; echo "fell short or failed:$$short"; exit 1; }
endef

bench: setup
	@$(call run_benchmarks,$(BENCHMARKS))

bench-photos: setup
	@test -n "$(ARCHIVES)" || { echo "error: name the folder of the archives: make bench-photos ARCHIVES=DIR"; exit 1; }
	@$(call run_benchmarks,$(ON_ARCHIVES),--archives $(ARCHIVES))

bench-long: given_growth :=
bench-long: setup
	@$(call run_benchmarks,$(LONG))

setup: $(VENV)/ready

ifneq ($(TORCH),auto)
.PHONY: $(VENV)/ready # what is asked for is held against what is installed
endif

# The stamp is written last: a set-up that was cut short is done again.
$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	python -m uv --version >/dev/null 2>&1 || python -m pip install --quiet --disable-pip-version-check uv
	python .ci/install.py $(TORCH)
	python -m uv pip install --quiet --python $(VENV)/bin/python --no-deps --editable .
	tandem setup
	@touch $@

lock: $(VENV)/ready
	python -m uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --upgrade \
	  --extra dev pyproject.toml --output-file requirements.lock
