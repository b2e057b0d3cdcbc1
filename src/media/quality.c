/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/quality: how good a stream may have sounded, by the E-model with its default values (ITU-T G.107, G.113 appendix I). An estimate of the
 * path alone: the codec is taken as G.711 with loss concealment where it is not known, the buffer of the phone as twice the jitter.
 */
#include "postern/media.h"

#define BUFFER_MIN_MS 40.0
#define FRAME_MS 20.0
#define LOOKAHEAD_MS 10.0

double media_mos(double loss_percent, double delay_ms, double ie, double bpl)
{
	double id = 0.024 * delay_ms + (delay_ms > 177.3 ? 0.11 * (delay_ms - 177.3) : 0.0);
	double r = 93.2 - id - (ie + (95.0 - ie) * loss_percent / (loss_percent + bpl));

	if (r <= 0.0)
		return 1.0;
	return r >= 100.0 ? 4.5 : 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
}

void media_figures_rate(struct media_figures *f, bool g729)
{
	double lost = f->lost > 0 ? (double)f->lost : 0.0, got = (double)f->rx_packets;
	double jitter_ms = f->clock_hz ? 1000.0 * f->jitter_ts / f->clock_hz : 0.0, buffer = 2.0 * jitter_ms;
	double delay = f->round_trip_us / 2000.0 + (buffer > BUFFER_MIN_MS ? buffer : BUFFER_MIN_MS) + FRAME_MS + LOOKAHEAD_MS;

	f->mos = 0.0;
	if (f->rx_packets && f->clock_hz != 90000)
		f->mos = media_mos(100.0 * lost / (got + lost), delay, g729 ? 11.0 : 0.0, g729 ? 19.0 : 25.1);
}
