"""What every HTTP route shares: problems, bodies, pages, the guard at the door."""
