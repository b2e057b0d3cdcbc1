/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media: the RTP/RTCP relay. Two sides: the media process (media_proc_*) and its client in the engine (media_client_*).
 * Knows no SIP. A *slot* is one RTP port with its RTCP port (+1); the table of slots is fixed by the supervisor's port map.
 * The engine is leased every slot of the map; media follows its desired states and tells by the `streams` memory what it sees.
 */
#ifndef POSTERN_MEDIA_H
#define POSTERN_MEDIA_H

#include "postern/base.h"

struct loop;
struct loop_shm;

/* ---- options: rows of media_profiles (schema in media/schema.c) ---- */
struct media_profile_conf {
	const char *id;
	int transport;                 /* enum media_transport */
	struct { const void *v; size_t n; } suites;  /* conf_list of const char * */
	int rtcp_mux;                  /* 0 auto 1 require 2 off */
	int ice;                       /* 0 off 1 lite */
	int dtmf;                      /* 0 auto 1 rfc4733 2 info */
	int latch;                     /* 0 auto 1 strict */
	int64_t inactivity;            /* s, 0 off */
	bool anchor;
};
enum media_transport { MEDIA_RTP, MEDIA_SDES, MEDIA_SDES_OPTIONAL, MEDIA_DTLS, MEDIA_DTLS_OPTIONAL };
extern const struct conf_collection media_schema_profiles;

/* ---- port map: made by the supervisor, read by all; a sealed blob ---- */
struct media_map_entry { union base_addr addr; uint16_t realm; uint16_t ok; }; /* RTP port; realm: its number (app/numbers) */
#define MEDIA_MAP_RETIRED 2        /* ok: in no realm's range any more; calls that have the port keep it */
/** Print entries as a blob; sockets are handed over in the same order: RTP, RTCP of entry 0, of entry 1 ... (ok = 0: none). malloc'd. */
int media_map_print(const struct media_map_entry *e, uint32_t n, struct slice *ret);
int media_map_parse(struct slice blob, const struct media_map_entry **ret, uint32_t *ret_n);

/**
 * Bind the two sockets of an entry (RTP, then RTCP on port + 1) as the relay wants them. Thread: any; the supervisor's service.
 * @return 0, or -errno (nothing is open then)
 */
int media_port_sockets(const union base_addr *rtp, int ret_fd[2]);

/** Could media_port_sockets bind this entry now? Nothing stays open. @return 0 or -errno */
int media_port_probe(const union base_addr *rtp);

/* ---- shared sockets: a pair of them per worker for all ports, where kernel and rights allow it (BPF sk_lookup). The supervisor's ---- */
#define MEDIA_SHARED_WORKERS 64
#define MEDIA_SHARED_HOSTS 64          /* addresses at most */
struct media_shared;
/**
 * Sockets for MEDIA_SHARED_WORKERS workers, and the program that leads packets of ports on so many addresses to them, in this network namespace. It ends
 * with media_shared_close, or with the caller's process.
 * @param rcvbuf   [in]  bytes of a main socket's queue
 * @param ret_step [out] what was refused, where it fails. Static
 * @return 0, -errno
 */
int media_shared_open(unsigned hosts, int rcvbuf, struct media_shared **ret, const char **ret_step);
void media_shared_close(struct media_shared *s); /* NULL is legal */
/** What media needs of it, in the order in which media_proc_params wants it. Borrowed. */
const int *media_shared_fds(const struct media_shared *s, uint32_t *ret_n);
/** Addresses that it has room for. */
uint32_t media_shared_hosts(const struct media_shared *s);
/** Lead the ports of this map; a later one is the same with more at its end. ERR_FULL: more addresses than there is room for; -errno */
int media_shared_map(struct media_shared *s, const struct media_map_entry *map, uint32_t nmap);

/** Do media ports share sockets? As the memory tells; false where there is none. Thread: any. */
bool media_shared_used(const struct loop_shm *streams);

/** Regions of the `streams` memory for a map of so many entries. */
size_t media_slots_bytes(uint32_t nslots);
size_t media_header_bytes(void);
/** Region of the `keys` memory, which the media process alone maps. */
size_t media_keys_bytes(uint32_t nslots);

/* ---- what the engine wants of a slot: the whole of it each time, so that repeating is harmless ---- */
struct media_ref { uint32_t slot; uint32_t gen; };   /* gen 0: none */
static inline bool media_ref_ok(struct media_ref r) { return r.gen != 0; }
enum media_flag {
	MEDIA_RX      = 1,   /* packets of the peer are taken (its direction lets it send) */
	MEDIA_TX      = 2,   /* packets are sent to it (its direction lets it receive) */
	MEDIA_MUX     = 4,   /* RTCP on the RTP port */
	MEDIA_STRICT  = 8,   /* latch: signalled address alone */
	MEDIA_WATCH   = 16,  /* inactivity counts on this slot */
	MEDIA_EVENTS_END = 64, /* telephone-events are told alone: the peer has none */
	MEDIA_RAW     = 32   /* udptl: datagrams without RTP checks */
};
#define MEDIA_PTS 16
struct media_want {
	struct media_ref peer;         /* other end of the relay, or none yet */
	union base_addr remote;        /* signalled RTP address; family 0: not known yet */
	union base_addr remote_rtcp;   /* signalled RTCP address */
	uint32_t flags;
	uint32_t inactivity_s;         /* 0: never */
	uint64_t pts[2];               /* payload types agreed, as a bit set; both 0: any */
	uint32_t clock_hz;             /* of the first format, for jitter: 8000 where unknown */
	uint32_t rate_pps;             /* packets/s taken at most (burst 1 s); 0: 4 x nominal, 200, or 2,000 for a clock of 90,000 */
	uint8_t suite[2];              /* enum keys_suite: of what is received, of what is sent; 0: plain. Their keys: struct media_key */
	uint8_t npt;                   /* payload types of what is received that the peer's side knows by other numbers */
	struct { uint8_t from, to; } pt[MEDIA_PTS];
	uint32_t events;               /* bit n: payload type 96 + n of what is received is telephone-event: its digits are told */
	/* a digit to be sent to the peer as telephone-event, once for each serial; 0: none yet */
	struct { uint32_t serial; uint16_t ms; uint8_t event, pad; } digit;
	uint32_t digit_hz;             /* of telephone-event as the peer knows it; 0: it takes none */
	uint8_t digit_pt;
};
/** Master key and salt of media_want.suite[0] (received) and [1] (sent). */
struct media_key { uint8_t key[46]; };

/* ---- engine side ---- */
struct media_client;
struct media_client_params {
	struct loop *loop;
	int chan_fd;                   /* to media; taken over */
	const struct loop_shm *wishes; /* memory with a ring that media reads */
	const struct loop_shm *streams;/* read-only map */
	const struct media_map_entry *map; uint32_t nmap;
	/** No RTP or RTCP from this side for its inactivity_s. Once per silence. */
	void (*inactive)(void *arg, struct media_ref r);
	/** This side sent a telephone-event (RFC 4733 section 3.2) of that length. */
	void (*digit)(void *arg, struct media_ref r, unsigned event, unsigned ms);
	/** This side is silent though it may send, while the other one is heard. Once per stream. */
	void (*one_way)(void *arg, struct media_ref r);
	void *arg;
};
int media_client_new(const struct media_client_params *p, struct media_client **ret);
void media_client_free(struct media_client *c);
/**
 * Ports of another revision: the same slots with other realms, retired ones, and new ones at the end, which are taken once a media process says
 * that it has them. map is borrowed until the next one.
 * @return 0; ERR_RANGE: shorter than before, or longer than the memory; -ENOMEM: the former ports stay
 */
int media_client_remap(struct media_client *c, const struct media_map_entry *map, uint32_t nmap);
/**
 * Take a slot of a realm, chosen at random among the free of that family; no message is sent. A pair for one call should share a lane
 * (worker): lane -1 takes the least loaded.
 * @return 0, ERR_NOPORT
 */
int media_port_take(struct media_client *c, unsigned realm, int family, int lane, struct media_ref *ret, union base_addr *ret_addr);
int media_port_lane(const struct media_client *c, struct media_ref r);
/** After an engine restart: this slot is in use by a call of ours, with its generation as stored. ERR_TORN where the memory does not agree. */
int media_port_adopt(struct media_client *c, struct media_ref r, union base_addr *ret_addr);
/** Close every slot that media holds open and nobody adopted: call once after the records were read. Returns how many. */
unsigned media_client_sweep(struct media_client *c);
/** Make it so. Written where media finds it at the turn's end, with the others; kept until media has applied it. */
int media_want(struct media_client *c, struct media_ref r, const struct media_want *w);
/** The same with SRTP: the keys are copied, and wiped when media has them. The same keys again change nothing. */
int media_want_srtp(struct media_client *c, struct media_ref r, const struct media_want *w, const struct media_key key[static 2]);
/** Give the slot back: quarantined 30 s (less when under 10 % are free). */
void media_port_close(struct media_client *c, struct media_ref r);
/** Write the wishes now, not at the turn's end: what depends on them leaves this moment. */
void media_client_flush(struct media_client *c);
unsigned media_ports_free(const struct media_client *c, unsigned realm, int family);

/* ---- figures of a slot: read from the `streams` memory by anyone who maps it ---- */
struct media_figures {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rtcp_rx, rtcp_tx;
	uint64_t dropped_source, dropped_format, dropped_direction, dropped_rate, dropped_auth;
	bool srtp_rx, srtp_tx;
	bool one_way;                            /* it was silent for 5 s while the other side's packets flowed */
	double mos;                              /* estimate for what is received (G.107), 0: nothing to tell */
	int64_t lost; uint64_t duplicated, reordered;
	uint32_t jitter_ts; uint32_t clock_hz;   /* RFC 3550 A.8, in timestamp units */
	uint32_t ssrc; uint32_t round_trip_us;
	bool latched; union base_addr source;    /* where packets come from now */
	int64_t last_rx_ms;                      /* since then, or -1: never */
};
/** ERR_NOTFOUND where the slot is not this generation's. Thread: any. */
int media_figures_get(const struct loop_shm *streams, struct media_ref r, struct media_figures *ret);

/** MOS of G.107 for these impairments: packet loss, one-way delay from mouth to ear, and the codec's Ie and Bpl (G.113 appendix I). Pure. */
double media_mos(double loss_percent, double delay_ms, double ie, double bpl);
/** Set f->mos from its other figures. Pure. */
void media_figures_rate(struct media_figures *f, bool g729);

/* ---- the media process ---- */
struct media_proc;
struct media_proc_params {
	struct loop *loop;             /* control thread */
	int chan_fd;                   /* to the engine; taken over */
	const struct loop_shm *wishes; /* memory with the ring that the engine writes */
	const struct loop_shm *streams;
	const struct loop_shm *keys;   /* NULL: plain RTP alone */
	const struct media_map_entry *map; uint32_t nmap;
	const int *fds;                /* 2 * nmap sockets in map order, -1 where none; or those of media_shared_fds. Borrowed for life */
	uint32_t shared_hosts;         /* media_shared_hosts; 0: a socket per port */
	unsigned workers;              /* 1.., with shared sockets as many as these are for */
	bool gather;                   /* wake-ups may be gathered while it pays */
};
/** Take up what the memory says (open slots go on at once), start the workers. */
int media_proc_start(const struct media_proc_params *p, struct media_proc **ret);
void media_proc_stop(struct media_proc *m);

#endif
