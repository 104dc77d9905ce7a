"""The commands: parse options, resolve settings, call train or generate, report."""

import os

# Both libraries read this when a command imports them; their advice is meant for programmers.
for _library in ("TRANSFORMERS", "DIFFUSERS"):
    os.environ.setdefault(f"{_library}_VERBOSITY", "error")
