"""Stage two: a reference image and adapters become a mosaic whose every tile is newly drawn."""
