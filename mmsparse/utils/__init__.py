"""What every room may use and nothing but Python, rich and MMEngine is needed for."""
