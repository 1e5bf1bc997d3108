"""Several devices on one bus, in one run and one trace: pairs, and the scenes of a home."""
