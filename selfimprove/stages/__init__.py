"""The steps of a generation. Each is resumable: what is on disk already is read, not made again."""
