"""Data tools: what is wrong with a concept's photos, and masks and captions that are missing."""
