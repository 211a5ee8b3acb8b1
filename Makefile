# make env   makes $(VENV) from the pins, once; again after a change of requirements/
# make demo  shows what sparse-tuning is worth, on real data, offline, in minutes
# make tables counts the networks of all configs again and writes docs/paper_tables.md
# make test  runs the tests in it; make lint checks the style. Another place: make test VENV=/tmp/env
# make configs builds all configs, and runs five steps, resumption and test of a set that covers all their parts, on generated pictures
# make matrix runs the combinations of host, adapter and sparsifier that make test leaves out: there every two meet, here all three, in more than
#             two thousand cases; MATRIX="-k [timm-" takes those of one host
# make slow   runs the whole runs, by commands and in two processes, and the counts of all configs and combinations, that make test leaves out
# make parity runs the tests that compare with a reference on the kernels of two other kinds of CPU
# make oldest installs the package with the oldest versions that pyproject.toml allows, and runs a part of the tests
VENV ?= .venv
PYTHON = $(VENV)/bin/python

.PHONY: env demo tables test slow configs matrix parity lint oldest

env: $(VENV)/installed

$(VENV)/installed: $(wildcard requirements/*.txt)
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install -r requirements/dev.txt -e .
	touch $@

demo: env
	$(PYTHON) tools/demo.py

tables: env
	$(PYTHON) tools/analysis_tools/paper_tables.py --markdown docs/paper_tables.md

# A process for each of up to four cores, of one thread: tiny models on several threads are many times slower wherever a core is busy.
PYTEST = $(PYTHON) -m pytest -n auto --maxprocesses 4

test: env
	OMP_NUM_THREADS=1 $(PYTEST) --dist loadfile

slow: env
	OMP_NUM_THREADS=1 $(PYTEST) --dist worksteal -m slow

configs: env
	OMP_NUM_THREADS=1 $(PYTHON) tools/check_configs.py

matrix: env
	OMP_NUM_THREADS=1 $(PYTEST) --dist worksteal -m matrix $(MATRIX) tests/test_matrix.py

# Whoever compares within rounding imports what says how near.
PARITY = $(shell grep -lE '^from hosts import .*(assert_near|assert_same|check|native)' tests/test_*.py projects/*/tests/test_*.py)

# A CPU without AVX-512 has run the second kind in make test. oneDNN is held back too: where it sees AMX, torch's attention packs bfloat16 for
# it, with kernels that these kinds lack ("pack_vnni2 is only supported when avx512 is supported").
parity: env
	OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) --dist loadfile $(PARITY)
	! grep -q avx512 /proc/cpuinfo || OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) --dist loadfile $(PARITY)

lint: env
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check

OLDEST = $(addprefix tests/test_,views.py evit.py open_clip.py load.py datasets.py engine.py)

# Not `python -m pytest`, which would import the checkout instead of what was installed.
oldest:
	python3 -m venv $(VENV)
	$(PYTHON) tests/lower_bounds.py > $(VENV)/oldest.txt
	$(PYTHON) -m pip install -c $(VENV)/oldest.txt '.[all,tests]'
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest $(OLDEST)
