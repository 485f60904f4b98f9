"""People deciding: tasks, their order and content, answers and four eyes, clusters decided once, agreement."""
