/* log_mask.h - the logger's second net: what looks like a secret or a person's number is not
 * written. Pure functions; only log.c uses them.
 */
#ifndef TAEL_BASE_LOG_MASK_H
#define TAEL_BASE_LOG_MASK_H

#include "base/bytes.h"

enum tael_log_name {
    TAEL_LOG_NAME_PLAIN,
    TAEL_LOG_NAME_PERSONAL, /* "phone": even a number is looked through */
    TAEL_LOG_NAME_SECRET,   /* "app_secret", "X-Sign", "privateKey": the value is never written */
};

enum tael_log_name tael_log_name_kind(struct tael_span name);

/* Writes text with secrets as "[hidden]" and numbers of cards, phones, identities and e-mail
 * addresses masked. Stops when cap is full; what is beyond is dropped, but has been looked at for
 * what crosses the border. Returns the length written. */
size_t tael_log_mask(struct tael_span text, char *out, size_t cap);

/* A number in a field of its own: true when it is shaped like a card number that passes its check.
 */
bool tael_log_number_is_card(int64_t number);

#endif
