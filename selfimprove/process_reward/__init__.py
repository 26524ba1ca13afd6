"""Quality of each thought: labels, a model that learns them, and its scores."""
