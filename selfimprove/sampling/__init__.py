"""From a checkpoint and problems to traces."""
