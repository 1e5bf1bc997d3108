"""Checks that several protocols of one device agree."""
