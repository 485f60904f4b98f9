"""What bounds the policy beyond costs and capacity: a promised error, a budget for chance, a plan for a surge."""
