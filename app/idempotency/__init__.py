"""Create a resource once, however often its request arrives."""
