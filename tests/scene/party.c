/* SPDX-License-Identifier: Apache-2.0 */
/* A party of a scene: builds and reads SIP as text. It keeps the rules of a dialog as far as a scene needs them. */
#define _GNU_SOURCE
#include "scene/rig.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

const char *text_header(const char *msg, const char *name)
{
	static char out[1024];
	size_t n = strlen(name);

	for (const char *line = strstr(msg, "\r\n"); line; line = strstr(line + 2, "\r\n"))
		if (!strncasecmp(line + 2, name, n) && line[2 + n] == ':') {
			const char *v = line + 3 + n;

			v += strspn(v, " ");
			snprintf(out, sizeof(out), "%.*s", (int)strcspn(v, "\r\n"), v);
			return out;
		}
	return "";
}

static void between(const char *text, const char *from, const char *until, char *ret, size_t size)
{
	const char *p = strstr(text, from);

	ret[0] = 0;
	if (p) {
		p += strlen(from);
		snprintf(ret, size, "%.*s", (int)strcspn(p, until), p);
	}
}

static void party_send(struct party *p, const char *text, int n)
{
	if (sendto(p->fd, text, (size_t)n, 0, &p->peer.sa, base_addr_len(&p->peer)) != n)
		perror("scene: send");
}

static const char *sdp_of(const struct party *p, bool sdp)
{
	static char text[512];

	if (p->fax)
		snprintf(text, sizeof(text), "v=0\r\no=- %d %u IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image %d udptl t38\r\na=T38FaxVersion:0\r\n", p->name, p->cseq,
			p->name == 'A' ? 30000 : 31000);
	else
		snprintf(text, sizeof(text), "v=0\r\no=- %d %u IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n%s%s%s",
			p->name, p->cseq, p->name == 'A' ? 30000 : 31000, *p->dir ? "a=" : "", p->dir, *p->dir ? "\r\n" : "");
	return sdp ? text : "";
}

static void begin(struct party *p)
{
	static unsigned calls;

	p->caller = true;
	snprintf(p->call_id, sizeof(p->call_id), "scene-%c-%u", p->name, ++calls);
	snprintf(p->tag, sizeof(p->tag), "t%c%u", p->name, calls);
	snprintf(p->target, sizeof(p->target), "sip:%s@127.0.0.1:%u", p->number, ntohs(p->peer.in.sin_port));
	snprintf(p->remote, sizeof(p->remote), "<%s>", p->target);
	p->cseq = 0;
}

void party_request(struct party *p, const char *method, bool sdp)
{
	static char text[RIG_TEXT];
	bool same = !strcmp(method, "CANCEL") || !strcmp(method, "ACK");
	const char *body = sdp_of(p, sdp);
	int n;

	if (!strcmp(method, "INVITE") && p->number[0])
		begin(p);
	if (!same)
		p->cseq++;
	if (strcmp(method, "CANCEL") != 0)
		snprintf(p->branch, sizeof(p->branch), "z9hG4bKscene%c%u", p->name, ++p->branches);
	if (!strcmp(method, "INVITE"))
		p->invite_cseq = p->cseq;
	n = snprintf(text, sizeof(text), "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=%s\r\nMax-Forwards: 70\r\nFrom: <sip:%c@127.0.0.1>;tag=%s\r\nTo: %s\r\n"
		"Call-ID: %s\r\nCSeq: %u %s\r\nContact: <sip:%c@127.0.0.1:%u>\r\n%s%sContent-Length: %zu\r\n\r\n%s", method, p->target, ntohs(p->addr.in.sin_port), p->branch,
		p->name, p->tag, p->remote, p->call_id, same ? p->invite_cseq : p->cseq, method, p->name, ntohs(p->addr.in.sin_port), p->says,
		*body ? "Content-Type: application/sdp\r\n" : "", strlen(body), body);
	if (strcmp(method, "ACK") != 0)
		snprintf(p->sent, sizeof(p->sent), "%s", text);
	party_send(p, text, n);
	p->number[0] = 0;
}

void party_again(struct party *p)
{
	party_send(p, p->sent, (int)strlen(p->sent));
}

void party_reply(struct party *p, const char *request, int status, bool sdp)
{
	static char text[RIG_TEXT];
	const char *body = sdp_of(p, sdp), *way[] = { "From", "Call-ID", "CSeq" };
	int n = snprintf(text, sizeof(text), "SIP/2.0 %d Scene\r\nVia: %s\r\n", status, text_header(request, "Via"));

	for (int i = 0; i < 3; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s: %s\r\n", way[i], text_header(request, way[i]));
	n += snprintf(text + n, sizeof(text) - (size_t)n, "To: %s", text_header(request, "To"));
	if (!strstr(text_header(request, "To"), "tag=") && status > 100)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ";tag=%s", p->tag[0] ? p->tag : "none");
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\nContact: <sip:%c@127.0.0.1:%u>\r\n%s%sContent-Length: %zu\r\n\r\n%s", p->name, ntohs(p->addr.in.sin_port), p->says,
		*body ? "Content-Type: application/sdp\r\n" : "", strlen(body), body);
	party_send(p, text, n);
}

/* A call that comes in: what the party says from now on belongs to it. */
static void take_invite(struct party *p)
{
	static unsigned n;

	snprintf(p->invite, sizeof(p->invite), "%s", p->last);
	if (strstr(text_header(p->last, "To"), "tag="))
		return;
	p->caller = false;
	p->cseq = 0;
	snprintf(p->call_id, sizeof(p->call_id), "%s", text_header(p->last, "Call-ID"));
	snprintf(p->remote, sizeof(p->remote), "%s", text_header(p->last, "From"));
	snprintf(p->tag, sizeof(p->tag), "u%c%u", p->name, ++n);
	between(text_header(p->last, "Contact"), "<", ">", p->target, sizeof(p->target));
}

static void take(struct party *p)
{
	if (!strncmp(p->last, "INVITE ", 7))
		take_invite(p);
	else if (strncmp(p->last, "SIP/2.0 ", 8) != 0 && strncmp(p->last, "ACK ", 4) != 0)
		snprintf(p->request, sizeof(p->request), "%s", p->last);
	if (strncmp(p->last, "SIP/2.0 ", 8) != 0 || !p->caller || strncmp(p->last + 8, "100", 3) == 0)
		return;
	if (strstr(text_header(p->last, "CSeq"), "INVITE"))
		snprintf(p->remote, sizeof(p->remote), "%s", text_header(p->last, "To"));
	if (p->last[8] == '2' && *text_header(p->last, "Contact"))
		between(text_header(p->last, "Contact"), "<", ">", p->target, sizeof(p->target));
}

bool party_read(struct party *p)
{
	const char *body;
	ssize_t n = recv(p->fd, p->last, sizeof(p->last) - 1, MSG_DONTWAIT);

	if (n < 0)
		return false;
	p->last[n] = 0;
	body = strstr(p->last, "\r\n\r\nv=");
	if (body) {
		memcpy(p->before, p->shown, sizeof(p->before));
		snprintf(p->shown, sizeof(p->shown), "%s", body + 4);
	}
	take(p);
	return true;
}
