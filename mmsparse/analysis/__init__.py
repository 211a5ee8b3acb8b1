"""Compare finished models and runs: speed, memory, tables of papers, figures. Only tools import it."""
