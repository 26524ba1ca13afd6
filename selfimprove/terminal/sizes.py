"""Sizes in words."""

from __future__ import annotations


def gigabytes(size: float) -> str:
    """A number of bytes in GB, or in MB where it is small."""
    return f"{size / 1e9:,.2f} GB" if size >= 1e7 else f"{size / 1e6:,.2f} MB" if size >= 1e4 else f"{size:,.0f} bytes"
