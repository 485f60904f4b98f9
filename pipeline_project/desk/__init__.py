"""The desk where people decide: one FastAPI application, its routes, pages and doors."""
