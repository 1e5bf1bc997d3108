"""Helpers for checks over CoAP."""
