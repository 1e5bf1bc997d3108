"""Profiles in terms of the shared vocabulary: values, units, roles of a scene."""
