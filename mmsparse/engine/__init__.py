"""Runner, hooks and optimiser wrappers that MMEngine lacks, and what the tools share; registries import what is in here, a new file too."""
