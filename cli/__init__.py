"""The commands: parse options, resolve settings, call train or generate, report."""
