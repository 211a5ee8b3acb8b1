"""Small VTAB: six tasks that need no download."""
