"""Reports on a run: terminal, JSON, JUnit XML, HTML."""
