"""Reading: parse and check raw rows, and return typed ratings."""
