# Tael: the one way to build, run, test, measure and install. Nothing is written outside build/ and data/.
#   make            build/tael, build/tael-script, build/libtael.a, build/libtael.so
#   make run        install what is missing, build, start the engine with the sandbox
#   make test       install what is missing, build, run everything; ends with "N passed, N failed"
#   make SAN=address,undefined unit     the same objects under sanitizers, in a folder of their own

comma   := ,
VERSION := $(shell cat VERSION)
FUZZING := $(findstring fuzzer-no-link,$(SAN))
B       := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
CC      ?= cc
LLHTTP  := /usr/share/llhttp
# libcurl is not linked: engine/net/http_curl_library.h
PKGS    := libuv lua5.4 openssl sqlite3 libqrencode

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wformat-security \
           -Wvla -Walloca -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
           -Wpointer-arith -Wcast-qual -Wwrite-strings -Wimplicit-fallthrough -Wnull-dereference \
           $(if $(WERROR),-Werror)
# threats.md R63; a sanitizer build leaves out what the sanitizers do themselves
HARDEN  := -fno-strict-overflow -fno-delete-null-pointer-checks -fstack-protector-strong \
           -fstack-clash-protection $(if $(FUZZING),,-ftrivial-auto-var-init=zero) \
           $(if $(filter x86_64,$(shell uname -m)),-fcf-protection=full) \
           $(if $(SAN),,-D_FORTIFY_SOURCE=2)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
TAEL_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -g $(WARN) $(HARDEN) $(SANFLAGS) -fPIC -fvisibility=hidden \
           -Iengine/include -Iengine -I. -I$(B)/gen $(shell pkg-config --cflags $(PKGS) libcurl)
TAEL_LDFLAGS := $(SANFLAGS) -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code -Wl,--as-needed
TAEL_LIBS := $(shell pkg-config --libs $(PKGS)) -lpthread -lm

LIB_SRC := $(sort $(wildcard engine/base/*.c engine/crypto/*.c engine/net/*.c engine/store/*.c \
           engine/script/*.c engine/bind/*.c) $(wildcard engine/engine*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o) $(addprefix $(B)/obj/llhttp/,api.o http.o llhttp.o)
PROGRAM_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(sort $(filter-out engine/engine%,$(wildcard engine/*.c))))
CHILD_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard engine/child/*.c)))
UNIT    := $(patsubst tests/unit/%_test.c,$(B)/test/%_test,$(sort $(wildcard tests/unit/*_test.c))) \
           $(patsubst tests/sim/%_test.c,$(B)/test/%_test,$(sort $(wildcard tests/sim/*_test.c)))

all: $(B)/tael $(B)/tael-script $(B)/libtael.so

$(B)/gen/tael_version.h: VERSION
	@mkdir -p $(@D)
	@awk -F. '{ printf "#define TAEL_VERSION \"%s\"\n#define TAEL_VERSION_NUMBER %d\n", $$0, $$1*10000 + $$2*100 + $$3 }' $< > $@.tmp && mv $@.tmp $@

$(B)/obj/%.o: %.c Makefile | $(B)/gen/tael_version.h
	@mkdir -p $(@D)
	@echo '  CC   $<'
	@$(CC) $(TAEL_CFLAGS) $(CFLAGS) -isystem /usr/share/include/llhttp -MMD -MP -c -o $@ $<

# Tael's own Lua, compiled once (engine/tool/precompile.c)
PRECOMPILED := $(sort $(shell find lua/tael -name '*.lua' | grep -v '^lua/tael/meta/'))
$(B)/gen/precompile: engine/tool/precompile.c engine/base/siphash.c engine/base/bytes.c Makefile | $(B)/gen/tael_version.h
	@echo '  CC   $<'
	@$(CC) $(TAEL_CFLAGS) $(CFLAGS) $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) $(shell pkg-config --libs lua5.4)
$(B)/gen/tael_precompiled.inc: $(B)/gen/precompile $(PRECOMPILED) Makefile
	@echo '  LUA  $@'
	@$(B)/gen/precompile $(B)/gen/tael_precompiled.bin $@.tmp $(B)/gen/tael_precompiled_by.h lua $(PRECOMPILED:lua/%=%)
	@mv $@.tmp $@
$(B)/obj/engine/script/precompiled.o: $(B)/gen/tael_precompiled.inc
$(B)/obj/engine/script/precompiled.o: TAEL_CFLAGS += -Wa,-I$(B)/gen

# Debian ships llhttp as source (package node-llhttp): compiled here, strict (dependencies: HTTP parser)
$(B)/obj/llhttp/%.o: $(LLHTTP)/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC   $<'
	@$(CC) -std=c11 -O2 -g -fPIC -fvisibility=hidden -w $(SANFLAGS) -DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp -c -o $@ $<

$(B)/libtael.a: $(LIB_OBJ)
	@rm -f $@
	@ar rcs $@ $(LIB_OBJ)

$(B)/libtael.so: $(LIB_OBJ) engine/tael.map
	@echo '  LINK $@'
	@$(CC) -shared -Wl,-soname,libtael.so.0 -Wl,--version-script=engine/tael.map $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $(LIB_OBJ) $(TAEL_LIBS)

$(B)/tael: $(PROGRAM_OBJ) $(B)/libtael.a
	@echo '  LINK $@'
	@$(CC) -pie $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS)

# What strangers' scripts run in: Lua and what it is asked with, nothing else
$(B)/tael-script: $(CHILD_OBJ) $(B)/libtael.a
	@echo '  LINK $@'
	@$(CC) -pie $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS)

# For a plain lua5.4 (specs): the host's Lua is used, so liblua must not be in it a second time.
$(B)/lua/tael_modules.so: $(B)/obj/engine/bind/modules.o $(B)/libtael.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) -shared $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(filter-out -llua%,$(TAEL_LIBS))

$(B)/test/%_test: $(B)/obj/tests/sim/%_test.o $(B)/libtael.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS)

# It seals itself, and starts the real one
$(B)/test/children_test $(B)/test/children_effects_test: $(B)/test/%: $(B)/obj/tests/unit/%.o $(B)/obj/engine/child/seal.o $(B)/libtael.a | $(B)/tael-script
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS)

$(B)/test/hostile_process_test $(B)/test/isolate_memory_test: | $(B)/tael-script

# Their malloc stands before the shared libraries' too (tests/unit/alloc_fail.h).
$(B)/test/memory_test $(B)/test/bind_memory_test: TAEL_LDFLAGS += $(foreach name,malloc calloc realloc,-Wl,--export-dynamic-symbol=$(name))

$(B)/obj/tests/unit/postgres_test.o: TAEL_CFLAGS += $(shell pkg-config --cflags libpq 2>/dev/null)

$(B)/test/%_test: $(B)/obj/tests/unit/%_test.o $(B)/libtael.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS) $(if $(filter %/postgres_test,$@),-lpq)

# What strangers' bytes reach: with SAN=fuzzer-no-link,… and CC=clang programs of libFuzzer, otherwise programs
# that replay the inputs that the tree keeps.
FUZZ    := $(patsubst tests/fuzz/%_fuzz.c,$(B)/fuzz/%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))
$(B)/obj/tests/fuzz/%.o: TAEL_CFLAGS += $(if $(FUZZING),,-DREPLAY)
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%_fuzz.o $(if $(FUZZING),,$(B)/obj/tests/fuzz/replay.o) $(B)/libtael.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(TAEL_LDFLAGS) $(if $(FUZZING),-fsanitize=fuzzer) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS)

# the engine's HTTP server alone, behind others' (tests/interop)
$(B)/test/http_echo: $(B)/obj/tests/interop/http_echo.o $(B)/libtael.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS)

fuzz-programs: $(FUZZ)
unit-programs: $(UNIT) $(B)/test/http_echo
unit: $(UNIT)
	@for t in $(UNIT); do echo "# $$t"; $$t || exit 1; done

# ---- install what is missing ----

deps:
	@.ci/install build test lint

deps-long:
	@.ci/install build test long

deps-build:
	@.ci/install build

# Packages of the npm registry that the tests use, by lock file.
build/node_modules/.stamp: tests/interop/package.json tests/interop/package-lock.json
	@mkdir -p build/node_modules
	cp tests/interop/package.json tests/interop/package-lock.json build/
	cd build && npm ci --no-audit --no-fund --silent
	@touch $@

# ---- run, test, measure ----

run: deps-build
	@$(MAKE) --no-print-directory all
	@exec $(B)/tael serve --dev

test: deps
	@$(MAKE) --no-print-directory suites
	@tests/run < build/suites

# One line a suite: name, tab, command. The sanitizer run is the same suites with the other program.
suites: all unit-programs bench-programs build/lua/tael_modules.so build/node_modules/.stamp
	@$(MAKE) --no-print-directory SAN=address,undefined all unit-programs fuzz-programs
	@tests/suites > build/suites

long: deps-long suites build/bench/load
	@$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined fuzz-programs
	@$(MAKE) --no-print-directory SAN=thread all unit-programs
	@tests/suites long > build/suites.long
	@SUITE_SECONDS=7200 tests/run < build/suites.long

# An hour of mixed load (SOAK_SECONDS, SOAK_RATE): memory must not grow.
soak: deps
	@$(MAKE) --no-print-directory all
	@SOAK_SECONDS=$${SOAK_SECONDS:-3600} TAEL=$(B)/tael node --test tests/soak/soak.test.mjs

# What one core does beside the machine's limits; the last accepted ratios are tests/bench/accepted.json.
bench: deps
	@$(MAKE) --no-print-directory all bench-programs
	@node tests/bench/bench.mjs

# Tael and its peers in turns; installs and builds them (Node, Go, nginx with Lua, HAProxy with Lua).
bench-peers: deps
	@.ci/install bench
	@$(MAKE) --no-print-directory all bench-programs
	@node tests/bench/peers/compare.mjs

# Cost of a payment beside 1,000 and 1,000,000 others: SIZES=1000,10000000 for more (2 GiB a million).
bench-scale: deps
	@$(MAKE) --no-print-directory all bench-programs build/lua/tael_modules.so
	@node tests/bench/scale/scale.mjs

bench-accept:
	@node tests/bench/bench.mjs --accept

# What merchants' scripts cost, without HTTP and store around them: ONLY=guarding for one of its parts.
bench-scripts: deps
	@$(MAKE) --no-print-directory all build/bench/scripts
	@build/bench/scripts $(ONLY)

bench-programs: build/bench/load build/bench/group

build/bench/scripts: build/obj/tests/bench/scripts.o $(B)/libtael.a | $(B)/tael-script
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TAEL_LIBS)

build/bench/load: build/obj/tests/bench/stalls.o
build/bench/%: build/obj/tests/bench/%.o
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(TAEL_LDFLAGS) $(LDFLAGS) -o $@ $^ -lm -lsqlite3

lint: deps
	clang-format --dry-run -Werror $(shell git ls-files -co --exclude-standard '*.c' '*.h')
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 --inline-suppr \
	    --suppress=missingIncludeSystem -Iengine/include -Iengine engine
	luacheck --quiet lua scripts tests

# ---- install ----

PREFIX ?= /usr/local
INTO    = $(DESTDIR)$(PREFIX)
install: all
	@case '$(PREFIX)' in /*) ;; *) echo 'PREFIX has to be an absolute path, not $(PREFIX)' >&2; exit 1 ;; esac
	install -d '$(INTO)/bin' '$(INTO)/libexec/tael' '$(INTO)/lib/pkgconfig' '$(INTO)/include' '$(INTO)/share/tael'
	install -m 755 build/tael '$(INTO)/bin/tael'
	install -m 755 build/tael-script '$(INTO)/libexec/tael/tael-script'
	install -m 755 build/libtael.so '$(INTO)/lib/libtael.so.0'
	ln -sf libtael.so.0 '$(INTO)/lib/libtael.so'
	install -m 644 engine/include/tael.h '$(INTO)/include/tael.h'
	cp -R lua scripts '$(INTO)/share/tael/'
	printf 'prefix=%s\nName: tael\nDescription: scriptable payment engine\nVersion: %s\nLibs: -L"$${prefix}/lib" -ltael\nCflags: -I"$${prefix}/include"\n' \
	    '$(PREFIX)' '$(VERSION)' > '$(INTO)/lib/pkgconfig/tael.pc'
	chmod -R u=rwX,go=rX '$(INTO)/share/tael' '$(INTO)/lib/pkgconfig/tael.pc'

clean:
	rm -rf build

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
.PHONY: all unit unit-programs fuzz-programs deps deps-build deps-long run test suites long soak bench bench-accept bench-peers bench-programs bench-scale bench-scripts lint install clean
.DELETE_ON_ERROR:
.SECONDARY:
