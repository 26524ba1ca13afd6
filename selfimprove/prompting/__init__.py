"""Turns problems into chats."""
