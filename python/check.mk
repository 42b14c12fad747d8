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
