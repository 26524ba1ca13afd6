"""What a reasoning trace is."""
