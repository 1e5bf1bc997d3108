"""Reading YAML: profiles, scenes and bench files, and their mistakes with line numbers."""
