"""HTTP Message Signatures (RFC 9421) and Digest Fields (RFC 9530), of requests and of responses.

Nothing here decides: what a message cannot have is a ValueError, and `scheme` makes reasons of them.
"""
