/* http.h - words shared by the HTTP server and client: headers and limits. */
#ifndef TAEL_NET_HTTP_H
#define TAEL_NET_HTTP_H

#include "base/bytes.h"

struct tael_http_header {
    struct tael_span name; /* lower case in what we receive */
    struct tael_span value;
};

#endif
