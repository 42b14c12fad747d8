# bench/afterlife/afterlife.mk - what weak references, finalizers and ephemerons cost. Included by the Makefile.
AFTERLIFE := $(OUT)/bench/afterlife

.PHONY: bench-afterlife bench-unused

$(AFTERLIFE): bench/afterlife/afterlife.c bench/measure.c $(ARCHIVE) $(OBJ)/flags
	$(say) BENCH $@
	@mkdir -p $(@D) $(OBJ)/bench
	$(Q)$(CC) $(C_FLAGS) -MMD -MP -MF $(OBJ)/bench/afterlife.d -MT $@ -o $@ $(filter %.c,$^) $(LDFLAGS) \
	    $(ARCHIVE) $(DEPS_LIBS)

bench-afterlife: $(AFTERLIFE) ## a million weak references, finalizers, ephemerons: full collections (ROUNDS=7)
	@$(AFTERLIFE) $(or $(OBJECTS),1000000) $(or $(ROUNDS),7) | tee $(OUT)/bench-afterlife.txt
	@head -n 1 $(OUT)/bench-afterlife.txt >$(OUT)/bench-afterlife.json

-include $(wildcard $(OBJ)/bench/afterlife.d)

# The commit before there were any.
UNUSED_BASE := 4aeb736ffbd9

bench-unused: deps-valgrind $(OUT)/bench/gcbench-holes-hearth ## what a heap that uses none of it pays, against commit BASE
	@bench/afterlife/unused.sh $(OUT)/bench/gcbench-holes-hearth $(or $(BASE),$(UNUSED_BASE)) build/base
