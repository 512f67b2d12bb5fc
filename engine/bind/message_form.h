/* message_form.h - the fields of a message that is a form, as C keeps them: sorted by name, in the
 * message's own memory, and which of them a text covers. message.c alone includes it. On the thread
 * of the state.
 */
#ifndef TAEL_BIND_MESSAGE_FORM_H
#define TAEL_BIND_MESSAGE_FORM_H

#include <lua.h>

#include "base/form.h"

void tael_message_form_sort(struct tael_form *form); /* by name, in byte order */

/* Whether a covered field has this value. covered: one byte a field; NULL: all. */
bool tael_message_form_states(const struct tael_form *form, const unsigned char *covered,
                              struct tael_span value);
/* Pushes a table of the covered fields. */
int tael_message_form_push(lua_State *L, const struct tael_form *form,
                           const unsigned char *covered);
/* Pushes the values of the fields named at from and following, nil where there is none; returns how
 * many. */
int tael_message_form_push_values(lua_State *L, const struct tael_form *form,
                                  const unsigned char *covered, int from);
/* Marks in covered (room for form->count bytes) what {except=, drop_empty=} at options, or nil,
 * leaves over; raises when it is none. */
void tael_message_form_cover(lua_State *L, const struct tael_form *form, int options,
                             unsigned char *covered);
/* Pushes the covered fields as "a=1&b=2". */
void tael_message_form_push_text(lua_State *L, const struct tael_form *form,
                                 const unsigned char *covered);

#endif
