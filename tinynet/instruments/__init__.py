"""What looks into the running engine: what the tape holds, what layers put out, what it costs and where the time went."""
