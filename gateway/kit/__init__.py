"""What a partner gets to make its integration work: pages, a string to sign, and samples that run."""
