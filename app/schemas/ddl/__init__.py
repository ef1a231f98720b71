"""Tables: the statement that creates a table for the documents of a schema."""
