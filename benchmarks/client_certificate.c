/*
 * Preloaded into wrk and h2load, which have no option for a client certificate:
 * every TLS context gets the one in the file that CLIENT_CERTIFICATE names (private key and certificate, PEM),
 * and every connection makes a full handshake, since servers differ in the sessions they resume.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/ssl.h>

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        fprintf(stderr, "client_certificate: no %s to stand before\n", name);
        abort();
    }
    return found;
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
    SSL_CTX *(*make)(const SSL_METHOD *) = (SSL_CTX * (*)(const SSL_METHOD *)) next("SSL_CTX_new");
    const char *file = getenv("CLIENT_CERTIFICATE");
    SSL_CTX *context = make(method);
    if (context == NULL || file == NULL) {
        return context;
    }
    if (SSL_CTX_use_certificate_chain_file(context, file) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "client_certificate: cannot use %s\n", file);
        abort();
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

int SSL_connect(SSL *connection) {
    static int (*connect_)(SSL *);
    if (connect_ == NULL) {
        connect_ = (int (*)(SSL *))next("SSL_connect");
    }
    if (SSL_in_before(connection)) { /* wrk keeps one SSL for all connections it opens in turn, and the session in it */
        SSL_set_session(connection, NULL);
    }
    return connect_(connection);
}
