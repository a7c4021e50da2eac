# make            the program, build/promptmill
# make demo       edits of models/scenes under mpirun, into a store, and pictures out of it
# make test       everything that is checked: layers, unit, golden and MPI tests, the program itself;
#                 most of it again under the address and undefined-behaviour sanitizers
# make deps       install what is missing (Debian, root or sudo), or name it
# make bench      how fast it is against OpenVINO and diffusers; half an hour, 8 GB of disk
# make soak       kills a run 100 times
# make fuzz       SECONDS=60: inputs made up by clang's libFuzzer, for each kind of file that is read
# make coverage  which lines of src/ the tests run, and which error messages none of them reads
# make valgrind  unit, golden and MPI tests under valgrind
# make test-slurm all that Slurm does to a job, on three hosts made of namespaces; takes minutes
# make install    PREFIX=/usr/local; also: make lint, make format, make compile_commands.json, make clean
# make SAN=1      the same under the address and undefined-behaviour sanitizers, in build-san/
#
# On a cluster: load modules that bring mpicc, h5pcc or hdf5.pc, and pkg-config files for the rest.
CC     := mpicc
BUILD  := build$(if $(SAN),-san)
PREFIX ?= /usr/local
RANKS  ?= 2
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := all
include deps.mk

CPPFLAGS += -Iinclude -D_GNU_SOURCE $(PACKAGE_CFLAGS)
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings
CFLAGS   ?= -g -O3
CFLAGS   += -std=c11 -fopenmp $(WARNINGS)
LDLIBS   += $(PACKAGE_LIBS) -lm
ifdef FUZZ
CFLAGS   += -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
ifdef COV
# Other threads may disturb a counter, which therefore must not become a loop's own.
CFLAGS   += -O1 -fno-tree-loop-optimize --coverage -fprofile-update=single
LDFLAGS  += -Wl,--wrap=_exit
NOT_COUNTED := -O3 -ftree-loop-optimize -fno-profile-arcs -fno-test-coverage
endif
ifdef SAN
CFLAGS   += -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1
endif

# The kernels are compiled once for each instruction set; the program chooses at start.
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null || gcc -dumpmachine 2>/dev/null)
ifneq ($(filter x86_64%,$(MACHINE)),)
ISAS       := baseline avx2 avx512 avx512bf16
ISA_avx2   := -mavx2 -mfma -mf16c -mbmi2
# Of the kernels' lines one set's are counted, so that the tests of whole models stay quick.
ISA_avx2   += $(NOT_COUNTED)
ISA_avx512 := $(ISA_avx2) -mavx512f -mavx512dq -mavx512bw -mavx512vl -mprefer-vector-width=512
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
else
ISAS       := baseline
endif

MPI_CFLAGS = $(shell $(CC) --showme:compile 2>/dev/null)

KERNELS := $(wildcard src/kernels/isa/*.c)
SOURCES := $(filter-out $(KERNELS),$(wildcard src/*/*.c))
LIB     := $(BUILD)/libpm.a
OBJS    := $(SOURCES:%.c=$(BUILD)/%.o) $(foreach i,$(ISAS),$(KERNELS:%.c=$(BUILD)/%.$(i).o))
OBJS    += $(if $(COV),$(BUILD)/tests/coverage/exit.o)
PROGRAM := $(BUILD)/promptmill
JOBS    := $(patsubst %.c,$(BUILD)/%.o,$(wildcard jobs/*.c))
SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
tests    = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/$(1)/test_*.c))
FUZZED  := $(call tests,fuzz)
TESTS   := $(call tests,unit) $(call tests,golden) $(call tests,mpi) $(FUZZED)

.PHONY: all deps test test-slurm demo bench soak fuzz install lint format clean
.SECONDARY:
all: $(PROGRAM)

$(LIB): $(OBJS)
	@rm -f $@
	$(AR) rcs $@ $^
$(PROGRAM): $(JOBS) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(SUPPORT) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(LIB) -lcmocka $(LDLIBS) -o $@
$(BUILD)/tests/mpi/test_shared_weights: $(BUILD)/jobs/load_model.o
$(BUILD)/tests/unit/test_run_estimate: $(BUILD)/jobs/run_estimate.o
$(BUILD)/tests/unit/test_slurm_time: $(BUILD)/jobs/slurm.o $(BUILD)/jobs/command.o
$(BUILD)/tests/unit/test_command: $(BUILD)/jobs/command.o
$(BUILD)/tests/%.o: CPPFLAGS += -Itests/support
$(BUILD)/tests/%.o: CFLAGS += $(NOT_COUNTED)
# With a fuzzer in the place of replay.c.
$(FUZZED): $(BUILD)/tests/fuzz/fuzz.o $(if $(FUZZ),,$(BUILD)/tests/fuzz/replay.o)
$(FUZZED): LDFLAGS += -Wl,--wrap=_exit $(if $(FUZZ),-fsanitize=fuzzer)
$(BUILD)/jobs/main.o: CPPFLAGS += -DPM_VERSION='"$(VERSION)"'
$(BUILD)/%.o: %.c Makefile deps.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
define isa_rule
$(BUILD)/%.$(1).o: %.c Makefile deps.mk
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(ISA_$(1)) -DPM_ISA=$(1) -MMD -MP -c $$< -o $$@
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

# Programs that measure; bench/README.md says how.
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(LIB) $(LDLIBS) -o $@
$(BUILD)/bench/load: $(BUILD)/jobs/load_model.o
bench: $(PROGRAM) $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
	bench/table.py
	bench/edit.sh
soak: $(PROGRAM)
	@BUILD=$(BUILD) tests/soak.sh
test-slurm: $(PROGRAM)
	@BUILD=$(BUILD) tests/cluster/slurm_faults.sh
	@BUILD=$(BUILD) PROMPTMILL_LAUNCHER=mpirun tests/cluster/test_slurm.sh

# mpicc's name for another compiler; other MPIs' wrappers have others
fuzz: deps-fuzz
	@OMPI_CC=clang MPICH_CC=clang $(MAKE) -s -j$(shell nproc) FUZZ=1 BUILD=build-fuzz fuzz-programs
	@SECONDS=$(SECONDS) tests/fuzz.sh
.PHONY: fuzz-programs
fuzz-programs: $(FUZZED)
SECONDS ?= 60

# gcc's own, whatever mpicc calls
coverage: deps
	@OMPI_CC=gcc MPICH_CC=gcc $(MAKE) -s -j$(shell nproc) COV=1 BUILD=build-cov build-cov/promptmill test-programs
	@find build-cov -name '*.gcda' -delete
	@BUILD=build-cov tests/run.sh
	@tests/coverage/report.py build-cov
valgrind: deps deps-valgrind
	@$(MAKE) -s -j$(shell nproc) test-programs
	@BUILD=$(BUILD) tests/valgrind.sh
.PHONY: coverage valgrind

test: deps
	@$(MAKE) -s -j$(shell nproc) $(PROGRAM) test-programs
	@$(if $(SAN),,$(MAKE) -s -j$(shell nproc) SAN=1 BUILD=build-san build-san/promptmill test-programs)
	@BUILD='$(BUILD)$(if $(SAN),, build-san)' tests/run.sh
.PHONY: test-programs
test-programs: $(TESTS)

demo: deps-build
	@$(MAKE) -s -j$(shell nproc) $(PROGRAM)
	@BUILD=$(BUILD) RANKS=$(RANKS) jobs/demo.sh

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/promptmill
	install $(PROGRAM) $(DESTDIR)$(PREFIX)/bin
	cp -r models configs docs slurm analysis $(DESTDIR)$(PREFIX)/share/promptmill

format:
	clang-format -i $$(git ls-files '*.c' '*.h')
lint: compile_commands.json
	cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	    --suppress=missingIncludeSystem -Iinclude -Itests/support src jobs
	clang-tidy --quiet -p . $(SOURCES) $(wildcard jobs/*.c)
compile_commands.json: Makefile deps.mk
	@{ echo '['; separator=; for f in $(SOURCES) $(wildcard jobs/*.c); do \
	  command=$$(printf '%s' 'cc $(CPPFLAGS) $(MPI_CFLAGS) -DPM_VERSION=\"\" -std=c11 -fopenmp -c ' "$$f" | sed 's/[\\"]/\\&/g'); \
	  printf '%s{"directory": "%s", "file": "%s", "command": "%s"}\n' "$$separator" '$(CURDIR)' "$$f" "$$command"; \
	  separator=,; done; echo ']'; } > $@
clean:
	rm -rf build/src build/jobs build/tests build/bench build/libpm.a build/promptmill build-san build-cov

-include $(shell find $(BUILD)/src $(BUILD)/jobs $(BUILD)/tests $(BUILD)/bench -name '*.d' 2>/dev/null)
