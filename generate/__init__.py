"""Stage two: a reference and adapters become a mosaic."""
