"""Where parts run: in this process or in Ray actors."""
