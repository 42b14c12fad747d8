# python/check.mk - tests and benchmarks of the Python package. Included by the Makefile, after python/python.mk.
#
# They run in build/python-venv, where hearth.pth is installed, so that HEARTH_PYTHON=1 takes over children too.
PY_VENV := $(OUT)/python-venv
PY_SITE := $(PY_VENV)/lib/python3.11/site-packages
PY_RUN := $(PY_VENV)/bin/python
NEEDED_CHECK_PYTHON := path:/usr/lib/python3.11/test/test_gc.py=libpython3.11-testsuite \
                       path:/usr/lib/python3.11/venv/__init__.py=python3.11-venv
NEEDED_BENCH_PYTHON := cmd:sphinx-build=python3-sphinx cmd:black=black cmd:mypy=mypy cmd:gnuplot=gnuplot-nox

.PHONY: check-python bench-python python-venv deps-check-python deps-bench-python

deps-check-python: deps-python
	$(call need,$(NEEDED_CHECK_PYTHON))

deps-bench-python: deps-python
	$(call need,$(NEEDED_BENCH_PYTHON))

python-venv: $(PY_VENV)/made python

$(PY_VENV)/made: python/hearth.pth python/check.mk | deps-check-python
	$(say) VENV $(PY_VENV)
	@rm -rf $(PY_VENV)
	@$(PYTHON) -m venv --without-pip --system-site-packages $(PY_VENV)
	@echo '$(abspath $(OUT))/python' >$(PY_SITE)/hearth-build.pth
	@cp python/hearth.pth $(PY_SITE)/
	@touch $@

check-python: python-venv ## the Python package: its tests, random graphs, CPython's own suites (SIZE=ci for few)
	@$(PY_RUN) python/tests/check.py --size $(or $(SIZE),full) $(if $(GRAPHS),--graphs $(GRAPHS)) \
	    $(if $(SEED),--seed $(SEED)) $(if $(PARTS),--only $(PARTS))

bench-python: python-venv | deps-bench-python ## hearth's collector against CPython's own (SIZE=quick, ROUNDS=n)
	@$(PY_RUN) python/bench/bench.py --out $(OUT)/bench-python $(if $(SIZE),--size $(SIZE)) \
	    $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(PARTS),--only $(PARTS))

# Machines of several memory nodes (tests/numa): the interpreter, a part of its library, the package, one program.
PY_NUMA := $(OUT)/python-numa
PY_NUMA_MACHINES ?= 2node 4ring memless
PY_NUMA_LIBRARY := $(addprefix /usr/lib/python3.11/,*.py collections encodings importlib re)

.PHONY: check-python-numa
check-python-numa: python guest-kernel ## where Python's objects lie, in NUMA guests (PY_NUMA_MACHINES="a b")
	@rm -rf $(PY_NUMA) && mkdir -p $(PY_NUMA)/library
	@cp -r $(PY_NUMA_LIBRARY) $(PY_NUMA)/library/ && rm -f $(PY_NUMA)/library/sitecustomize.py
	@tests/numa/check_machines.sh $(PY_NUMA)/log '$(PY_NUMA_MACHINES)' $(GUEST) --time 280 \
	    --file $(PY_NUMA)/library=/usr/lib/python3.11 --file $(PY_OUT)/hearth --file python/tests/numa/residency.py \
	    $(if $(FAIL),--env FAIL=$(FAIL)) --env PYTHONPATH=$(abspath $(PY_OUT)) --env PYTHONDONTWRITEBYTECODE=1 \
	    -- /usr/bin/python3.11 $(abspath python/tests/numa/residency.py)

# References that are left behind: counted by the debug interpreter.
PY_DEBUG := /usr/bin/python3.11-dbg
NEEDED_LEAKS := path:$(PY_DEBUG)=python3.11-dbg path:/usr/lib/python3.11/test/test_gc.py=libpython3.11-testsuite

.PHONY: check-python-leaks deps-python-leaks
deps-python-leaks: deps-python
	$(call need,$(NEEDED_LEAKS))

check-python-leaks: deps-python-leaks ## references left behind, under the debug interpreter
	@$(MAKE) python PYTHON=$(PY_DEBUG)
	@PYTHONPATH=$(abspath $(OUT))/python-debug PYTHONDONTWRITEBYTECODE=1 $(PY_DEBUG) python/tests/leaks.py $(LEAK_SUITES)
