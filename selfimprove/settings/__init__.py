"""Settings of parts: their paths, values and fields."""
