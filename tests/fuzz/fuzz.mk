# tests/fuzz/fuzz.mk - byte strings against the shadow model. Included by the Makefile.
#
# $(OUT)/tests/fuzz_hearth is the target as a plain program, in every BUILD; build/fuzz/fuzz_hearth has
# libFuzzer and AddressSanitizer and needs clang.

.PHONY: deps-fuzz fuzz fuzz-long check-fuzz fuzz-corpus

FUZZ := build/fuzz
FUZZ_CORPUS := tests/fuzz/corpus
NEEDED_FUZZ := cmd:clang=clang file:libclang_rt.fuzzer-x86_64.a=libclang-rt-14-dev

deps-fuzz: deps
	$(call need,$(NEEDED_FUZZ))

# The model, what it needs of the harness, and the target.
FUZZ_MODEL := $(wildcard tests/oracle*.c) tests/harness_tools.c
FUZZ_SOURCES := $(FUZZ_MODEL) $(filter-out tests/fuzz/libfuzzer.c,$(wildcard tests/fuzz/*.c))
LIBFUZZER_SOURCES := $(FUZZ_MODEL) $(filter-out tests/fuzz/main.c,$(wildcard tests/fuzz/*.c)) \
                     $(LIBRARY_SOURCES)
FUZZ_OBJECTS := $(FUZZ_SOURCES:%.c=$(OBJ)/%.o)
LIBFUZZER_OBJECTS := $(LIBFUZZER_SOURCES:%.c=$(FUZZ)/obj/%.o)
FUZZ_PROGRAM := $(OUT)/tests/fuzz_hearth

$(FUZZ_PROGRAM): $(FUZZ_OBJECTS) $(LIBRARY_OBJECTS)
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK_FLAGS) -o $@ $^ $(DEPS_LIBS)

# ------------------------------------------------------------------------------------- libFuzzer
FUZZ_CC := clang
FUZZ_FLAGS := -O1 -g -DHEARTH_DEBUG -fno-omit-frame-pointer -fsanitize=address
FUZZ_C_FLAGS = $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -std=gnu11 $(WARNINGS) -fno-strict-aliasing \
               -fvisibility=hidden -Iinclude -I. -pthread $(DEPS_CFLAGS)

$(FUZZ)/obj/%.o: %.c tests/fuzz/fuzz.mk | deps-fuzz
	$(say) CLANG $<
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_C_FLAGS) -MMD -MP -c $< -o $@

$(FUZZ)/fuzz_hearth: $(LIBFUZZER_OBJECTS)
	$(say) LD $@
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -pthread -o $@ $^ $(DEPS_LIBS)

# What it finds interesting is kept in build/fuzz/corpus, what fails in build/fuzz/failure-*.
FUZZ_RUN = $(FUZZ)/fuzz_hearth -artifact_prefix=$(FUZZ)/failure- -rss_limit_mb=4096 -timeout=120 \
           -use_cmp=0 -len_control=0 -max_len=8192 -verbosity=0
FUZZ_ASAN := ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1

fuzz: $(FUZZ)/fuzz_hearth ## fuzz the public API against the shadow model (TIME=60 seconds; libFuzzer, ASan)
	@mkdir -p $(FUZZ)/corpus
	@$(FUZZ_ASAN) $(FUZZ_RUN) -max_total_time=$(or $(TIME),60) $(FUZZ)/corpus $(FUZZ_CORPUS)

fuzz-long: $(FUZZ_PROGRAM) ## the same without a fuzzer, for OPERATIONS=10000000 (SEED=n repeats a run)
	@mkdir -p $(FUZZ)
	@$(FUZZ_PROGRAM) --operations $(or $(OPERATIONS),10000000) --save $(FUZZ)/failure $(FUZZ_CORPUS)

# Merges what build/fuzz/corpus adds in coverage into a minimal corpus.
fuzz-corpus: $(FUZZ)/fuzz_hearth ## minimise build/fuzz/corpus into build/fuzz/minimal
	@rm -rf $(FUZZ)/minimal && mkdir -p $(FUZZ)/minimal
	@$(FUZZ_ASAN) $(FUZZ_RUN) -use_counters=0 -merge=1 $(FUZZ)/minimal $(FUZZ_CORPUS) $(FUZZ)/corpus

check-fuzz: ## the corpus and random strings, TIME=15 seconds of them, with AddressSanitizer and gcc
	@$(MAKE) BUILD=asan build/asan/tests/fuzz_hearth
	@mkdir -p $(FUZZ)
	@env $(env_asan) build/asan/tests/fuzz_hearth --seconds $(or $(TIME),15) --save $(FUZZ)/failure $(FUZZ_CORPUS)

-include $(LIBFUZZER_OBJECTS:.o=.d) $(FUZZ_OBJECTS:.o=.d)
