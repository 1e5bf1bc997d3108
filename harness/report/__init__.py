"""Shows the results: terminal, JUnit, JSON, HTML."""
