"""The page: all of smalti in the browser, a face of the folders that the commands work in."""
