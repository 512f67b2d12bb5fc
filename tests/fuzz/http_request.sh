#!/usr/bin/env bash
# Fuzzes the HTTP request path for SECONDS_MAX (60) seconds with clang's libFuzzer, from the seeds in the tree.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/fuzz/http_request
clang -g -O1 -w -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE -DLLHTTP_STRICT_MODE=1 \
    -Iengine -Iengine/include -I/usr/share/include/llhttp -o build/fuzz/http_request_fuzz \
    tests/fuzz/http_request_fuzz.c engine/net/http_head.c engine/net/http_request.c engine/base/bytes.c \
    /usr/share/llhttp/api.c /usr/share/llhttp/http.c /usr/share/llhttp/llhttp.c
build/fuzz/http_request_fuzz -max_total_time="${SECONDS_MAX:-60}" -max_len=1500 \
    -artifact_prefix=build/fuzz/ build/fuzz/http_request tests/fuzz/http_request
