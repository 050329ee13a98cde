"""Get images, verify them and split them. Pixels are never scaled here."""
