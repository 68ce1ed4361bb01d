"""Order books and the pure rules around them; knows no account, margin, clock or wire."""
