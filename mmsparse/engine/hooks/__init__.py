"""What a run calls between its steps."""
