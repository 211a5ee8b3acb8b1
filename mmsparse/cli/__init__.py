"""What the commands below tools/ share: options, configs, how they end."""
