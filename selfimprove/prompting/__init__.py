"""From a problem to the chat that asks it."""
