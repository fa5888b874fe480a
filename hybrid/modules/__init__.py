"""LightningModules: thin, one step each; networks and losses live elsewhere."""
