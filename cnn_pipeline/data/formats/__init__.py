"""Read the user's own data: IDX files, `.npz`, folders of images."""
