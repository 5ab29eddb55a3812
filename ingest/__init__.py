"""Files in, documents and chunks out. Knows nothing of vectors, models or people."""
