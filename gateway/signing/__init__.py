"""Signatures: the keys they are verified with, and the schemes that make and check them."""
