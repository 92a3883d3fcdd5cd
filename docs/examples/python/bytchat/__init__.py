"""A client of bytchatd."""
