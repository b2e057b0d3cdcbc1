/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nta_msg_ackbye: a 2xx of another fork after the first. The library sends ACK and BYE to the Contact that the response
 * names, by its own DNS and choice of transport; ours go by our own rules, to numbers alone.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

int nta_msg_ackbye(nta_agent_t *agent, msg_t *msg)
{
	SIPUA_HIT(nta_msg_ackbye);
	sipua_fork_2xx_of(nta_agent_magic(agent), msg);
	msg_destroy(msg);
	return 0;
}
