"""Runner, hooks and optimiser wrappers that MMEngine lacks; registries import every file in here."""
