/* script_fuzz.c - the text of a script that nobody has looked at: whatever it is, loading and
 * asking it ends within its budget, and the state can be freed. Input: the text of rules.lua.
 */
#include <stdlib.h>
#include <string.h>

#include "bind/ask.h"
#include "script/names.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char payment[] = "\x05\x07payment";

static bool on_name(void *user, const struct tael_names *names, struct tael_span name, int line,
                    enum tael_name_use use)
{
    const struct tael_span *text = user;
    size_t locals = tael_names_locals(names);
    struct tael_span last = locals > 0 ? tael_names_local(names, locals - 1) : name;
    if (line < 1 || use > TAEL_NAME_WRITTEN || name.data < text->data ||
        name.data + name.len > text->data + text->len || last.len > text->len)
        abort();
    return true;
}

static void read_names(struct tael_span text)
{
    struct tael_names *names = malloc(tael_names_size());
    if (names == NULL)
        abort();
    tael_status rc = tael_names_read(names, text, on_name, &text);
    if (rc != TAEL_OK && rc != TAEL_EINVAL)
        abort();
    free(names);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct tael_isolate *isolate = NULL;
    struct tael_generation_file file = {.path = tael_span_of("rules.lua"),
                                        .text = {size > 0 ? (const char *)data : "", size}};
    struct tael_generation generation = {
        .name = tael_span_of("fuzz"), .key = tael_span_of("fuzz"), .files = &file, .count = 1};
    read_names(file.text);
    struct tael_ask *ask = calloc(1, sizeof(*ask));
    if (ask == NULL || tael_isolate_new(&isolate, NULL, 4 << 20, true) != TAEL_OK)
        abort();
    ask->generation = &generation;
    ask->entry = file.path;
    ask->steps = 300000;
    ask->out.max = SIZE_MAX;
    ask->inputs[0] = (struct tael_span){payment, sizeof(payment) - 1};
    ask->input_count = 1;
    ask->call_count = 2;
    ask->calls[0].name = tael_span_of("f");
    ask->calls[0].arg_count = 1;
    enum tael_run_state state = tael_ask_begin(ask, isolate);
    for (int turn = 0; state == TAEL_RUN_PAUSED; turn++) {
        if (turn > 10000)
            abort();
        state = tael_ask_go(ask);
    }
    if (state == TAEL_RUN_RAISED)
        abort();
    for (size_t i = 0; i < ask->call_count; i++)
        if (ask->calls[i].from + ask->calls[i].len > ask->out.len)
            abort();
    tael_ask_end(ask);
    tael_isolate_free(isolate);
    tael_buf_free(&ask->out);
    free(ask);
    return 0;
}
