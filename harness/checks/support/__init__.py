"""Helpers that several checks share; a file here holds no checks."""
