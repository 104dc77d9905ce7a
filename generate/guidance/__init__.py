"""Guides of paper section 3.3, one per file; they share one signature."""
