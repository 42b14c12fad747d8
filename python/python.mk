# python/python.mk - the extension for CPython 3.11: build/python/hearth, for PYTHONPATH=build/python. Included by the
# Makefile.
#
# The extension links hearth's own objects (it calls inner functions of topology/, alloc/ and gc/), and
# exports nothing but its initialiser. PYTHON=python3.11-dbg builds build/python-debug for that interpreter (whose headers
# are links to the other's, beside a pyconfig.h of its own: gcc must not follow them).
PYTHON ?= $(if $(wildcard /usr/bin/python3.11),/usr/bin/python3.11,python3.11)
NEEDED_PYTHON := header:python3.11/Python.h=python3.11-dev cmd:python3.11=python3.11

PY_OUT := $(OUT)/python$(if $(findstring dbg,$(PYTHON)),-debug)
PY_OBJ := build/$(BUILD)/python$(if $(findstring dbg,$(PYTHON)),-debug)
PY_SOURCES := $(wildcard python/src/*.c)
PY_OBJECTS := $(PY_SOURCES:python/src/%.c=$(PY_OBJ)/%.o)
PY_MODULES := $(patsubst python/%,$(PY_OUT)/%,$(wildcard python/hearth/*.py))
# Asked of the interpreter, once, inside recipes.
PY_INCLUDE = $(eval PY_INCLUDE := $$(shell $(PYTHON) -c "import sysconfig; print(sysconfig.get_path('include'))"))$(PY_INCLUDE)
PY_SUFFIX := .cpython-311$(if $(findstring dbg,$(PYTHON)),d)-x86_64-linux-gnu.so
PY_EXTENSION := $(PY_OUT)/hearth/_core$(PY_SUFFIX)
PY_FLAGS = $(C_FLAGS) $(PIC_FLAGS) $(if $(filter release,$(BUILD)),-O3) -fwrapv -isystem $(PY_INCLUDE) \
           -isystem $(PY_INCLUDE)/internal $(if $(findstring dbg,$(PYTHON)),-fno-canonical-system-headers)

.PHONY: python deps-python

deps-python: deps
	$(call need,$(NEEDED_PYTHON))

python: $(PY_EXTENSION) $(PY_MODULES) ## build the extension for CPython 3.11 in build/python

$(PY_OBJ)/%.o: python/src/%.c $(OBJ)/flags | deps-python
	$(say) 'CC py' $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(PY_FLAGS) -MMD -MP -c $< -o $@

$(PY_EXTENSION): $(PY_OBJECTS) $(PIC_OBJECTS) python/src/exports.map
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -shared -Wl,--version-script=python/src/exports.map -o $@ \
	    $(PY_OBJECTS) $(PIC_OBJECTS) $(DEPS_LIBS)

$(PY_OUT)/hearth/%.py: python/hearth/%.py
	@mkdir -p $(@D)
	@cp $< $@

-include $(PY_OBJECTS:.o=.d)
