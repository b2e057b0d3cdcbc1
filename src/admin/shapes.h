/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin/shapes: what goes in and out of each path, as tables of rows like those of options: the OpenAPI document and the reference are printed
 * from them, and the end-to-end tests hold every answer against them.
 */
#ifndef ADMIN_SHAPES_H
#define ADMIN_SHAPES_H

#include "postern/conf.h"

/** An object of requests (`closed`: unknown members are refused) or answers (may have more members than are listed). */
struct admin_shape { const char *name; const struct conf_row *rows; bool closed; const char *doc; };
/** The table, ending with name NULL. In rows, CONF_OBJECT (or a list of it) without `sub` is the shape or collection object `ref`, or any object. */
extern const struct admin_shape admin_shapes[];

/**
 * Body and answers of a route. body: a shape; NULL: what the route's flags say. answers: `STATUS WHAT[|WHAT...], ...`, WHAT being nothing, a shape,
 * `[shape]` (a page of them), `{one}` (the collection's object), `text`, `pcap`, or `patch` (JSON Patch).
 */
struct admin_exchange { const char *method, *path, *body, *answers; };
/** The table's row of a route; a route that has none takes and gives any object. */
const struct admin_exchange *admin_exchange_of(const char *method, const char *path);

#endif
