"""What looks into the running engine: what the tape holds and costs, and which device did what when."""
