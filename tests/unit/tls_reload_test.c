/* tls_reload_test.c - which certificate a TLS server shows, and what it refuses to load: pairs that
 * do not belong together, files that others may touch, what has run out. The old one stays. */
#include <stdlib.h>
#include <time.h>

#include <pthread.h>

#include <malloc.h>

#include "alloc_fail.h"
#include "identity.h"
#include "net/tls_server.h"
#include "net/tls_ticket.h"
#include "net/world_uv.h"
#include "site.h"
#include "tls_wire.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

enum { SOON = 100 };

struct house {
    struct site site;
    char chain[64], key[64]; /* where the server looks */
    struct tael_tls_server *tls;
    const char *address;
};

static struct identity_form form_now(void)
{
    return (struct identity_form){.from_s = (long)(SITE_START_MS / 1000 - 3600 - time(NULL)),
                                  .life_s = 20L * 365 * 86400};
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    char data[64 * 1024];
    char beside[80];
    snprintf(beside, sizeof(beside), "%s.new", to);
    FILE *in = fopen(from, "r");
    FILE *out = fopen(beside, "w");
    must(in != NULL && out != NULL);
    size_t len = fread(data, 1, sizeof(data), in);
    must(fwrite(data, 1, len, out) == len && fclose(out) == 0 && chmod(beside, mode) == 0);
    fclose(in);
    must(rename(beside, to) == 0);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    must(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0 && chmod(path, mode) == 0);
}

static void put(struct house *house, const struct identity *identity)
{
    copy_file(identity->file, house->chain, 0644);
    copy_file(identity->key_file, house->key, 0600);
}

static tael_status house_try(struct house *house, struct tael_tls_server **out, tael_error *err)
{
    struct tael_tls_server_options options = {.world = house->site.world,
                                              .log = house->site.log,
                                              .name = "tls",
                                              .chain_path = house->chain,
                                              .key_path = house->key};
    *err = (tael_error){.message = ""};
    return tael_tls_server_new(out, &options, err);
}

static void house_open(struct house *house, const struct identity *identity)
{
    tael_error err;
    *house = (struct house){.tls = NULL};
    snprintf(house->chain, sizeof(house->chain), "/tmp/tael_reload_%d.pem", (int)getpid());
    snprintf(house->key, sizeof(house->key), "/tmp/tael_reload_%d.key", (int)getpid());
    put(house, identity);
    site_open(&house->site, 21, NULL);
    must(house_try(house, &house->tls, &err) == TAEL_OK);
    must(tael_http_server_listen_tls(house->site.server, "tls", "127.0.0.1:0", house->tls,
                                     &house->address) == TAEL_OK);
}

static void house_close(struct house *house)
{
    tael_http_server_free(house->site.server);
    house->site.server = NULL;
    tael_tls_server_free(house->tls);
    site_close(&house->site);
    unlink(house->chain);
    unlink(house->key);
}

/* Does a new connection show this identity? */
static bool shows(struct house *house, const struct identity *identity)
{
    struct tls_wire wire;
    tls_wire_connect(&wire, house->site.loop, house->address, NULL);
    tls_wire_send(&wire, GET("/a"));
    site_run(&house->site, SOON);
    X509 *shown = SSL_get1_peer_certificate(wire.ssl);
    bool right = shown != NULL && X509_cmp(shown, identity->certificate) == 0 &&
                 tls_wire_count(&wire, "200 OK") == 1;
    X509_free(shown);
    tls_wire_free(&wire);
    return right;
}

static void new_connections_show_the_new_certificate(void)
{
    struct house house;
    struct identity first, second, third;
    struct identity_form form = form_now();
    struct tls_wire wire;
    struct tael_tls_facts facts;
    tael_error err = {.message = ""};
    identity_make(&first, &form);
    identity_make(&second, &form);
    form.rsa_bits = 2048;
    identity_make(&third, &form);
    house_open(&house, &first);
    CHECK(shows(&house, &first));
    tls_wire_connect(&wire, house.site.loop, house.address, NULL);
    tls_wire_send(&wire, GET("/a"));
    site_run(&house.site, SOON);
    put(&house, &second);
    CHECK(tael_tls_server_reload(house.tls, &err) == TAEL_OK);
    CHECK(shows(&house, &second));
    tls_wire_send(&wire, GET("/b")); /* the old connection goes on */
    site_run(&house.site, SOON);
    CHECK(tls_wire_count(&wire, "/b:") == 1 && !wire.ended);
    put(&house, &third); /* another kind of key */
    CHECK(tael_tls_server_reload(house.tls, &err) == TAEL_OK && shows(&house, &third));
    tls_wire_send(&wire, GET("/c"));
    site_run(&house.site, SOON);
    CHECK(tls_wire_count(&wire, "/c:") == 1 && !wire.ended);
    tael_tls_server_facts(house.tls, &facts);
    CHECK(strtol(facts.serial, NULL, 16) ==
          ASN1_INTEGER_get(X509_get0_serialNumber(third.certificate)));
    CHECK(llabs(facts.not_before_ms - (SITE_START_MS - 3600000)) < 600000); /* keys take a while */
    CHECK(facts.not_after_ms - facts.not_before_ms == INT64_C(20) * 365 * 86400 * 1000);
    CHECK(site_logged(&house.site, "\"event\":\"tls.loaded\""));
    tls_wire_free(&wire);
    house_close(&house);
    identity_free(&first);
    identity_free(&second);
    identity_free(&third);
}

/* ---- what is refused ---- */

struct bad {
    const char *name, *code, *text; /* code and a part of the message */
    bool names_key;                 /* the message names the key's file, else the chain's */
    void (*make)(struct house *house, const struct identity *good);
};

static void make_no_chain(struct house *house, const struct identity *good)
{
    (void)good;
    unlink(house->chain);
}

static void make_no_key(struct house *house, const struct identity *good)
{
    (void)good;
    unlink(house->key);
}

static void make_open_key(struct house *house, const struct identity *good)
{
    (void)good;
    chmod(house->key, 0640);
}

static void make_open_chain(struct house *house, const struct identity *good)
{
    (void)good;
    chmod(house->chain, 0666);
}

static void make_other_key(struct house *house, const struct identity *good)
{
    struct identity other;
    struct identity_form form = form_now();
    (void)good;
    identity_make(&other, &form);
    copy_file(other.key_file, house->key, 0600);
    identity_free(&other);
}

static void make_empty_chain(struct house *house, const struct identity *good)
{
    (void)good;
    write_text(house->chain, "", 0644);
}

static void make_garbage_chain(struct house *house, const struct identity *good)
{
    (void)good;
    write_text(house->chain, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
               0644);
}

static void make_cut_chain(struct house *house, const struct identity *good)
{
    char text[200];
    FILE *file = fopen(good->file, "r");
    must(file != NULL);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    write_text(house->chain, text, 0644);
}

static void make_key_in_chain(struct house *house, const struct identity *good)
{
    copy_file(good->key_file, house->chain, 0644);
}

static void make_empty_key(struct house *house, const struct identity *good)
{
    (void)good;
    write_text(house->key, "", 0600);
}

static void make_chain_as_key(struct house *house, const struct identity *good)
{
    copy_file(good->file, house->key, 0600);
}

static void make_folder_as_key(struct house *house, const struct identity *good)
{
    (void)good;
    unlink(house->key);
    must(mkdir(house->key, 0700) == 0);
}

static void put_new(struct house *house, const struct identity_form *form)
{
    struct identity other;
    identity_make(&other, form);
    put(house, &other);
    identity_free(&other);
}

static void make_expired(struct house *house, const struct identity *good)
{
    struct identity_form form = form_now();
    (void)good;
    form.life_s = 3000; /* it began an hour ago */
    put_new(house, &form);
}

static void make_not_yet(struct house *house, const struct identity *good)
{
    struct identity_form form = form_now();
    (void)good;
    form.from_s += 7200;
    put_new(house, &form);
}

static void make_short_rsa(struct house *house, const struct identity *good)
{
    struct identity_form form = form_now();
    (void)good;
    form.rsa_bits = 1024;
    put_new(house, &form);
}

static void make_sha1(struct house *house, const struct identity *good)
{
    struct identity issuer, other;
    struct identity_form form = form_now();
    (void)good;
    identity_make(&issuer, &form);
    form.issuer = &issuer;
    form.digest = EVP_sha1();
    identity_make(&other, &form);
    put(house, &other);
    identity_free(&other);
    identity_free(&issuer);
}

static void make_passphrase(struct house *house, const struct identity *good)
{
    struct identity other = *good;
    snprintf(other.key_file, sizeof(other.key_file), "%s", house->key);
    identity_write_key(&other, "secret");
}

static void make_wrong_order(struct house *house, const struct identity *good)
{
    struct identity stranger;
    struct identity_form form = form_now();
    identity_make(&stranger, &form);
    FILE *file = fopen(house->chain, "w");
    must(file != NULL && PEM_write_X509(file, good->certificate) == 1 &&
         PEM_write_X509(file, stranger.certificate) == 1 && fclose(file) == 0);
    identity_free(&stranger);
}

static void make_bundle(struct house *house, const struct identity *good)
{
    FILE *file = fopen(house->chain, "w");
    must(file != NULL);
    for (int i = 0; i < 20; i++)
        must(PEM_write_X509(file, good->certificate) == 1);
    must(fclose(file) == 0);
}

static const struct bad bad_pairs[] = {
    {"no chain", "not_found", "not there", false, make_no_chain},
    {"no key", "not_found", "not there", true, make_no_key},
    {"a key that others may read", "forbidden", "chmod 600", true, make_open_key},
    {"a chain that others may write", "forbidden", "chmod 644", false, make_open_chain},
    {"another key", "tls_mismatch", "not the key of", true, make_other_key},
    {"an empty chain", "tls_chain", "no certificate in it", false, make_empty_chain},
    {"a chain of garbage", "tls_chain", "cannot be read", false, make_garbage_chain},
    {"half a chain", "tls_chain", "cannot be read", false, make_cut_chain},
    {"a key in place of the chain", "tls_chain", "no certificate in it", false, make_key_in_chain},
    {"an empty key", "tls_key", "no private key", true, make_empty_key},
    {"a chain in place of the key", "tls_key", "no private key", true, make_chain_as_key},
    {"a folder in place of the key", "forbidden", "not a regular file", true, make_folder_as_key},
    {"a certificate that has expired", "tls_expired", "expired", false, make_expired},
    {"one that is not valid yet", "tls_not_yet", "not valid yet", false, make_not_yet},
    {"a short RSA key", "tls_refused", "ee key too small", false, make_short_rsa},
    {"a signature with SHA-1", "tls_refused", "md too weak", false, make_sha1},
    {"a key with a passphrase", "tls_key", "without a passphrase", true, make_passphrase},
    {"a chain of strangers", "tls_chain", "did not issue", false, make_wrong_order},
    {"a bundle", "tls_chain", "more than 8", false, make_bundle},
};

static void a_pair_that_is_wrong_changes_nothing(void)
{
    struct house house;
    struct identity good;
    struct identity_form form = form_now();
    identity_make(&good, &form);
    house_open(&house, &good);
    for (size_t i = 0; i < sizeof(bad_pairs) / sizeof(bad_pairs[0]); i++) {
        const struct bad *bad = &bad_pairs[i];
        tael_error err = {.message = ""};
        put(&house, &good);
        bad->make(&house, &good);
        tael_status rc = tael_tls_server_reload(house.tls, &err);
        const char *file = bad->names_key ? house.key : house.chain;
        bool right = rc == TAEL_ECONFIG && strcmp(err.code, bad->code) == 0 &&
                     strstr(err.message, bad->text) != NULL && strstr(err.message, file) != NULL;
        if (!right)
            printf("# %d %s: %s\n", rc, err.code, err.message);
        CHECK_NAMED(right && shows(&house, &good), bad->name);
        struct tael_tls_server *another = NULL; /* nor does one start with it */
        bool dates = strcmp(bad->code, "tls_expired") == 0 || strcmp(bad->code, "tls_not_yet") == 0;
        rc = house_try(&house, &another, &err);
        CHECK_NAMED(dates ? rc == TAEL_OK : rc == TAEL_ECONFIG && another == NULL, bad->name);
        tael_tls_server_free(another);
        rmdir(house.key);
    }
    CHECK(site_logged(&house.site, "\"event\":\"tls.not_loaded\""));
    CHECK(site_logged(&house.site, "stays in use"));
    CHECK(!site_logged(&house.site, "PRIVATE KEY"));
    put(&house, &good);
    CHECK(tael_tls_server_reload(house.tls, NULL) == TAEL_OK && shows(&house, &good));
    house_close(&house);
    identity_free(&good);
}

/* ---- watching ---- */

static size_t times_logged(const struct house *house, const char *text)
{
    size_t count = 0;
    for (const char *at = house->site.lines; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

static void files_are_seen_when_they_have_come_to_rest(void)
{
    struct house house;
    struct identity first, second;
    struct identity_form form = form_now();
    identity_make(&first, &form);
    identity_make(&second, &form);
    house_open(&house, &first);
    for (int i = 0; i < 5; i++)
        tael_tls_server_watch(house.tls);
    CHECK(times_logged(&house, "tls.loaded") == 1); /* the start's own */
    copy_file(second.file, house.chain, 0644);
    tael_tls_server_watch(house.tls); /* one of two files: changed since the last look */
    copy_file(second.key_file, house.key, 0600);
    tael_tls_server_watch(house.tls); /* and changed again */
    CHECK(shows(&house, &first) && times_logged(&house, "tls.loaded") == 1);
    tael_tls_server_watch(house.tls);
    CHECK(shows(&house, &second) && times_logged(&house, "tls.loaded") == 2);
    CHECK(times_logged(&house, "tls.not_loaded") == 0);

    copy_file(first.file, house.chain, 0644); /* the second file never comes */
    for (int i = 0; i < 5; i++)
        tael_tls_server_watch(house.tls);
    CHECK(shows(&house, &second) && times_logged(&house, "tls.not_loaded") == 1); /* once */
    unlink(house.chain);
    for (int i = 0; i < 5; i++)
        tael_tls_server_watch(house.tls);
    CHECK(shows(&house, &second) && times_logged(&house, "tls.not_loaded") == 1);
    put(&house, &first);
    tael_tls_server_watch(house.tls);
    tael_tls_server_watch(house.tls);
    CHECK(shows(&house, &first) && times_logged(&house, "tls.loaded") == 3);
    house_close(&house);
    identity_free(&first);
    identity_free(&second);
}

static void nothing(void *user)
{
    (void)user;
}

/* Lets this time go by, looking once a minute. */
static void watch_for(struct house *house, int minutes)
{
    struct tael_timer *timer = tael_timer_new(house->site.loop, nothing, NULL);
    for (int i = 0; i < minutes; i++) {
        tael_timer_start(timer, INT64_C(60) * 1000000);
        site_run(&house->site, 60000);
        tael_tls_server_watch(house->tls);
    }
    tael_timer_free(timer);
}

static void what_could_not_be_loaded_is_tried_again(void)
{
    struct house house;
    struct identity now, next, last;
    struct identity_form form = form_now();
    identity_make(&now, &form);
    identity_make(&last, &form);
    form.from_s += 3 * 3600; /* in two hours */
    identity_make(&next, &form);
    house_open(&house, &now);
    put(&house, &next);
    watch_for(&house, 110);
    CHECK(shows(&house, &now) && times_logged(&house, "tls_not_yet") == 2); /* now and then */
    watch_for(&house, 80);
    CHECK(shows(&house, &next) && times_logged(&house, "tls.not_loaded") == 2);

    put(&house, &last);
    tael_tls_server_watch(house.tls);
    alloc_fail_at(1);
    tael_tls_server_watch(house.tls);
    CHECK(alloc_fail_end() && shows(&house, &next));
    CHECK(times_logged(&house, "out_of_memory") == 1);
    watch_for(&house, 65);
    CHECK(shows(&house, &last) && times_logged(&house, "tls.not_loaded") == 3);
    house_close(&house);
    identity_free(&now);
    identity_free(&next);
    identity_free(&last);
}

static void the_end_is_announced(void)
{
    struct house house;
    struct identity soon, fresh;
    struct identity_form form = form_now();
    identity_make(&fresh, &form);
    form.life_s = 10L * 86400;
    identity_make(&soon, &form);
    house_open(&house, &soon);
    for (int i = 0; i < 5; i++)
        tael_tls_server_watch(house.tls);
    CHECK(times_logged(&house, "\"tls.expires\"") == 1); /* once a day */
    CHECK(site_logged(&house.site, "\"days_left\":9"));
    put(&house, &fresh);
    for (int i = 0; i < 5; i++)
        tael_tls_server_watch(house.tls);
    CHECK(times_logged(&house, "\"tls.expires\"") == 1);
    house_close(&house);
    identity_free(&soon);
    identity_free(&fresh);
}

/* ---- threads and memory ---- */

struct reloading {
    struct tael_tls_server *server;
    int rounds, failed;
};

static void *reload_often(void *user)
{
    struct reloading *reloading = user;
    for (int i = 0; i < reloading->rounds; i++) {
        reloading->failed += tael_tls_server_reload(reloading->server, NULL) != TAEL_OK;
        tael_tls_server_watch(reloading->server);
    }
    return NULL;
}

/* The clock is the real one: the simulated world belongs to one thread. */
static void reloads_from_another_thread_lose_no_connection(void)
{
    struct house house;
    struct identity identity;
    struct identity_form form = form_now();
    struct tael_world *world = NULL;
    struct tael_tls_server *tls = NULL;
    pthread_t thread;
    identity_make(&identity, &form);
    house_open(&house, &identity);
    must(tael_world_uv_new(&world) == TAEL_OK);
    struct tael_tls_server_options options = {
        .world = world, .name = "tls", .chain_path = house.chain, .key_path = house.key};
    must(tael_tls_server_new(&tls, &options, NULL) == TAEL_OK);
    must(tael_http_server_listen_tls(house.site.server, "tls", "127.0.0.1:0", tls,
                                     &house.address) == TAEL_OK);
    struct reloading reloading = {.server = tls, .rounds = 200};
    must(pthread_create(&thread, NULL, reload_often, &reloading) == 0);
    int right = 0;
    for (int i = 0; i < 200; i++)
        right += shows(&house, &identity);
    pthread_join(thread, NULL);
    CHECK(right == 200 && reloading.failed == 0);
    house_close(&house);
    tael_tls_server_free(tls);
    tael_world_free(world);
    identity_free(&identity);
}

static void a_reload_without_memory_changes_nothing(void)
{
    struct house house;
    struct identity identity;
    struct identity_form form = form_now();
    identity_make(&identity, &form);
    house_open(&house, &identity);
    bool right = true;
    bool failed = true;
    for (long n = 1; failed && n < 5000; n += n < 200 ? 1 : 17) {
        tael_error err = {.message = ""};
        alloc_fail_at(n);
        tael_status rc = tael_tls_server_reload(house.tls, &err);
        failed = alloc_fail_end();
        right = right && (failed || rc == TAEL_OK) && (rc == TAEL_OK || err.message[0] != '\0');
        if (n % 10 == 0)
            right = right && shows(&house, &identity);
    }
    CHECK(right && !failed && shows(&house, &identity));
    house_close(&house);
    identity_free(&identity);
}

/* ---- keys of tickets ---- */

static bool remembers(const struct tael_tls_tickets *tickets, const unsigned char name[16])
{
    return memmem(tickets, malloc_usable_size((void *)(uintptr_t)tickets), name, 16) != NULL;
}

static void keys_of_tickets_are_forgotten_in_time(void)
{
    struct site site;
    struct tael_tls_tickets *tickets = NULL;
    unsigned char name[16], iv[16];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    struct tael_timer *timer = NULL;
    site_open(&site, 22, NULL);
    must(tael_tls_tickets_new(&tickets, site.world) == TAEL_OK);
    must(tael_tls_tickets_use(tickets, name, iv, cipher, mac, true) == 1);
    timer = tael_timer_new(site.loop, nothing, NULL);
    for (int minutes = 0; minutes < 119; minutes++) { /* nobody comes meanwhile */
        tael_timer_start(timer, 60 * 1000000);
        site_run(&site, 60000);
        tael_tls_tickets_age(tickets);
        if (minutes == 90)
            CHECK(remembers(tickets, name) &&
                  tael_tls_tickets_use(tickets, name, iv, cipher, mac, false) == 2);
    }
    CHECK(remembers(tickets, name));
    tael_timer_start(timer, 2 * 60 * 1000000);
    site_run(&site, 2 * 60000);
    tael_tls_tickets_age(tickets);
    CHECK(!remembers(tickets, name));
    CHECK(tael_tls_tickets_use(tickets, name, iv, cipher, mac, false) == 0);
    tael_timer_free(timer);
    tael_tls_tickets_free(tickets);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(hmac);
    EVP_CIPHER_CTX_free(cipher);
    site_close(&site);
}

int main(void)
{
    new_connections_show_the_new_certificate();
    a_pair_that_is_wrong_changes_nothing();
    files_are_seen_when_they_have_come_to_rest();
    what_could_not_be_loaded_is_tried_again();
    the_end_is_announced();
    reloads_from_another_thread_lose_no_connection();
    a_reload_without_memory_changes_nothing();
    keys_of_tickets_are_forgotten_in_time();
    return tap_end();
}
