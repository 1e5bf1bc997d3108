"""Checks of several devices together: pairs, and the scenes of a home."""
