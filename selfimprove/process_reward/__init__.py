"""How good each thought is: labels, a model that learns them, and its scores."""
