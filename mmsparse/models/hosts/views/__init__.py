"""Where each host library keeps the parts of its ViTs."""
