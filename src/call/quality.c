/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the streams of a call were, when it ends: the same figures go into its CDR, into an event of each stream, and into the sums that
 * /metrics shows (docs/design/0001-house.md). They are what media counted; nothing is measured here.
 */
#include "call/b2b.h"

static const char *truth(bool b) { return b ? "true" : "false"; }

static double jitter_ms(const struct media_figures *f) { return f->clock_hz ? 1000.0 * f->jitter_ts / f->clock_hz : 0.0; }

/* Without floating point, which printf makes dear. */
static void decimal(struct text *t, const char *name, uint64_t scaled, unsigned scale)
{
	text_add(t, ",\"%s\":%llu.", name, (unsigned long long)(scaled / scale));
	for (scaled %= scale; scale > 1; scaled %= scale) {
		scale /= 10;
		text_add(t, "%u", (unsigned)(scaled / scale));
	}
}

static void print(struct text *t, const struct media_figures *f, unsigned stream)
{
	text_add(t, "\"stream\":%u,\"packets_received\":%llu,\"packets_sent\":%llu,\"bytes_received\":%llu,\"bytes_sent\":%llu,\"lost\":%lld,\"duplicated\":%llu,"
		"\"reordered\":%llu", stream,
		(unsigned long long)f->rx_packets, (unsigned long long)f->tx_packets, (unsigned long long)f->rx_bytes, (unsigned long long)f->tx_bytes,
		(long long)f->lost, (unsigned long long)f->duplicated, (unsigned long long)f->reordered);
	decimal(t, "jitter_ms", f->clock_hz ? 10000ull * f->jitter_ts / f->clock_hz : 0, 10);
	decimal(t, "mos", (uint64_t)(100.0 * f->mos + 0.5), 100);
	decimal(t, "round_trip_ms", f->round_trip_us / 100, 10);
	text_add(t, ",\"srtp\":%s,\"one_way\":%s", truth(f->srtp_rx), truth(f->one_way));
}

static void count(const struct media_figures *f)
{
	static const struct { double below; enum base_counter id; } by_mos[] = {
		{ 3.1, COUNTER_STREAM_MOS_BAD }, { 3.6, COUNTER_STREAM_MOS_POOR }, { 4.0, COUNTER_STREAM_MOS_FAIR }, { 5.0, COUNTER_STREAM_MOS_GOOD },
	};
	size_t i = 0;

	base_count(COUNTER_STREAMS_ENDED);
	base_count_n(COUNTER_STREAM_PACKETS, f->rx_packets);
	base_count_n(COUNTER_STREAM_BYTES, f->rx_bytes);
	base_count_n(COUNTER_STREAM_LOST, (uint64_t)f->lost);
	base_count_n(COUNTER_STREAM_DUPLICATED, f->duplicated);
	base_count_n(COUNTER_STREAM_REORDERED, f->reordered);
	base_count_n(COUNTER_STREAM_JITTER_US, (uint64_t)(jitter_ms(f) * 1000.0));
	base_count_n(COUNTER_STREAM_ROUND_TRIP_US, f->round_trip_us);
	if (f->round_trip_us)
		base_count(COUNTER_STREAM_ROUND_TRIPS);
	if (f->one_way)
		base_count(COUNTER_STREAM_ONE_WAY);
	if (f->mos <= 0.0)
		return;
	while (f->mos >= by_mos[i].below)
		i++;
	base_count(by_mos[i].id);
}

void call_quality_end(const struct call *c, struct text *cdr)
{
	char more[512];
	struct media_figures f;
	unsigned k, i, n = 0;

	text_add(cdr, ",\"quality\":[");
	for (k = 0; k < 2; k++)
		for (i = 0; i < c->leg[k].nstreams; i++) {
			struct text t = text_on(more, sizeof more);

			if (!c->eng->p.streams || media_figures_get(c->eng->p.streams, c->leg[k].stream[i].ref, &f))
				continue;
			if (f.lost < 0)
				f.lost = 0;
			text_add(cdr, "%s{\"leg\":\"%s\",", n++ ? "," : "", k ? "b" : "a");
			print(cdr, &f, i);
			text_add(cdr, "}");
			if (f.rx_packets | f.tx_packets) { /* of a stream that never was there is nothing to tell */
				print(&t, &f, i);
				call_event(&c->leg[k], EVENT_QUALITY, more);
				count(&f);
			}
		}
	text_add(cdr, "]");
}
