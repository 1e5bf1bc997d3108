"""Helpers for checks of several devices, and their registry."""
