"""Press: from a finished mosaic to what a lab prints and a person looks at."""
