"""Helpers for checks over mDNS."""
