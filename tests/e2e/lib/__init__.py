"""Library of the end-to-end tests: processes, addresses, SIP and RTP parties. Standard library only."""
