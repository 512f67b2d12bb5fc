/* wire.c - see wire.h. */
#include "bind/wire.h"

#include <stdlib.h>

enum { HEAD = 4 /* bytes of a length */ };

/* ---- writing: the first failure is kept, what follows it does nothing ---- */

struct writer {
    struct tael_buf *out;
    size_t begin;
    tael_status status;
};

static void put(struct writer *writer, const void *data, size_t len)
{
    if (writer->status == TAEL_OK)
        writer->status = tael_buf_append(writer->out, data, len);
}

static void put_byte(struct writer *writer, size_t value)
{
    unsigned char byte = (unsigned char)value;
    put(writer, &byte, 1);
}

static void put_span(struct writer *writer, struct tael_span span)
{
    uint32_t len = (uint32_t)span.len;
    if (span.len > TAEL_WIRE_MAX) {
        writer->status = writer->status == TAEL_OK ? TAEL_ELIMIT : writer->status;
        return;
    }
    put(writer, &len, sizeof(len));
    if (len > 0)
        put(writer, span.data, len);
}

static struct writer begin(struct tael_buf *out, enum tael_wire_kind kind)
{
    struct writer writer = {.out = out, .begin = out->len};
    put(&writer, (const char[HEAD]){0}, HEAD);
    put_byte(&writer, kind);
    return writer;
}

static tael_status finish(struct writer *writer)
{
    struct tael_buf *out = writer->out;
    size_t len = out->len - writer->begin - HEAD;
    if (writer->status == TAEL_OK && len > TAEL_WIRE_MAX)
        writer->status = TAEL_ELIMIT;
    if (writer->status != TAEL_OK) {
        out->len = writer->begin;
        return writer->status;
    }
    memcpy(out->data + writer->begin, &(uint32_t){(uint32_t)len}, HEAD);
    return TAEL_OK;
}

tael_status tael_wire_put_generation(struct tael_buf *out, const struct tael_generation *of)
{
    struct writer writer = begin(out, TAEL_WIRE_GENERATION);
    uint32_t count = (uint32_t)of->count;
    put_span(&writer, of->name);
    put_span(&writer, of->key);
    put_span(&writer, of->effects);
    put(&writer, &count, sizeof(count));
    for (size_t i = 0; i < of->count; i++) {
        put_span(&writer, of->files[i].path);
        put_span(&writer, of->files[i].text);
    }
    return finish(&writer);
}

tael_status tael_wire_put_ask(struct tael_buf *out, const struct tael_ask *ask, uint32_t number)
{
    struct writer writer = begin(out, TAEL_WIRE_ASK);
    put(&writer, &number, sizeof(number));
    put_span(&writer, ask->generation->key);
    put_span(&writer, ask->entry);
    put(&writer, &ask->steps, sizeof(ask->steps));
    put(&writer, &ask->effects, sizeof(ask->effects));
    put(&writer, &ask->memory, sizeof(ask->memory));
    put_byte(&writer, ask->input_count);
    for (size_t i = 0; i < ask->input_count; i++)
        put_span(&writer, ask->inputs[i]);
    put_byte(&writer, ask->call_count);
    for (size_t i = 0; i < ask->call_count; i++) {
        put_span(&writer, ask->calls[i].name);
        put_byte(&writer, ask->calls[i].arg_count);
        put(&writer, ask->calls[i].args, ask->calls[i].arg_count);
    }
    return finish(&writer);
}

tael_status tael_wire_put_given(struct tael_buf *out, const struct tael_effect_given *given,
                                uint32_t number)
{
    struct writer writer = begin(out, TAEL_WIRE_GIVEN);
    put(&writer, &number, sizeof(number));
    put_byte(&writer, given->raise);
    put_byte(&writer, (size_t)given->count);
    put_span(&writer, given->values);
    return finish(&writer);
}

tael_status tael_wire_put_cancel(struct tael_buf *out, uint32_t number)
{
    struct writer writer = begin(out, TAEL_WIRE_CANCEL);
    put(&writer, &number, sizeof(number));
    return finish(&writer);
}

tael_status tael_wire_put_effect(struct tael_buf *out, const struct tael_ask *ask, uint32_t number)
{
    const struct tael_effect *effect = &ask->effect;
    struct tael_span args = {effect->len > 0 ? ask->out.data + effect->from : "", effect->len};
    struct writer writer = begin(out, TAEL_WIRE_EFFECT);
    put(&writer, &number, sizeof(number));
    put_span(&writer, effect->name);
    put_byte(&writer, (size_t)effect->args);
    put_span(&writer, args);
    return finish(&writer);
}

tael_status tael_wire_put_answer(struct tael_buf *out, const struct tael_ask *ask, uint32_t number)
{
    struct writer writer = begin(out, TAEL_WIRE_ANSWER);
    put(&writer, &number, sizeof(number));
    put_byte(&writer, ask->call_count);
    for (size_t i = 0; i < ask->call_count; i++) {
        const struct tael_ask_call *call = &ask->calls[i];
        struct tael_span given = {call->len > 0 ? ask->out.data + call->from : "", call->len};
        put_byte(&writer, call->end);
        put_byte(&writer, (size_t)call->results);
        put_span(&writer, given);
    }
    return finish(&writer);
}

/* ---- reading ---- */

static bool get(struct tael_cursor *from, void *out, size_t len)
{
    if (len > (size_t)(from->end - from->at))
        return false;
    memcpy(out, from->at, len);
    from->at += len;
    return true;
}

static bool get_byte(struct tael_cursor *from, size_t most, size_t *out)
{
    unsigned char byte;
    if (!get(from, &byte, 1) || byte > most)
        return false;
    *out = byte;
    return true;
}

static bool get_span(struct tael_cursor *from, size_t most, struct tael_span *out)
{
    uint32_t len;
    if (!get(from, &len, sizeof(len)) || len > most || len > (size_t)(from->end - from->at))
        return false;
    *out = (struct tael_span){from->at, len};
    from->at += len;
    return true;
}

static bool at_end(const struct tael_cursor *from)
{
    return from->at == from->end;
}

enum tael_wire_state tael_wire_take(struct tael_cursor *from, enum tael_wire_kind *kind,
                                    struct tael_span *body)
{
    struct tael_cursor at = *from;
    uint32_t len;
    size_t first;
    if (!get(&at, &len, sizeof(len)))
        return TAEL_WIRE_PART;
    if (len < 1 || len > TAEL_WIRE_MAX)
        return TAEL_WIRE_NONSENSE;
    if (at_end(&at))
        return TAEL_WIRE_PART;
    if (!get_byte(&at, TAEL_WIRE_EFFECT, &first) || first < TAEL_WIRE_GENERATION)
        return TAEL_WIRE_NONSENSE;
    if (len - 1 > (size_t)(at.end - at.at))
        return TAEL_WIRE_PART;
    *kind = (enum tael_wire_kind)first;
    *body = (struct tael_span){at.at, len - 1};
    from->at = at.at + len - 1;
    return TAEL_WIRE_WHOLE;
}

tael_status tael_wire_read_generation(struct tael_span body, struct tael_generation *out)
{
    struct tael_cursor from = tael_cursor_of(body.data, body.len);
    uint32_t count;
    *out = (struct tael_generation){.count = 0};
    if (!get_span(&from, TAEL_WIRE_MAX, &out->name) || !get_span(&from, TAEL_WIRE_MAX, &out->key) ||
        !get_span(&from, TAEL_WIRE_MAX, &out->effects) || !get(&from, &count, sizeof(count)) ||
        count > TAEL_GENERATION_FILES_MAX + TAEL_GENERATION_OWN_FILES_MAX)
        return TAEL_EINVAL;
    out->files = calloc((size_t)count + 1, sizeof(*out->files));
    if (out->files == NULL)
        return TAEL_ENOMEM;
    for (; out->count < count; out->count++) {
        struct tael_generation_file *file = &out->files[out->count];
        if (!get_span(&from, TAEL_WIRE_MAX, &file->path) ||
            !get_span(&from, TAEL_SOURCE_MAX, &file->text))
            break;
    }
    if (out->count == count && at_end(&from) && tael_generation_sorted(out))
        return TAEL_OK;
    free(out->files);
    *out = (struct tael_generation){.count = 0};
    return TAEL_EINVAL;
}

static bool read_call(struct tael_cursor *from, size_t input_count, struct tael_ask_call *call)
{
    if (!get_span(from, TAEL_WIRE_MAX, &call->name) ||
        !get_byte(from, TAEL_ASK_ARGS_MAX, &call->arg_count) ||
        !get(from, call->args, call->arg_count))
        return false;
    for (size_t i = 0; i < call->arg_count; i++)
        if (call->args[i] >= input_count)
            return false;
    return true;
}

tael_status tael_wire_read_ask(struct tael_span body, struct tael_ask *ask, struct tael_span *key,
                               uint32_t *number)
{
    struct tael_cursor from = tael_cursor_of(body.data, body.len);
    bool good = get(&from, number, sizeof(*number)) && get_span(&from, TAEL_WIRE_MAX, key) &&
                get_span(&from, TAEL_WIRE_MAX, &ask->entry) &&
                get(&from, &ask->steps, sizeof(ask->steps)) &&
                get(&from, &ask->effects, sizeof(ask->effects)) &&
                get(&from, &ask->memory, sizeof(ask->memory)) &&
                get_byte(&from, TAEL_ASK_INPUTS_MAX, &ask->input_count);
    for (size_t i = 0; good && i < ask->input_count; i++)
        good = get_span(&from, TAEL_WIRE_MAX, &ask->inputs[i]);
    good = good && get_byte(&from, TAEL_ASK_CALLS_MAX, &ask->call_count);
    for (size_t i = 0; good && i < ask->call_count; i++)
        good = read_call(&from, ask->input_count, &ask->calls[i]);
    good = good && (ask->effects == 0 || (ask->effects > 0 && ask->call_count == 1));
    return good && at_end(&from) ? TAEL_OK : TAEL_EINVAL;
}

tael_status tael_wire_read_given(struct tael_span body, struct tael_effect_given *given,
                                 uint32_t *number)
{
    struct tael_cursor from = tael_cursor_of(body.data, body.len);
    size_t raise, count;
    if (!get(&from, number, sizeof(*number)) || !get_byte(&from, 1, &raise) ||
        !get_byte(&from, UINT8_MAX, &count) || !get_span(&from, TAEL_WIRE_MAX, &given->values) ||
        !at_end(&from))
        return TAEL_EINVAL;
    given->raise = raise != 0;
    given->count = (int)count;
    return TAEL_OK;
}

tael_status tael_wire_read_cancel(struct tael_span body, uint32_t *number)
{
    struct tael_cursor from = tael_cursor_of(body.data, body.len);
    return get(&from, number, sizeof(*number)) && at_end(&from) ? TAEL_OK : TAEL_EINVAL;
}

/* The name as the generation has it, which stays. */
static bool find_effect(struct tael_span effects, struct tael_span name, struct tael_span *out)
{
    const char *at = effects.data, *end = effects.data + effects.len;
    for (const char *next; at < end; at = next + 1) {
        next = memchr(at, ' ', (size_t)(end - at));
        next = next != NULL ? next : end;
        *out = (struct tael_span){at, (size_t)(next - at)};
        if (out->len == name.len && name.len > 0 && memcmp(at, name.data, name.len) == 0)
            return true;
    }
    return false;
}

tael_status tael_wire_read_effect(struct tael_span body, struct tael_ask *ask, uint32_t number)
{
    struct tael_cursor from = tael_cursor_of(body.data, body.len);
    struct tael_span name, args;
    uint32_t told;
    size_t count;
    if (!get(&from, &told, sizeof(told)) || told != number ||
        !get_span(&from, TAEL_WIRE_MAX, &name) || !get_byte(&from, TAEL_ASK_ARGS_MAX, &count) ||
        !get_span(&from, TAEL_WIRE_MAX, &args) || !at_end(&from) ||
        !find_effect(ask->generation->effects, name, &ask->effect.name))
        return TAEL_EINVAL;
    ask->effect.args = (int)count;
    ask->effect.from = 0;
    ask->effect.len = args.len;
    tael_buf_clear(&ask->out);
    return args.len > 0 ? tael_buf_append(&ask->out, args.data, args.len) : TAEL_OK;
}

/* A process tells how its calls ended, all but that it crashed. */
static tael_status read_end(struct tael_cursor *from, struct tael_ask *ask,
                            struct tael_ask_call *call)
{
    size_t end, results;
    struct tael_span given;
    if (!get_byte(from, TAEL_ASK_MEMORY, &end) || !get_byte(from, TAEL_ASK_RESULTS_MAX, &results))
        return TAEL_EINVAL;
    bool done = end == TAEL_ASK_DONE;
    if (!get_span(from, done ? TAEL_WIRE_MAX : TAEL_WIRE_FAULT_MAX, &given) ||
        (!done && results > 0))
        return TAEL_EINVAL;
    call->end = (enum tael_ask_end)end;
    call->results = (int)results;
    call->from = ask->out.len;
    call->len = given.len;
    return given.len > 0 ? tael_buf_append(&ask->out, given.data, given.len) : TAEL_OK;
}

tael_status tael_wire_read_answer(struct tael_span body, struct tael_ask *ask, uint32_t number)
{
    struct tael_cursor from = tael_cursor_of(body.data, body.len);
    uint32_t answered;
    size_t count;
    tael_buf_clear(&ask->out);
    if (!get(&from, &answered, sizeof(answered)) || answered != number ||
        !get_byte(&from, TAEL_ASK_CALLS_MAX, &count) || count != ask->call_count)
        return TAEL_EINVAL;
    for (size_t i = 0; i < count; i++) {
        tael_status rc = read_end(&from, ask, &ask->calls[i]);
        if (rc != TAEL_OK)
            return rc;
    }
    return at_end(&from) ? TAEL_OK : TAEL_EINVAL;
}
