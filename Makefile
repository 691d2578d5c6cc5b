# push: the edge module, three daemons, and their tests.  See ./run --help.
#
#   make              daemons and the dynamic module for the installed nginx
#   make module       build/ngx_http_push_module.so
#   make test-module  build/test/ngx_http_push_module.so, with push_test_echo
#   make daemons      build/bin/push-{auth,collector,dispatcher}
#   make module-static  build/static/nginx: nginx's source with the module in it
#   make module-asan  build/asan/nginx: the same under ASan and UBSan
#   make unit         build/unit/test_*, one program a file in t/unit
#   make sim          build/t/sim/sim, the simulator
#   make fuzz         runs t/fuzz, FUZZ_SECONDS=20 each (needs clang)
#   make SAN=1 ...    the same under ASan and UBSan, in build/san
#   make CC=clang ... the same by clang, in build/clang
#   make FAULTS=1 ... with points at which a process can be made to die (see
#                     common/fault_point.h), in build/faults

SHELL    := /bin/bash
CC       ?= cc
BUILD    := build$(if $(FAULTS),/faults)$(if $(SAN),/san)$(if $(filter clang%,$(CC)),/clang)
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes
comma    := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined \
            -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
CFLAGS   ?= -O2 -g
ALLFLAGS  = -std=gnu11 $(WARN) -D_GNU_SOURCE -Icommon -MMD -MP $(CFLAGS) \
            $(SANFLAGS) $(if $(FAULTS),-DFAULT_POINTS) -pthread

VERSION  := $(shell sed -n 's/^\#\# *\([0-9][0-9.]*\).*/\1/p' CHANGES.md \
            2>/dev/null | head -n 1)
ALLFLAGS += -DPUSH_VERSION='"$(or $(VERSION),0.1.0)"'

# The driver of MongoDB: 1.21 and newer, or 2.x under its new name.
MONGOC   := $(shell pkg-config --exists mongoc2 2>/dev/null && echo mongoc2 \
            || echo libmongoc-1.0)
MONGOC_LIBS := $(shell pkg-config --libs $(MONGOC) 2>/dev/null)

PKGS     := libevent_core libmicrohttpd libcurl hiredis jansson cjose \
            libcrypto libconfuse sqlite3
PKG_CFLAGS := $(shell pkg-config --cflags libevent libmicrohttpd libcurl \
            hiredis jansson cjose libcrypto libconfuse sqlite3 $(MONGOC) \
            2>/dev/null)
PKG_LIBS := -Wl,--as-needed -levent_core -lmicrohttpd -lcurl -lhiredis -ljansson -lcjose \
            -lcrypto -lconfuse -lsqlite3 $(MONGOC_LIBS)

DAEMONS  := auth collector dispatcher

PURE_SRC   := $(wildcard common/push*.c) $(wildcard common/hash_ring.c)
COMMON_SRC := $(filter-out $(PURE_SRC),$(wildcard common/*.c))
UNIT_SRC   := $(wildcard t/unit/test_*.c)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

all: daemons module

daemons: $(DAEMONS:%=$(BUILD)/bin/push-%)

unit: $(UNIT_SRC:t/unit/%.c=$(BUILD)/unit/%)

$(BUILD)/libpush.a: $(call obj,$(PURE_SRC))
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/libcommon.a: $(call obj,$(COMMON_SRC))
	@rm -f $@
	@ar rcs $@ $^

define daemon
$(BUILD)/lib$(1).a: $(call obj,$(filter-out $(1)/$(1)_main.c,$(wildcard $(1)/*.c)))
	@rm -f $$@
	@ar rcs $$@ $$^

$(BUILD)/bin/push-$(1): $(BUILD)/$(1)/$(1)_main.o $(BUILD)/lib$(1).a \
        $(BUILD)/libcommon.a $(BUILD)/libpush.a
	@mkdir -p $$(@D)
	@echo "  LD    $$@"
	@$$(CC) $$(CFLAGS) $$(SANFLAGS) -pthread -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach d,$(DAEMONS),$(eval $(call daemon,$(d))))

# Durable messages a second: build/bin/store_bench sqlite:FILE 5 100 8
$(BUILD)/bench/store_bench.o: ALLFLAGS += -Icollector
$(BUILD)/bin/store_bench: $(BUILD)/bench/store_bench.o \
        $(BUILD)/libcollector.a $(BUILD)/libcommon.a $(BUILD)/libpush.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(CFLAGS) $(SANFLAGS) -pthread -o $@ $^ $(PKG_LIBS)

# Its measure: build/bin/insert_bench mongodb://... 5 100 8
$(BUILD)/bin/insert_bench: $(BUILD)/bench/insert_bench.o
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(CFLAGS) $(SANFLAGS) -pthread -o $@ $^ $(MONGOC_LIBS)

# One command to a mongod, for scripts.
$(BUILD)/bin/mongo_command: $(BUILD)/run.d/mongo_command.o
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(CFLAGS) $(SANFLAGS) -pthread -o $@ $^ $(MONGOC_LIBS)

# A unit test sees all headers and links what it needs out of all archives.
$(BUILD)/t/unit/%.o: ALLFLAGS += $(DAEMONS:%=-I%)

$(BUILD)/unit/%: $(BUILD)/t/unit/%.o $(DAEMONS:%=$(BUILD)/lib%.a) \
        $(BUILD)/libcommon.a $(BUILD)/libpush.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(CC) $(CFLAGS) $(SANFLAGS) -pthread -o $@ $^ -lcmocka $(PKG_LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(ALLFLAGS) $(PKG_CFLAGS) -I$(firstword $(subst /, ,$*)) -c -o $@ $<

# The module, four ways.  run.d/nginx.sh configures and makes; nginx's own
# makefile knows which objects are out of date, so only a change gets there.
MODULE_SRC := config run.d/nginx.sh $(wildcard ngx_http_push_module/*) \
              $(wildcard common/push*.[ch]) common/fault_point.h \
              $(wildcard t/echo/*)

module: $(BUILD)/ngx_http_push_module.so
test-module: $(BUILD)/test/ngx_http_push_module.so
module-static: $(BUILD)/static/nginx
module-asan: $(BUILD)/asan/nginx

$(BUILD)/ngx_http_push_module.so: $(MODULE_SRC)
	@CC=$(CC) run.d/nginx.sh $(if $(FAULTS),faults,dynamic) $(BUILD)/nginx-dev $@

$(BUILD)/test/ngx_http_push_module.so: $(MODULE_SRC)
	@CC=$(CC) run.d/nginx.sh test $(BUILD)/nginx-test $@

$(BUILD)/static/nginx: $(MODULE_SRC)
	@CC=$(CC) run.d/nginx.sh static $(BUILD)/static $@

$(BUILD)/asan/nginx: $(MODULE_SRC)
	@CC=$(CC) run.d/nginx.sh asan $(BUILD)/asan $@

# Each target runs from its seeds; what it finds new stays in build/fuzz.
FUZZ         := $(patsubst t/fuzz/fuzz_%.c,%,$(wildcard t/fuzz/fuzz_*.c))
FUZZ_CC      ?= clang-14
FUZZ_SECONDS ?= 20

fuzz: $(FUZZ:%=build/fuzz/fuzz_%)
	@for t in $(FUZZ); do \
	    mkdir -p build/fuzz/corpus/$$t; echo "  FUZZ  $$t"; \
	    build/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) \
	        -artifact_prefix=build/fuzz/ build/fuzz/corpus/$$t \
	        t/fuzz/corpus/$$t >build/fuzz/$$t.log 2>&1 \
	        || { tail -n 40 build/fuzz/$$t.log; exit 1; }; \
	    grep '^Done' build/fuzz/$$t.log; done

FUZZ_SRC     := $(PURE_SRC) auth/auth_token.c auth/auth_verify.c \
                collector/collector_check.c collector/collector_request.c \
                collector/collector_answer.c collector/collector_frame.c \
                common/http_route.c

build/fuzz/%: t/fuzz/%.c t/fuzz/fuzz.h $(FUZZ_SRC) $(wildcard common/push*.h)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	@$(FUZZ_CC) -std=gnu11 $(WARN) -D_GNU_SOURCE -Icommon -Iauth -Icollector -O1 -g \
	    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	    -o $@ $(filter %.c,$^) -ljansson

# The edge's side of Redis, with nginx's strings and a world of its own.
FUZZ_NGINX := build/asan/src
FUZZ_EDGE  := $(addprefix ngx_http_push_module/ngx_http_push_, \
                pipeline.c redis_setup.c)

build/fuzz/fuzz_redis: t/fuzz/fuzz_redis.c t/fuzz/fuzz.h $(PURE_SRC) \
        $(FUZZ_EDGE) $(MODULE_SRC) | build/asan/nginx
	@mkdir -p $(@D)
	@echo "  CC    $@"
	@$(FUZZ_CC) -std=gnu11 $(WARN) -Wno-unused-parameter -D_GNU_SOURCE -O1 -g \
	    -Icommon -Ingx_http_push_module \
	    $(addprefix -isystem $(FUZZ_NGINX)/,objs $(addprefix src/,core \
	        event event/modules os/unix http http/modules http/v2)) \
	    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	    -fno-sanitize=nonnull-attribute \
	    -o $@ $< $(PURE_SRC) $(FUZZ_EDGE) \
	    $(FUZZ_NGINX)/src/core/ngx_string.c \
	    $(FUZZ_NGINX)/src/os/unix/ngx_alloc.c -l:libhiredis.a

# The simulator: the product's objects, and a played world around them.  What
# plant.c puts in front of them stands in SIM_WRAP.
SIM_WRAP := collector_debts_add collector_acks_parse

$(BUILD)/t/sim/%.o: ALLFLAGS += $(DAEMONS:%=-I%)

$(BUILD)/t/sim/sim: $(call obj,$(wildcard t/sim/*.c)) \
        $(BUILD)/libcollector.a $(BUILD)/libdispatcher.a \
        $(BUILD)/libcommon.a $(BUILD)/libpush.a
	@echo "  LD    $@"
	@$(CC) $(CFLAGS) $(SANFLAGS) -pthread -o $@ $^ \
	    $(SIM_WRAP:%=-Wl,--wrap=%) -lcrypto

sim: $(BUILD)/t/sim/sim

# What ./run bench measures with.
bench: $(BUILD)/bench/pushload $(BUILD)/bench/fdatasync $(BUILD)/bench/hostile \
       $(BUILD)/bench/fanload

$(BUILD)/bench/pushload: $(call obj,bench/pushload.c $(wildcard bench/load_*.c))
	@$(CC) $(CFLAGS) $(SANFLAGS) -o $@ $^

$(BUILD)/bench/hostile: $(call obj,bench/hostile.c)
	@$(CC) $(CFLAGS) $(SANFLAGS) -o $@ $^

$(BUILD)/bench/fanload: $(call obj,bench/fanload.c $(wildcard bench/fan_*.c))
	@$(CC) $(CFLAGS) $(SANFLAGS) -o $@ $^

$(BUILD)/bench/fdatasync: $(call obj,bench/fdatasync.c)
	@$(CC) $(CFLAGS) $(SANFLAGS) -o $@ $^

clean:
	rm -rf build

.SECONDARY:
.PHONY: all daemons unit sim module test-module module-static module-asan fuzz bench clean

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
