"""Actions as data: which ones a decision asks for, under which key each happens once, how patiently they are sent."""
