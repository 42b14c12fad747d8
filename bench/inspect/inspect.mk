# What looking into a heap costs, against one full trace of it: `make bench-inspect`, or
# build/bench/inspect [OBJECTS [ROUNDS]].
INSPECT_BENCH := $(OUT)/bench/inspect

$(INSPECT_BENCH): bench/inspect/inspect.c $(ARCHIVE) $(OBJ)/flags
	$(say) BENCH $@
	@mkdir -p $(@D) $(OBJ)/bench
	$(Q)$(CC) $(C_FLAGS) -MMD -MP -MF $(OBJ)/bench/inspect.d -MT $@ -o $@ $< $(LDFLAGS) \
	    $(ARCHIVE) $(DEPS_LIBS)

.PHONY: bench-inspect
bench-inspect: $(INSPECT_BENCH) ## looking into a heap of a million objects, against a full trace
	@$(INSPECT_BENCH)
