"""Files of concepts that others read, and files of others that smalti reads; a format per file."""
