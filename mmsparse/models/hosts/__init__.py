"""The frozen network that is adapted: built, its weights read and checked, and described by a view."""
