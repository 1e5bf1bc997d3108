"""Strict, total decoders and encoders by protocol: they never raise and hide no violation."""
