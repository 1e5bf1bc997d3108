"""Helpers for checks over MQTT."""
