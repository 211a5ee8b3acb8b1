"""Trained adapters for other libraries: as weights of the host (`merge`), or as LoRA of peft (`peft_format`)."""
