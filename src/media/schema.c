/* SPDX-License-Identifier: Apache-2.0 */
/* Options of media_profiles (design.md sections 4 and 10). Needs conf alone. */
#include "postern/conf.h"
#include "postern/media.h"

static const char *const transport_names[] = { "rtp", "sdes", "sdes-optional", "dtls", "dtls-optional", NULL };
static const char *const suite_names[] = {
	"AEAD_AES_128_GCM", "AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32",
	"AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", NULL
};
static const char *const mux_names[] = { "auto", "require", "off", NULL };
static const char *const ice_names[] = { "off", "lite", NULL };
static const char *const dtmf_names[] = { "auto", "rfc4733", "info", NULL };
static const char *const latch_names[] = { "auto", "strict", NULL };

#define AT(member) offsetof(struct media_profile_conf, member)

static const struct conf_row rows[] = {
	{ .key = "id", .type = CONF_ID, .at = AT(id), .flags = CONF_REQUIRED, .doc = "Name of the profile." },
	{ .key = "transport", .type = CONF_ENUM, .at = AT(transport), .flags = CONF_LATER, .now = "[\"sdes\", \"sdes-optional\"]",
	  .def = "\"rtp\"", .names = transport_names,
	  .doc = "How media is carried on the leg: plain RTP, SRTP keyed in SDP (RFC 4568) or by DTLS (RFC 5763); the optional ones take plain RTP too." },
	{ .key = "suites", .type = CONF_LIST, .elem = CONF_WORD, .at = AT(suites), .flags = CONF_UNIQUE | CONF_FILLED, .names = suite_names, .most = 8,
	  .def = "[\"AEAD_AES_128_GCM\", \"AES_CM_128_HMAC_SHA1_80\"]", .doc = "SRTP suites, offered and chosen in this order." },
	{ .key = "rtcp_mux", .type = CONF_ENUM, .at = AT(rtcp_mux), .def = "\"auto\"", .names = mux_names,
	  .doc = "RTP and RTCP on one port (RFC 5761): `auto` accepts it where it is offered and does not offer it." },
	{ .key = "ice", .type = CONF_ENUM, .at = AT(ice), .flags = CONF_LATER, .def = "\"off\"", .names = ice_names, .doc = "ICE-lite (RFC 8445)." },
	{ .key = "dtmf", .type = CONF_ENUM, .at = AT(dtmf), .def = "\"auto\"", .names = dtmf_names,
	  .doc = "How digits are carried on the leg: `auto` as negotiated; `rfc4733` as telephone-event, INFO of the other side too; `info` by INFO with application/dtmf-relay, while the other side is answered telephone-event." },
	{ .key = "latch", .type = CONF_ENUM, .at = AT(latch), .def = "\"auto\"", .names = latch_names,
	  .doc = "`auto` follows a peer behind NAT to where its packets come from, `strict` takes the signalled address alone." },
	{ .key = "inactivity", .type = CONF_INT, .at = AT(inactivity), .def = "300", .min = 0, .max = 86400, .unit = "s",
	  .doc = "End a call when one side sends neither RTP nor RTCP for so long although it may; 0 is never." },
	{ .key = "anchor", .type = CONF_BOOL, .at = AT(anchor), .def = "true",
	  .doc = "Carry the media; where both legs say false it flows around Postern: the addresses in SDP pass, and no ports are taken." },
	{ .key = NULL }
};

const struct conf_collection media_schema_profiles = {
	.name = "media_profiles", .one = "media profile", .rows = rows, .size = sizeof(struct media_profile_conf), .most = 1000,
	.builtin = "[{\"id\": \"default\"}]",
	.doc = "How media is carried on a leg. `default` is built in, with the defaults of these options.",
};
