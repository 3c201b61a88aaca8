"""Pictures of results: each function takes data and returns a matplotlib Figure. The only matplotlib."""
