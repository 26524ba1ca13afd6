"""Settings of parts: their fields, values and paths."""
