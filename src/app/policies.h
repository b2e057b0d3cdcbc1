/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/policies: the policy files of a revision, compiled, and lined up for every trunk (design.md section 9). What trunks hold on to
 * outlives revisions; a commit exchanges what is in it.
 */
#ifndef APP_POLICIES_H
#define APP_POLICIES_H

#include "postern/base.h"

struct app_bundle;
struct conf_doc;
struct conf_errors;
struct rule_set;

/** Sets in the order of the document's policies; ref-counted. */
struct app_policies { const struct conf_doc *doc; size_t n; struct rule_set **set; struct rule_set *builtin; };

/**
 * Compile all files. Every error is added to errs at the policy that names the file, as `file:line:col: message`.
 * @param doc [in] referenced
 * @return 0, ERR_CONFIG, -ENOMEM
 */
int app_policies_new(const struct conf_doc *doc, const struct app_bundle *b, struct conf_errors *errs, struct app_policies **ret);

#endif
