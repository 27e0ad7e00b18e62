"""The health rules, one small function each: a history in, a finding or None out."""
