/* identity.h - keys and certificates made by a test: self-signed, or issued by another. Files lie
 * in /tmp under the process's number and go with identity_free. */
#ifndef TAEL_TESTS_IDENTITY_H
#define TAEL_TESTS_IDENTITY_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char file[64]; /* the certificate as PEM, its issuers behind it */
    char key_file[64];
};

struct identity_form { /* all zero: self-signed P-256 for a day from now */
    const char *names; /* subjectAltName */
    long from_s;       /* begins so many seconds from now */
    long life_s;       /* 0: a day */
    int rsa_bits;      /* 0: P-256 */
    const EVP_MD *digest;
    const struct identity *issuer;
};

static inline void must(bool right)
{
    if (!right)
        abort();
}

static inline void identity_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static inline void identity_set(X509 *certificate, int number, const struct identity_form *form)
{
    char common[64];
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), number);
    X509_gmtime_adj(X509_getm_notBefore(certificate), form->from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate),
                    form->from_s + (form->life_s != 0 ? form->life_s : 86400));
    snprintf(common, sizeof(common), "tael test %d", number);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)common, -1, -1, 0);
}

static inline void identity_write_chain(const struct identity *identity,
                                        const struct identity *issuer)
{
    FILE *file = fopen(identity->file, "w");
    must(file != NULL && PEM_write_X509(file, identity->certificate) == 1);
    must(issuer == NULL || PEM_write_X509(file, issuer->certificate) == 1);
    must(fclose(file) == 0 && chmod(identity->file, 0644) == 0);
}

static inline void identity_write_key(const struct identity *identity, const char *passphrase)
{
    FILE *file = fopen(identity->key_file, "w");
    must(file != NULL && chmod(identity->key_file, 0600) == 0);
    must(PEM_write_PrivateKey(file, identity->key, passphrase != NULL ? EVP_aes_128_cbc() : NULL,
                              (const unsigned char *)passphrase,
                              passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL) == 1);
    must(fclose(file) == 0);
}

static inline void identity_make(struct identity *out, const struct identity_form *form)
{
    static int number;
    const struct identity *issuer = form->issuer != NULL ? form->issuer : out;
    *out = (struct identity){.certificate = X509_new()};
    out->key = form->rsa_bits != 0 ? EVP_RSA_gen((unsigned)form->rsa_bits) : EVP_EC_gen("P-256");
    must(out->key != NULL && out->certificate != NULL);
    identity_set(out->certificate, ++number, form);
    X509_set_issuer_name(out->certificate, X509_get_subject_name(issuer->certificate));
    X509_set_pubkey(out->certificate, out->key);
    identity_extend(out->certificate, issuer->certificate, NID_subject_alt_name,
                    form->names != NULL ? form->names : "IP:127.0.0.1");
    if (form->issuer == NULL)
        identity_extend(out->certificate, issuer->certificate, NID_basic_constraints,
                        "critical,CA:TRUE");
    must(X509_sign(out->certificate, issuer->key,
                   form->digest != NULL ? form->digest : EVP_sha256()) > 0);
    snprintf(out->file, sizeof(out->file), "/tmp/tael_identity_%d_%d.pem", (int)getpid(), number);
    snprintf(out->key_file, sizeof(out->key_file), "/tmp/tael_identity_%d_%d.key", (int)getpid(),
             number);
    identity_write_chain(out, form->issuer);
    identity_write_key(out, NULL);
}

static inline void identity_free(struct identity *identity)
{
    unlink(identity->file);
    unlink(identity->key_file);
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

#endif
