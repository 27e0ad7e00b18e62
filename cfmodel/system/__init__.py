"""What cfmodel asks of the operating system: whole files, digests, addresses and compiled code."""
