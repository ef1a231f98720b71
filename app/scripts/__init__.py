"""Scripts, their immutable versions and their aliases."""
