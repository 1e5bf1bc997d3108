"""The simulated mDNS responder."""
