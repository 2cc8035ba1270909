"""The commands: each parses its options and calls one function. Nothing heavy is imported before one runs."""
