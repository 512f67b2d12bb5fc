/* hello.c - a payment engine inside a C program: creates one payment and prints the answer.
 *   cc hello.c $(pkg-config --cflags --libs tael) -o hello && ./hello */
#include <stdio.h>

#include <tael.h>

static const char order[] = "{\"merchant_order_id\":\"A1\",\"amount\":1234,\"currency\":\"CNY\","
                            "\"subject\":\"coffee\",\"channel\":\"alipay\",\"product\":\"page\"}";

int main(void)
{
    tael_engine *engine = NULL;
    tael_error err;
    tael_options options = TAEL_OPTIONS_INIT;
    options.dev = 1; /* sandbox, demo merchant, generated keys, in ./data */
    if (tael_engine_open(&engine, &options, &err) != TAEL_OK ||
        tael_engine_start(engine, &err) != TAEL_OK) {
        fprintf(stderr, "%s\n", err.message);
        tael_engine_close(engine);
        return 1;
    }
    int http_status = 0;
    char *body = NULL;
    if (tael_call_wait(engine, "POST", "/v1/payments", order, NULL, &http_status, &body, NULL) ==
        TAEL_OK)
        printf("%d %s\n", http_status, body);
    tael_free(body);
    tael_engine_close(engine);
    return http_status == 201 ? 0 : 1;
}
