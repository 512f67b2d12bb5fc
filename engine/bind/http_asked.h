/* http_asked.h - the table given to http.request, as a call of the HTTP client.
 * On the thread of the state.
 */
#ifndef TAEL_BIND_HTTP_ASKED_H
#define TAEL_BIND_HTTP_ASKED_H

#include <lauxlib.h>

#include "net/http_client.h"

enum { TAEL_HTTP_ASKED_HEADERS = 64 };

struct tael_http_asked {
    struct tael_http_call call;
    struct tael_http_header headers[TAEL_HTTP_ASKED_HEADERS];
};

/* Fills *request (all zero at first) from the table at index 1; raises when it is not right. What
 * it points to stays on the stack. */
void tael_http_asked_check(lua_State *L, struct tael_http_asked *request);

#endif
