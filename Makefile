# make run    set up, run the whole pipeline, whose last stage prints the results
# make test   set up, run the tests; TESTS=tests/cli runs some of them
# make check  set up, format, lint, types, import rules
# make docs   set up, build the documentation as a site
# make faults set up, damage inputs, kill runs and fill disks; INPUTS=1000 KILLS=4 DISKS=8 tries fewer
# make mutants set up, change the code in one place after the other: do the tests notice? MUTANTS=100 tries fewer
# make bench  set up, run every benchmark; ARCHIVES=DIR adds those on photographs
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
BENCHMARKS := growth rerun camera exact_search predict cluster
MUTANTS ?= 1000
ON_ARCHIVES := features one_pass seed_study near_duplicates known_sets wrong_labels planted_noise views real_photos seed_recipe drift \
  selection_curve
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.PHONY: run test check docs faults mutants bench setup lock

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

# Goes on after a benchmark that falls short, and fails at the end.
bench: setup
	@short=; for name in $(BENCHMARKS) $(if $(ARCHIVES),$(ON_ARCHIVES)); do \
	  echo; echo "== benchmarks/$$name.py"; \
	  case " $(ON_ARCHIVES) $(if $(ARCHIVES),rerun) " in *" $$name "*) given="--archives $(ARCHIVES)";; *) given=;; esac; \
	  python benchmarks/$$name.py $$given || short="$$short $$name"; \
	done; \
	test -z "$$short" || { echo; echo "fell short or failed:$$short"; exit 1; }

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
