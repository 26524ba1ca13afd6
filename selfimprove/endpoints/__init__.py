"""Servers that answer chats, for the parts that ask them."""
