"""Bytes of any kind for everything that reads what others have written."""

TARGET_NAMES = ("idx", "npz", "npy", "image", "toml", "request")
