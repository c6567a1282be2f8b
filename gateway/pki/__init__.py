"""Certificates and keys: reading what a peer presented, and issuing what development and the demo need."""
