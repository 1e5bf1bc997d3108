"""TCP and UDP sockets on the loop."""
