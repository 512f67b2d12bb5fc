/* asking.h - what the files of tael.isolate share: isolate.c asks several functions at once,
 * opened.c one that may have effects.
 */
#ifndef TAEL_BIND_ASKING_H
#define TAEL_BIND_ASKING_H

#include "bind/children.h"
#include "script/shelf.h"
#include "script/state.h"

#define TAEL_GENERATION "tael.generation"
#define TAEL_ASKING     "tael.asking"

enum { /* where the arguments of ask and open stand; calls: of open one */
       GENERATION_AT = 1,
       ENTRY_AT,
       CALLS_AT,
       INPUTS_AT,
       STEPS_AT,
       EFFECTS_AT,
       ASKING_AT,
};

enum { /* upvalues of ask and open: metatables, for names of types are looked up slowly */
       GENERATION_TYPE = lua_upvalueindex(1),
       PACKED_TYPE = lua_upvalueindex(2),
       TYPES = 2,
};

struct generation {
    struct tael_generation of; /* first */
    bool process;              /* it runs in one */
    size_t memory;             /* bytes: the ceiling of each of its isolates; 0: the usual one */
};

enum asking_at { ASKING_NEW, ASKING_RUNS, ASKING_WAITS, ASKING_OVER }; /* of one that was opened */

struct asking {
    struct tael_ask ask;
    struct tael_shelved *shelved; /* NULL: nothing is lent */
    struct tael_buf inputs;
    struct tael_children_ask sent; /* to a process */
    struct tael_task *task;        /* that waits for it */
    enum asking_at at;
    bool process;
    struct tael_buf given; /* by the host: what an effect came to */
};

/* Arguments of ask and open, checked; raise. read_call pops the call. */
const struct generation *tael_asking_check_generation(lua_State *L);
void tael_asking_read_inputs(lua_State *L, struct asking *asking);
void tael_asking_read_call(lua_State *L, struct tael_ask *ask, struct tael_ask_call *call);
lua_Integer tael_asking_check_steps(lua_State *L);

bool tael_asking_may_wait(lua_State *L); /* is this a task that may? */
void tael_asking_lend(lua_State *L, struct asking *asking);
/* broken: what the isolate is now is nobody's business any more. */
void tael_asking_give_back(struct asking *asking, bool broken);
int tael_asking_free(lua_State *L); /* __gc */

/* Steps so far, of all its turns; of a process its time, in steps. */
lua_Integer tael_asking_used(const struct asking *asking);
const char *tael_asking_kind(enum tael_ask_end end); /* "raised", … */
/* Pushes what a script says of its failure as text: it may be any bytes. */
void tael_asking_push_told(lua_State *L, struct tael_span text);

/* generation:open, and the type of what it gives. */
int tael_generation_open(lua_State *L);
void tael_open_opened(lua_State *L);

#endif
