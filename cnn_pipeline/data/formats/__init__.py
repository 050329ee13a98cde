"""Read the formats of own data: IDX, npz, folders of pictures."""
