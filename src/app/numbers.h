/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/numbers: the numbers of listeners and realms in this life of the supervisor. Calls, sockets and media ports hold on to them, so a number
 * stays with its address, respectively its realm's id; a listener's is given to another one once it is closed and the engine says that no call refers to it.
 */
#ifndef APP_NUMBERS_H
#define APP_NUMBERS_H

#include "postern/base.h"

struct conf_doc;
struct conf_errors;

#define APP_LISTENERS 256              /* numbers; of them at most 200 are open */

/** Which numbers the listeners and realms of a document have, in its order. */
struct app_layout {
	size_t nlisteners, nrealms;
	uint8_t listener[APP_LISTENERS];
	uint16_t *realm;                   /* malloc'd */
};

struct app_listener {
	uint8_t transport;
	union base_addr addr;
	int fd;                            /* -1: closed */
	bool free;                         /* closed, and nothing refers to its number */
	bool lent;                         /* it was free before the change that is under way */
	bool draining;                     /* UDP that was removed: the engine may still serve dialogs by it; the same address takes it up again */
};

struct app_numbers {
	struct app_listener listener[APP_LISTENERS];
	size_t nlisteners;
	char (*realm)[64];
	size_t nrealms;
	struct app_layout now;
};

/** The document of the start: listeners were opened in its order. */
int app_numbers_init(struct app_numbers *nb, const struct conf_doc *doc, const int *fd);
/**
 * What a new document needs; opens the sockets that are not there yet.
 * @return 0; ERR_CONFIG with an error at each listener that cannot be opened; -ENOMEM. Nothing has changed then.
 */
int app_numbers_plan(struct app_numbers *nb, const struct conf_doc *doc, struct conf_errors *errs, struct app_layout *ret);
/** It is in force: listeners that it has no more are closed here, or drain. Takes next over. */
void app_numbers_commit(struct app_numbers *nb, struct app_layout *next);
/** It is not: what was opened for it is closed. */
void app_numbers_abort(struct app_numbers *nb, struct app_layout *next);
/** The engine has closed one that was draining. keep: of a change that is under way. */
void app_numbers_closed(struct app_numbers *nb, size_t number, const struct app_layout *keep);
/** Nothing in the engine refers to the number any more. */
void app_numbers_free(struct app_numbers *nb, size_t number);
/** No engine serves what was draining any more. */
void app_numbers_drop(struct app_numbers *nb, const struct app_layout *keep);
void app_layout_fini(struct app_layout *l);
bool app_layout_has(const struct app_layout *l, size_t number);

#endif
