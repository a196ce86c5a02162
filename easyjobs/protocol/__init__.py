"""What manager, worker, client and child say to each other, and the rules of saying it; without I/O."""
