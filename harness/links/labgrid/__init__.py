"""A board in a labgrid lab."""
