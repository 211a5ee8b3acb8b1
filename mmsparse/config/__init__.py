"""Configs read, completed and checked before anything is built."""
