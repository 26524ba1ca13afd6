"""Training of small models on a CPU in one process: packed rows, bfloat16 weights with float32 masters."""
