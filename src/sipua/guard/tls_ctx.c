/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSL_CTX_new and its loading functions, SSL_new, BIO_new_socket: contexts of ours. The library loads one certificate per
 * listener from files, no chain, without SNI, minimum version or check of the host's name. Its own context stays an
 * empty shell here; each connection is made from the context of the listener or of the trunk (keys_tls), which no
 * file on disk holds. With SNI and the name to check set before the handshake (RFC 5922, RFC 6066).
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"
#include "sipua/guard/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

SIPUA_REAL(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *m))
SIPUA_REAL(int, SSL_CTX_use_certificate_file, (SSL_CTX *c, const char *file, int type))
SIPUA_REAL(int, SSL_CTX_use_PrivateKey_file, (SSL_CTX *c, const char *file, int type))
SIPUA_REAL(int, SSL_CTX_check_private_key, (const SSL_CTX *c))
SIPUA_REAL(int, SSL_CTX_load_verify_locations, (SSL_CTX *c, const char *file, const char *path))
SIPUA_REAL(SSL *, SSL_new, (SSL_CTX *c))
SIPUA_REAL(BIO *, BIO_new_socket, (int fd, int close_flag))

static int shell_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

int sipua_tls_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

static bool is_shell(const SSL_CTX *c)
{
	return c && SSL_CTX_get_ex_data(c, shell_index()) != NULL;
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *m)
{
	SSL_CTX *c = real_SSL_CTX_new(m);

	if (!sipua_now.ua) /* not while the library sets up a listener */
		return c;
	SIPUA_HIT(SSL_CTX_new);
	if (c)
		SSL_CTX_set_ex_data(c, shell_index(), sipua_now.ua);
	return c;
}

int SSL_CTX_use_certificate_file(SSL_CTX *c, const char *file, int type)
{
	if (!is_shell(c))
		return real_SSL_CTX_use_certificate_file(c, file, type);
	SIPUA_HIT(SSL_CTX_use_certificate_file);
	return 1;
}

int SSL_CTX_use_PrivateKey_file(SSL_CTX *c, const char *file, int type)
{
	if (!is_shell(c))
		return real_SSL_CTX_use_PrivateKey_file(c, file, type);
	SIPUA_HIT(SSL_CTX_use_PrivateKey_file);
	return 1;
}

int SSL_CTX_check_private_key(const SSL_CTX *c)
{
	if (!is_shell(c))
		return real_SSL_CTX_check_private_key(c);
	SIPUA_HIT(SSL_CTX_check_private_key);
	return 1;
}

int SSL_CTX_load_verify_locations(SSL_CTX *c, const char *file, const char *path)
{
	if (!is_shell(c))
		return real_SSL_CTX_load_verify_locations(c, file, path);
	SIPUA_HIT(SSL_CTX_load_verify_locations);
	return 1;
}

BIO *BIO_new_socket(int fd, int close_flag)
{
	if (sipua_fd_get(fd)) {
		SIPUA_HIT(BIO_new_socket);
		sipua_now.bio_fd = fd;
	}
	return real_BIO_new_socket(fd, close_flag);
}

/* the name that the certificate must show: the trunk's, else the address that we connect to */
static bool set_name(SSL *s, const struct sipua_tls_dest *dest, const char *address)
{
	union base_addr a;
	const char *name = dest && *dest->name ? dest->name : address;
	char host[48];

	if (base_addr_parse(slice_str(name), 0, &a) == 0) {
		base_addr_host(&a, false, host);
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s), host) == 1;
	}
	SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(s, name) == 1 && SSL_set1_host(s, name) == 1;
}

static SSL *make_client(struct sipua *ua, unsigned listener)
{
	const struct sipua_tls_dest *dest = sipua_tls_dest_by_canon(ua, sipua_now.canon);
	struct keys_tls *tls = dest ? dest->tls : sipua_tls_of_listener(ua, listener);
	SSL *s = tls ? real_SSL_new(keys_tls_client(tls)) : NULL;

	if (s && !set_name(s, dest, sipua_now.host ? sipua_now.host : "")) {
		SSL_free(s);
		return NULL;
	}
	return s;
}

SSL *SSL_new(SSL_CTX *c)
{
	struct sipua_fd *f = sipua_fd_get(sipua_now.bio_fd);
	struct keys_tls *tls;
	SSL *s = NULL;

	if (!is_shell(c) || !f || !f->ua)
		return real_SSL_new(c);
	SIPUA_HIT(SSL_new);
	if (f->kind == SIPUA_FD_NEW)
		s = make_client(f->ua, f->listener);
	else if ((tls = sipua_tls_of_listener(f->ua, f->listener)))
		s = real_SSL_new(keys_tls_server(tls));
	if (!s)
		return NULL;
	SSL_set_ex_data(s, sipua_tls_index(), (void *)(intptr_t)(sipua_now.bio_fd + 1));
	SSL_CTX_up_ref(c); /* the library drops one reference of its context with each connection */
	return s;
}
