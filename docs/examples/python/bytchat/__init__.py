"""A client of bytchatd: `connection` is the socket, `client` the methods with their types."""
