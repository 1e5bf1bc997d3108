"""Reading YAML: profiles, scenes and bench files, and reporting mistakes with line numbers."""
