"""What scripts and notebooks call."""

from .load import load

__all__ = ['load']
