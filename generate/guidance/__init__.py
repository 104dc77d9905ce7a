"""Guides: what pulls a tile's low frequencies towards its reference block. One guide per file."""
