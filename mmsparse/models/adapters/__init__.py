"""PEFT methods. One file, one paper."""
