/* SPDX-License-Identifier: Apache-2.0 */
/* A small PKI in memory for tests: an authority, and certificates that it signs. */
#ifndef TESTS_KEYS_PKI_H
#define TESTS_KEYS_PKI_H

#include "postern/keys.h"

struct pki_pem { char *cert, *key; };
/** issuer NULL: self-signed authority; a name that begins with "CA ": an authority under it. san: "DNS:a.example,IP:127.0.0.1" or NULL. days may be negative: expired. */
void pki_issue(const char *cn, const char *san, int days, const struct pki_pem *issuer, struct pki_pem *ret);
void pki_free(struct pki_pem *p);
struct keys_pem pki_keys(const struct pki_pem *own, const struct pki_pem *ca);
/** A profile, or a failed test. */
struct keys_tls *pki_tls(const struct pki_pem *own, const struct pki_pem *ca, int verify, int min_version);

#endif
