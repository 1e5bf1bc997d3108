from __future__ import annotations

from hypothesis import settings

# No test may fail for being slow on a busy machine; all else stays as the profile in use has it.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")
