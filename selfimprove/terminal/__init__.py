"""Progress, captured output, exit codes and safe text."""
