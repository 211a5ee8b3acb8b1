"""What compares and tabulates finished models and runs: speed, memory, tables of papers, figures. Nothing imports it but tools."""
