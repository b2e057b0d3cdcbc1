/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: codecs on memory only. RTP and RTCP views, SDP (ours), and typed, read-only views of SIP messages
 * that Sofia parsed. Pure: no I/O, no clock, no allocation but what is said. DNS and STUN come with their issues.
 */
#ifndef POSTERN_WIRE_H
#define POSTERN_WIRE_H

#include "postern/base.h"

/* ---- RTP, RTCP: views on a datagram (RFC 3550) ---- */
struct wire_rtp { uint8_t pt; bool marker; uint16_t seq; uint32_t ts, ssrc; size_t header; /* bytes before the payload */ size_t payload; };
/** ERR_PROTO where it is no plausible RTP packet: version, lengths of CSRC, extension and padding. Cost: constant; inline for the media path. */
static inline int wire_rtp_parse(const uint8_t *p, size_t n, struct wire_rtp *ret)
{
	size_t header, pad = 0;

	if (n < 12 || (p[0] & 0xc0) != 0x80)
		return ERR_PROTO;
	header = 12 + 4 * (size_t)(p[0] & 0x0f);
	if (p[0] & 0x10) {
		if (header + 4 > n)
			return ERR_PROTO;
		header += 4 + 4 * ((size_t)p[header + 2] << 8 | p[header + 3]);
	}
	if (header > n)
		return ERR_PROTO;
	if (p[0] & 0x20) {
		pad = p[n - 1];
		if (!pad || pad > n - header)
			return ERR_PROTO;
	}
	ret->pt = p[1] & 0x7f;
	ret->marker = p[1] >> 7;
	ret->seq = (uint16_t)(p[2] << 8 | p[3]);
	ret->ts = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
	ret->ssrc = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
	ret->header = header;
	ret->payload = n - header - pad;
	return 0;
}
/** RFC 5761 section 4: second byte 192..223. */
static inline bool wire_is_rtcp(const uint8_t *p, size_t n) { return n >= 8 && (p[0] & 0xc0) == 0x80 && p[1] >= 192 && p[1] <= 223; }
struct wire_rtcp { uint8_t type, count; uint32_t ssrc; const uint8_t *body; size_t len; }; /* body: what follows the first SSRC, without padding */
/** Walk a compound packet; pos starts at 0. False at the end; *bad (false otherwise) where a length, version or padding is wrong. */
bool wire_rtcp_next(const uint8_t *p, size_t n, size_t *pos, struct wire_rtcp *ret, bool *bad);

/* ---- SDP (RFC 8866, 3264): order kept, unknown lines kept, slices into the text ---- */
#define WIRE_SDP_MEDIA 16      /* m-lines */
#define WIRE_SDP_LINES 512     /* lines of one description */
#define WIRE_SDP_BYTES 32768
struct wire_sdp_line { char type; struct slice value; };        /* a, b, i, k, c ... */
enum wire_dir { WIRE_INACTIVE = 0, WIRE_SENDONLY = 1, WIRE_RECVONLY = 2, WIRE_SENDRECV = 3 }; /* bit 0 sends, bit 1 receives */
struct wire_sdp_media {
	struct slice kind;             /* audio, video, image, application, ... */
	uint16_t port;
	uint32_t nports;
	struct slice proto;            /* RTP/AVP */
	struct slice formats;          /* rest of the line */
	struct slice conn;             /* address of its c=, or of the session's; empty where neither is there or it is not of the Internet */
	bool conn6;                    /* the c= says IP6 */
	enum wire_dir dir;             /* of the attribute, media or session level; c=0.0.0.0 not applied */
	bool dir_given;                /* at either level */
	uint16_t rtcp_port;            /* a=rtcp, 0 = none */
	struct slice rtcp_addr;        /* a=rtcp's own address, empty = conn */
	bool rtcp_mux;
	uint16_t first, nlines;        /* its lines (without m=) in sdp.line[] */
	bool rtp;                      /* proto is one of RTP's profiles */
};
struct wire_sdp {
	struct slice text;             /* the whole, borrowed */
	struct slice o_user, o_id, o_version, o_addr; /* empty where the o= lacks them; nothing is decided by them */
	struct slice conn;             /* session c= address, empty = none */
	bool conn6;
	enum wire_dir dir; bool dir_given;
	uint16_t nsession;             /* session lines: line[0..nsession) without v= */
	uint16_t nmedia, nlines;
	struct wire_sdp_media media[WIRE_SDP_MEDIA];
	struct wire_sdp_line line[WIRE_SDP_LINES];
};
/**
 * Parse; lenient where the field is (missing o=, s=, t=, bare LF or CR, spaces at line ends, empty lines), strict where meaning would be
 * guessed: no v=0 first, a line that is none, m= or c= that cannot be read, two directions that differ at one level. `text` must outlive *ret.
 * About 20 KB: callers keep a static or scratch one. *ret is unspecified after an error.
 * @return 0, ERR_PROTO, ERR_TRUNCATED (empty text), ERR_FULL (a cap of above)
 */
int wire_sdp_parse(struct slice text, struct wire_sdp *ret);
/** First value of attribute `name` (without case) at media level (m >= 0) or session level (m = -1): empty slice with p != NULL for a flag, p NULL if absent. */
struct slice wire_sdp_attr(const struct wire_sdp *s, int m, const char *name);
/** Payload types named on the m-line as a 128-bit set; others (T.38, application) give none. */
void wire_sdp_pts(const struct wire_sdp_media *m, uint64_t ret_set[static 2]);
/** The same direction seen from the other end. */
enum wire_dir wire_dir_reverse(enum wire_dir d);
/** Name of the attribute: sendrecv ... */
const char *wire_dir_name(enum wire_dir d);
/** The stream's direction with a hold by c=0.0.0.0, :: or a name under .invalid applied (RFC 3264 section 8.4): the peer does not receive. */
enum wire_dir wire_sdp_direction(const struct wire_sdp *s, const struct wire_sdp_media *m);

/* rewriting for the other side: what we put in place of what the peer said */
struct wire_sdp_place {            /* one per m-line */
	const char *addr; bool ipv6;   /* our media address; NULL: the stream is refused, port 0 */
	uint16_t port;                 /* RTP port; RTCP is port+1, a=rtcp is written only where that is not so */
	bool rtcp_mux;                 /* write a=rtcp-mux */
	int dir;                       /* enum wire_dir, or -1: as the peer said */
	struct slice proto;            /* transport; empty: as the peer said */
	struct slice attrs;            /* lines of our own, complete, or empty */
};
struct wire_sdp_edit {
	const char *o_user;            /* "postern" */
	uint64_t o_id, o_version;
	const char *o_addr; bool o_ipv6;
	const struct wire_sdp_place *place; /* nmedia of them */
	bool around;                   /* media goes past us: every attribute stays, a=rtcp and a=rtcp-mux too */
	/** Keep this attribute (m = -1: session)? NULL: wire_sdp_attr_crosses. */
	bool (*keep)(int m, struct slice name, struct slice value);
};
/**
 * Print the peer's description with our o=, c=, ports and directions. Addresses of the peer never cross: candidates, ICE and DTLS
 * attributes, crypto, a=rtcp, and any attribute that names a transport address are left out.
 * @return length written without NUL, or ERR_TRUNCATED
 */
int wire_sdp_print(const struct wire_sdp *s, const struct wire_sdp_edit *e, char *buf, size_t size);
/** May this attribute cross? Not where its name is one of the hop's, or an IP address stands in its value. */
bool wire_sdp_attr_crosses(int m, struct slice name, struct slice value);
/** Equal line by line apart from o= (what decides over the version)? Line ends may differ. */
bool wire_sdp_same_session(struct slice a, struct slice b);

/* ---- SIP: read-only view of a message that Sofia parsed; valid while its owner says so. Nothing is allocated; slices end before a NUL of Sofia's.
 * Where a peer folded a line inside a value (display name, Call-ID), the view holds the fold: wire_unfold; the iterator below unfolds by itself.
 * Of URIs Sofia has decoded needless escapes (%41 is A); others stand. ---- */
struct wire_sip;                   /* is a sip_t underneath; only wire/ and sipua/ know */
enum wire_method { WIRE_UNKNOWN, WIRE_INVITE, WIRE_ACK, WIRE_CANCEL, WIRE_BYE, WIRE_OPTIONS, WIRE_REGISTER, WIRE_INFO, WIRE_PRACK,
	WIRE_UPDATE, WIRE_MESSAGE, WIRE_SUBSCRIBE, WIRE_NOTIFY, WIRE_REFER, WIRE_PUBLISH, WIRE_METHODS };
/** "" for WIRE_UNKNOWN. */
const char *wire_method_name(enum wire_method m);
/** Case counts (RFC 3261 section 7.1). */
enum wire_method wire_method_of(struct slice name);
/** Bit set (1 << wire_method) of a comma list such as Allow; names that we do not know set no bit. */
uint32_t wire_methods_parse(struct slice list);

struct wire_uri { struct slice scheme, user, password, host, port, params, headers; }; /* user and params as they stood, escapes kept */
	/* scheme without colon; host with the brackets of IPv6; params without the first `;`, headers without `?`.
	 * Other schemes than sip and sips (tel, urn, ...): what follows the colon up to `;` or `?` is `user`, host is empty. */
struct wire_addr {
	struct slice display;          /* without the outer quotes, escapes kept: between quotes it prints back */
	struct wire_uri uri;
	struct slice tag;
	struct slice params;           /* header parameters (a;b=c), set by wire_addr_parse alone */
};
/** A URI from text. ERR_PROTO. Pure, bounded; ours. */
int wire_uri_parse(struct slice text, struct wire_uri *ret);
/** name-addr or addr-spec (whose parameters are the header's, RFC 3261 section 20.10). ERR_PROTO, *ret untouched then. */
int wire_addr_parse(struct slice text, struct wire_addr *ret);
/** Value of a parameter in `a;b=c`, name without case: p NULL if absent, empty (p set) for a flag; a quoted value is given with its quotes. */
struct slice wire_param(struct slice params, const char *name);

/** Request, or response? */
bool wire_sip_is_request(const struct wire_sip *m);
/** Of the request, or of the CSeq in a response. */
enum wire_method wire_sip_method(const struct wire_sip *m);
/** The same as text, for methods that we do not know. */
struct slice wire_sip_method_name(const struct wire_sip *m);
/** 0 in a request. */
int wire_sip_status(const struct wire_sip *m);
/** Reason phrase of a response. */
struct slice wire_sip_phrase(const struct wire_sip *m);
/** Number of the CSeq; 0 without one. */
uint32_t wire_sip_cseq(const struct wire_sip *m);
/** Call-ID; empty without one. */
struct slice wire_sip_call_id(const struct wire_sip *m);
/** Request-URI; all empty in a response. */
void wire_sip_ruri(const struct wire_sip *m, struct wire_uri *ret);
/** From; all empty without one. */
void wire_sip_from(const struct wire_sip *m, struct wire_addr *ret);
/** To; all empty without one. */
void wire_sip_to(const struct wire_sip *m, struct wire_addr *ret);
/** First Contact; false where there is none or it is `*`. */
bool wire_sip_contact(const struct wire_sip *m, struct wire_addr *ret);
/** The whole body; empty without one. */
struct slice wire_sip_body(const struct wire_sip *m);
/** type/subtype alone, so that it can be compared; empty if none. With its parameters (boundary): wire_sip_header(m, "Content-Type", ...). */
struct slice wire_sip_content_type(const struct wire_sip *m);
/** -1 where there is none; at most 255. */
int wire_sip_max_forwards(const struct wire_sip *m);
/** Methods of Allow as a bit set (1 << wire_method); *ret_has tells an empty Allow from none. */
uint32_t wire_sip_allow(const struct wire_sip *m, bool *ret_has);
/** Option tag in Supported / Require / Proxy-Require, without case. */
bool wire_sip_supported(const struct wire_sip *m, const char *tag);
/** Is there a Supported at all? */
bool wire_sip_has_supported(const struct wire_sip *m);
/** The tags of Require that are not in `known` (NULL-terminated), comma-joined; empty if none. Cut at the buffer. */
struct slice wire_sip_unknown_required(const struct wire_sip *m, const char *const *known, char *buf, size_t size);

/** A folded value in one line (RFC 3261 section 7.3.1): `v` itself where nothing is folded, else text in buf; p NULL where that is too small. */
struct slice wire_unfold(struct slice v, char *buf, size_t size);

/*
 * All headers in message order, values as text: one step per value that Sofia parsed on its own (Via, Route, Contact ...), a comma list of tokens
 * (Allow, Supported) is one step. Names are long ones (a compact form is given as its long name). Malformed headers that Sofia let pass are not shown.
 * opaque is the header object (msg_header_t const *, alive as long as the message): sipua copies it into a message of its own
 * with msg_header_dup_one(home, opaque) or sip_add_dup, no parsing needed, and frees it with that message's home.
 * value.p NULL: too long to show (above the buffer), carry it by opaque. folded: the object is over several lines, the value is not.
 */
struct wire_header { struct slice name; struct slice value; const void *opaque; bool folded; };
struct wire_headers { const void *next; char buf[2048]; };         /* iterator; value may live in buf until the next step */
/** Start at the first header. */
void wire_sip_headers(const struct wire_sip *m, struct wire_headers *it);
/** Next header, its value not looked at (p NULL); false at the end. */
bool wire_headers_step(struct wire_headers *it, struct wire_header *ret);
/** Fill in value and folded of the header that was stepped to; good until the next one. */
void wire_headers_value(struct wire_headers *it, struct wire_header *h);
/** Both: next header with its value; false at the end. */
bool wire_headers_next(struct wire_headers *it, struct wire_header *ret);
/** First value of the header of that name, long or compact; p NULL if absent or longer than buf; text may live in buf. */
struct slice wire_sip_header(const struct wire_sip *m, const char *name, char *buf, size_t size);

/* ---- secrets in text ---- */
/** Credentials and SDP keys in a message or a part of one, in order; what would not fit into max is one piece to the end. A fuzz target. */
size_t wire_secrets_find(struct slice text, struct slice *ret, size_t max);

/* ---- DNS answers (RFC 1035, 2782, 3403) ---- */
#define WIRE_DNS_RECORDS 32            /* of one answer; more are left out */
#define WIRE_DNS_NAME    256
enum wire_dns_type { WIRE_DNS_A = 1, WIRE_DNS_CNAME = 5, WIRE_DNS_SOA = 6, WIRE_DNS_AAAA = 28, WIRE_DNS_SRV = 33, WIRE_DNS_NAPTR = 35 };
struct wire_dns_record {               /* of the type that was asked for */
	uint16_t order, preference;        /* NAPTR; SRV: priority, weight */
	uint16_t port;                     /* SRV */
	char flags[8], service[32];        /* NAPTR */
	bool regexp;                       /* NAPTR: it has one, so that the replacement says nothing */
	char name[WIRE_DNS_NAME];          /* SRV: target; NAPTR: replacement; "." is "" */
	union base_addr addr;              /* A, AAAA; port 0 */
};
struct wire_dns_answer {
	int rcode;
	bool truncated;
	unsigned n;
	struct wire_dns_record rr[WIRE_DNS_RECORDS];
	uint32_t ttl;                      /* lowest of the records and of the aliases that led to them; for none: of the SOA (RFC 2308), 0 without */
};
/** Records of that type at the name of the question, aliases followed. ERR_PROTO, ERR_TRUNCATED. Bounded work; a fuzz target. */
int wire_dns_parse(const void *msg, size_t n, enum wire_dns_type type, struct wire_dns_answer *ret);

#endif
